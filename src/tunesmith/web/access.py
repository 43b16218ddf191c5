"""How an endpoint gets its address and the studio, and the shape of every refusal."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import anyio.from_thread
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from tunesmith.web.language import Told
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Clash


class Refusal(BaseModel):
    """What every answer with a status from 400 on holds. field: the config key or parameter at fault."""

    message: Told
    hint: Told = ""
    field: str | None = None


class Id(BaseModel):
    """The run that was begun, or that something was done to: its folder as the workspace calls it."""

    id: str


def _refused(description: str) -> dict[str, Any]:
    # FastAPI would make a validator of a model here for every endpoint and status: a tenth of the studio's start.
    schema = {"$ref": f"#/components/schemas/{Refusal.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: _refused("It can't be done as asked"),
    401: _refused("The token is missing"),
    403: _refused("From a foreign page or host"),
    404: _refused("There is no such thing"),
    409: _refused("It can't be done as things stand"),
    422: _refused("The request is malformed"),
}


def router_of(subject: str) -> APIRouter:
    """A router with all that its endpoints are, so that the application takes them as they stand."""
    return APIRouter(
        prefix="/api", tags=[subject], responses=REFUSALS, generate_unique_id_function=_operation_id,
        route_class=_Route,
    )  # fmt: skip


def writable(record: Any) -> Any:
    """A record out of somebody's file as an answer can hold it: half a character in it becomes a question mark."""
    return json.loads(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace"))


@contextmanager
def recorded_in(path: Path) -> Iterator[None]:
    """Around what makes an answer of a file's records. Clash where these are not what Tunesmith writes there."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (path.name, *first["loc"])))
        raise Clash(f"A record on the disk is damaged: {where}: {first['msg']}.") from None


class _Body(Request):
    """A request whose JSON is text that UTF-8 can hold: half an emoji (a lone surrogate) could be written nowhere."""

    async def json(self) -> Any:
        try:
            asked = await super().json()
            json.dumps(asked, ensure_ascii=False).encode("utf-8")
        except UnicodeError:
            raise HTTPException(422, "The request holds half a character, which can't be kept.") from None
        return asked


class _Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await answer(_Body(request.scope, request.receive))

        return handler


def _operation_id(route: APIRoute) -> str:
    """The function's name: what the front end's types are called by."""
    return route.name


def _listening(request: Request) -> Callable[[], bool]:
    studio = _studio(request)
    return lambda: not (studio.leaving or anyio.from_thread.run(request.is_disconnected))


Listening = Annotated[Callable[[], bool], Depends(_listening)]
"""Whether the browser still waits for the answer; asked in the thread of the endpoint."""


def _studio(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


TheStudio = Annotated[Studio, Depends(_studio)]
