"""Texts in the language of whoever asks. A field of the interface that people read is `Told`: it is English in this
process and on disk, and translated when an answer is written."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Annotated
from urllib.parse import parse_qs

from pydantic import PlainSerializer
from starlette.types import ASGIApp, Receive, Scope, Send

from tunesmith.i18n import spoken, translated

_asked: ContextVar[str] = ContextVar("language", default="")


def said(text: str) -> str:
    """The text in the language of the request that is being answered."""
    return translated(text, _asked.get())


Told = Annotated[str, PlainSerializer(said, return_type=str)]


class Listener:
    """ASGI middleware: the language of a request is its `language` parameter, which an event stream needs, or else its
    Accept-Language."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            named = parse_qs(scope["query_string"].decode("latin-1")).get("language")
            _asked.set(spoken(named or headers.get(b"accept-language", b"").decode("latin-1").split(",")))
        await self._app(scope, receive, send)
