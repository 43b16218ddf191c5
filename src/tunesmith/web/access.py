"""How an endpoint gets at the studio, and the shape of every refusal."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel

from tunesmith.web.language import Told
from tunesmith.web.studio import Studio


class Refusal(BaseModel):
    """What every answer with a status from 400 on holds. field: the config key or parameter at fault."""

    message: Told
    hint: Told = ""
    field: str | None = None


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "It can't be done as asked"},
    401: {"model": Refusal, "description": "The token is missing"},
    403: {"model": Refusal, "description": "From a foreign page or host"},
    404: {"model": Refusal, "description": "There is no such thing"},
    409: {"model": Refusal, "description": "It can't be done as things stand"},
    422: {"model": Refusal, "description": "The request is malformed"},
}


def _studio(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


TheStudio = Annotated[Studio, Depends(_studio)]
