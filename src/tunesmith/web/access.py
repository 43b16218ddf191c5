"""How an endpoint gets its address and the studio, and the shape of every refusal."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel

from tunesmith.web.language import Told
from tunesmith.web.studio import Studio


class Refusal(BaseModel):
    """What every answer with a status from 400 on holds. field: the config key or parameter at fault."""

    message: Told
    hint: Told = ""
    field: str | None = None


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
    return APIRouter(prefix="/api", tags=[subject], responses=REFUSALS, generate_unique_id_function=_operation_id)


def _operation_id(route: APIRoute) -> str:
    """The function's name: what the front end's types are called by."""
    return route.name


def _studio(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


TheStudio = Annotated[Studio, Depends(_studio)]
