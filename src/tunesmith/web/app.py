"""The web application: guard, endpoints, the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from tunesmith.errors import UserError
from tunesmith.web.access import Refusal
from tunesmith.web.guard import Door, Guard
from tunesmith.web.language import Listener
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Clash, Missing

PAGE = Path(__file__).with_name("frontend") / "dist"
# Runs have their folder in the address, so what stands below a run is matched first.
SUBJECTS = (
    "about", "configuration", "arguments", "estimates", "curves", "exports", "evaluations", "made", "queue", "runs",
    "events", "datasets", "chat", "authoring", "models",
)  # fmt: skip
NO_PAGE = "The studio's page is not built: run `make page` (it needs Node.js), or install Tunesmith from its wheel."
_FOREVER = "public, max-age=31536000, immutable"


def create_app(studio: Studio, door: Door | None = None, page: Path = PAGE) -> FastAPI:
    """The application over a studio. door: None for tests and the description of the interface."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        studio.begin()
        yield
        studio.end()

    subjects = [import_module(f"tunesmith.web.api.{subject}") for subject in SUBJECTS]
    app = FastAPI(
        title="Tunesmith studio",
        version="1",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        # As they stand: including a router makes each of its endpoints anew, when the first page is asked for.
        routes=[route for subject in subjects for route in subject.router.routes],
    )
    app.state.studio = studio
    app.add_exception_handler(UserError, _told)
    app.add_exception_handler(OSError, _told)
    app.add_exception_handler(RecursionError, _nested)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _refused)
    _serve_page(app, page)
    if door is not None:
        app.add_middleware(Guard, door=door)
    app.add_middleware(Listener)  # the outermost: the guard's words are read by people too
    return app


def _serve_page(app: FastAPI, page: Path) -> None:
    """The built page under every address that is not of the interface: its views have addresses of their own."""

    @app.api_route("/api/{rest:path}", methods=["GET", "POST", "PUT", "DELETE", "PATCH"], include_in_schema=False)
    def nothing(rest: str) -> Response:
        raise Missing(f"The studio has no /api/{rest}.")

    @app.get("/{rest:path}", include_in_schema=False)
    def file(rest: str) -> Response:
        found = (page / rest).resolve() if rest and "\0" not in rest else page
        if found.is_relative_to(page.resolve()) and found.is_file():
            hashed = "assets" in found.parent.parts
            return FileResponse(found, headers={"cache-control": _FOREVER if hashed else "no-cache"})
        if not (page / "index.html").is_file():
            return PlainTextResponse(f"{NO_PAGE}\n", status_code=503)
        if Path(rest).suffix:
            raise Missing(f"There is no file {rest}.")
        return FileResponse(page / "index.html", headers={"cache-control": "no-cache"})


def _told(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, OSError):
        told = Refusal(message=f"{error.strerror or type(error).__name__}: {error.filename or ''}".rstrip(": "))
        return JSONResponse(told.model_dump(), 409)
    assert isinstance(error, UserError)
    status = 404 if isinstance(error, Missing) else 409 if isinstance(error, Clash) else 400
    return JSONResponse(Refusal(message=error.message, hint=error.hint, field=error.field).model_dump(), status)


def _nested(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse(Refusal(message="This is nested too deeply.").model_dump(), 422)


def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody hears it


def _malformed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    message = f"{where or 'The request'}: {first['msg']}"
    return JSONResponse(Refusal(message=message, field=where or None).model_dump(), 422)


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse(Refusal(message=str(error.detail)).model_dump(), error.status_code)
