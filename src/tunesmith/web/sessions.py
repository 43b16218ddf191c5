"""Loaded models that the page talks to, each in a process of its own."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel

from tunesmith.errors import UserError
from tunesmith.web.children import Child, Children
from tunesmith.web.language import Told
from tunesmith.web.workspace import Clash, Missing

_MOST = 3


class Session(BaseModel):
    """tuned: there is an adapter, so that the model can answer without it too. room: most tokens it takes."""

    session: str
    status: Literal["loading", "ready", "failed"] = "loading"
    model: str
    adapter: str | None = None
    name: str = ""
    tuned: bool = False
    room: int | None = None
    template: str = ""
    system: str | None = None
    notes: list[Told] = []
    message: Told = ""
    hint: Told = ""
    field: str | None = None


def _told(error: UserError) -> dict[str, Any]:
    return {"message": error.message, "hint": error.hint, "field": error.field}


class Sessions:
    def __init__(self, children: Children) -> None:
        self._children = children
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def load(
        self, model: str, adapter: str | None, settings: Mapping[str, Any], *, free: Collection[str] = ()
    ) -> Session:
        """Begin to load a model; the session says when it is ready. free: those that are unloaded before."""
        for name in free:
            with suppress(Missing):  # another tab was faster
                self.unload(name)
        with self._lock:
            self._forget_gone()
            if len(self._sessions) >= _MOST:
                raise Clash("Three models are loaded already.", hint="Unload one first.")
            session = Session(session=secrets.token_hex(6), model=model, adapter=adapter)
            child = self._children.begin(session.session, "tunesmith.jobs.talk")
            self._sessions[session.session] = session
        threading.Thread(target=self._wait, args=(session, child, dict(settings)), daemon=True).start()
        return session

    def _wait(self, session: Session, child: Child, settings: dict[str, Any]) -> None:
        name = session.session
        try:
            told = child.ask("load", model=session.model, adapter=session.adapter, settings=settings)
        except UserError as error:
            update: dict[str, Any] = {"status": "failed", **_told(error)}
            self._children.end(name)
        else:
            kept = {key: told[key] for key in ("name", "tuned", "room", "template", "system", "notes")}
            update = {"status": "ready", **kept}
        with self._lock:
            if name in self._sessions:
                self._sessions[name] = session.model_copy(update=update)

    def all(self) -> list[Session]:
        with self._lock:
            self._see_the_dead()
            return list(self._sessions.values())

    def places(self) -> list[str]:
        """The models and adapters that are loaded, as they were asked for."""
        held = [one for one in self.all() if one.status != "failed"]
        return [place for one in held for place in (one.model, one.adapter) if place]

    def get(self, name: str) -> Session:
        with self._lock:
            self._see_the_dead()
            if name not in self._sessions:
                raise Missing(f"There is no chat {name}.", hint="Load the model again.")
            return self._sessions[name]

    def child(self, name: str) -> Child:
        """The process that answers; Clash where it is not ready."""
        session = self.get(name)
        child = self._children.named(name)
        if session.status != "ready" or child is None:
            raise Clash("The model is still loading." if session.status == "loading" else session.message)
        return child

    def unload(self, name: str) -> None:
        with self._lock:
            known = self._sessions.pop(name, None)
        if known is None:
            raise Missing(f"There is no chat {name}.")
        self._children.end(name)

    def _see_the_dead(self) -> None:
        """A process that ended by itself, as where the memory was not enough, leaves a session that says so."""
        for name, session in self._sessions.items():
            child = self._children.named(name)
            if session.status == "ready" and (child is None or not child.alive):
                told = {
                    "status": "failed",
                    "message": "The process with the model has ended.",
                    "hint": "Load it again.",
                }
                self._sessions[name] = session.model_copy(update=told)
                self._children.end(name)  # its pipes are still open

    def _forget_gone(self) -> None:
        self._see_the_dead()
        for name in [name for name, session in self._sessions.items() if session.status == "failed"]:
            del self._sessions[name]
