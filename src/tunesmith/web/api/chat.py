"""Chat: load a model, ask it, with and without its adapter; conversations that are kept; answers that become data."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from tunesmith.authoring.publish import publish
from tunesmith.config.load import load_job
from tunesmith.data.catalog import Catalog
from tunesmith.errors import UserError
from tunesmith.jobs.places import configuration_of
from tunesmith.runs.files import JsonlTail, append_line, read_json, replace_json
from tunesmith.text.formats import FORMATS, Columns, Tags
from tunesmith.text.rows import RowError
from tunesmith.web import forms
from tunesmith.web.access import TheStudio, router_of
from tunesmith.web.language import said
from tunesmith.web.sessions import Session
from tunesmith.web.starting import ask_for_trust
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Clash, Missing

router = router_of("chat")
_FOLDER = "conversations"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_END = object()
Text = Annotated[str, Field(max_length=1_000_000)]


class ToLoad(BaseModel):
    """model: a run, a checkpoint, a folder, a GGUF file or a hub id. free: sessions that are unloaded for it."""

    model: Annotated[str, Field(min_length=1, max_length=1000)]
    adapter: Annotated[str, Field(max_length=1000)] | None = None
    settings: Annotated[dict[str, Any], Field(max_length=200)] = {}
    trusted: bool = False
    free: Annotated[list[str], Field(max_length=20)] = []


class Turn(BaseModel):
    """A message as OpenAI's interface writes it."""

    role: str
    content: Text | None = ""
    reasoning_content: Text | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class Question(BaseModel):
    """base: answer without the adapter. seed: left out or negative, another each time (the answer tells which)."""

    messages: Annotated[list[Turn], Field(min_length=1, max_length=2000)]
    system: Text | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=200)] = []
    settings: Annotated[dict[str, Any], Field(max_length=50)] = {}
    seed: Annotated[int, Field(lt=2**31)] | None = None
    base: bool = False


class Conversation(BaseModel):
    """content: what the page keeps of it (messages, settings, model); revision: given back when saving."""

    id: str
    title: str = ""
    updated: float = 0.0
    revision: str = ""
    content: dict[str, Any] = {}


class ToKeep(BaseModel):
    title: Annotated[str, Field(max_length=300)] = ""
    content: dict[str, Any]
    revision: str | None = None


class ToSend(BaseModel):
    """name: a data set in a .jsonl file, made where there is none of that name."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    dataset_dir: Annotated[str, Field(max_length=500)] = "data"
    messages: Annotated[list[Turn], Field(min_length=2, max_length=2000)]
    system: Text | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=200)] = []


class Sent(BaseModel):
    name: str
    file: str


@router.get("/chat")
def list_sessions(studio: TheStudio) -> list[Session]:
    return studio.sessions.all()


@router.post("/chat/load", status_code=202)
def load_model(asked: ToLoad, studio: TheStudio) -> Session:
    """Load a model in a process of its own; ask for the session until its status is `ready` or `failed`."""
    for field, place in (("model_name_or_path", asked.model), ("adapter_name_or_path", asked.adapter)):
        if studio.exposed and place and (Path(place).expanduser().exists() or Path(place).is_absolute()):
            studio.workspace.inside(place, field=field)
    settings = {key: value for key, value in asked.settings.items() if value not in (None, "")}
    forms.load("ask", settings)  # what is wrong with them shows at once
    files, keys = configuration_of(asked.model, asked.adapter)
    job = load_job(files, {**keys, **settings}, verb="chat").job
    forms.confine_model(job, studio.workspace, exposed=studio.exposed)
    ask_for_trust(job.model, asked.trusted)
    return studio.sessions.load(asked.model, asked.adapter, settings, free=asked.free)


@router.get("/chat/{session}")
def show_session(session: str, studio: TheStudio) -> Session:
    return studio.sessions.get(session)


@router.delete("/chat/{session}", status_code=204)
def unload_model(session: str, studio: TheStudio) -> None:
    """End the process; its memory is free again."""
    studio.sessions.unload(session)


@router.post("/chat/{session}/answer", response_class=StreamingResponse)
async def answer(session: str, question: Question, studio: TheStudio) -> StreamingResponse:
    """Server-sent events: `{"kind": "text" | "thinking" | "call", "text": …}`, then `{"kind": "done", finish, content,
    thinking, tool_calls, prompt_tokens, tokens, seconds, first_seconds, seed}` or `{"kind": "error", message, hint}`.
    Leaving the stream stops the answer.
    """
    child = studio.sessions.child(session)
    asked = question.model_dump(exclude_none=True)
    parts = child.stream("answer", **asked)
    headers = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
    return StreamingResponse(_events(parts), media_type="text/event-stream", headers=headers)


@router.post("/chat/{session}/stop", status_code=204)
def stop_answer(session: str, studio: TheStudio) -> None:
    """Leave off the answers that are being given; what was said stands."""
    studio.sessions.child(session).stop()


@router.get("/conversations")
def list_conversations(studio: TheStudio) -> list[Conversation]:
    """The newest first, without their content."""
    folder = studio.workspace.home / _FOLDER
    found = [_conversation(path) for path in folder.glob("*.json")] if folder.is_dir() else []
    return sorted(
        (one.model_copy(update={"content": {}}) for one in found if one), key=lambda one: one.updated, reverse=True
    )


@router.get("/conversations/{conversation}")
def show_conversation(conversation: str, studio: TheStudio) -> Conversation:
    found = _conversation(_path(studio, conversation))
    if found is None:
        raise Missing("There is no such conversation.")
    return found


@router.put("/conversations/{conversation}")
def keep_conversation(conversation: str, asked: ToKeep, studio: TheStudio) -> Conversation:
    path = _path(studio, conversation)
    before = _conversation(path)
    if before is not None and asked.revision is not None and asked.revision != before.revision:
        raise Clash(
            "The conversation was changed meanwhile, perhaps in another tab.", hint="Load it anew.", field="revision"
        )
    record = {"title": asked.title, "updated": time.time(), "content": asked.content}
    if len(json.dumps(record)) > 16 << 20:
        raise UserError("The conversation is too long to be kept.")
    replace_json(path, record)
    kept = _conversation(path)
    assert kept is not None
    return kept


@router.delete("/conversations/{conversation}", status_code=204)
def delete_conversation(conversation: str, studio: TheStudio) -> None:
    try:
        _path(studio, conversation).unlink()
    except FileNotFoundError:
        raise Missing("There is no such conversation.") from None


@router.post("/chat/send_to_dataset", status_code=201)
def send_to_dataset(asked: ToSend, studio: TheStudio) -> Sent:
    """Add a conversation as a row to a data set, in the form that its rows have."""
    folder = studio.workspace.inside(asked.dataset_dir, field="dataset_dir")
    head = [{"role": "system", "content": asked.system}] if asked.system else []
    turns = [turn.model_dump(exclude_none=True) for turn in asked.messages]
    try:
        example = FORMATS.get("openai").read(
            {"messages": [*head, *turns], "tools": asked.tools}, Columns(messages="messages"), Tags()
        )
        catalog = Catalog.load(folder)
        if asked.name not in catalog:
            done = publish([FORMATS.get("openai").write(example)], asked.name, folder, "openai")
            return Sent(name=asked.name, file=studio.workspace.relative(done.path))
        entry = catalog.entry(asked.name)
        path = studio.workspace.inside(entry.location) if entry.place == "file" else Path(entry.location)
        if entry.place != "file" or path.suffix.lower() != ".jsonl":
            raise UserError(
                f"{asked.name} is not a .jsonl file of the workspace.", hint="Give a new name.", field="name"
            )
        format = FORMATS.get(entry.formatting or _format_of(path))
        row = format.write(example)
        if format.read(row, entry.columns, entry.tags) != example:
            raise UserError(f"{asked.name} has columns of its own.", hint="Give a new name.", field="name")
    except RowError as error:
        raise UserError(f"This conversation can't be a row: {error.reason}.", field="messages") from None
    append_line(path, row)
    return Sent(name=asked.name, file=studio.workspace.relative(path))


async def _events(parts: Iterator[dict[str, Any]]) -> AsyncIterator[str]:
    try:
        while True:
            try:
                part = await anyio.to_thread.run_sync(next, parts, _END)
            except UserError as error:
                part = {"kind": "error", "message": said(error.message), "hint": said(error.hint)}
                yield f"data: {json.dumps(part, ensure_ascii=False)}\n\n"
                return
            if part is _END:
                return
            assert isinstance(part, dict)
            if "kind" in part:
                part.pop("id", None)
                yield f"data: {json.dumps(part, ensure_ascii=False)}\n\n"
    finally:
        parts.close()  # type: ignore[attr-defined]


def _format_of(path: Path) -> str:
    """The format of the first row; alpaca where nothing tells."""
    first = next(iter(JsonlTail(path).read_new()), None)
    names = [name for name, known in FORMATS if first is not None and known.detect(first)]
    return names[0] if names else "alpaca"


def _path(studio: Studio, name: str) -> Path:
    if not _ID.fullmatch(name):
        raise Missing("There is no such conversation.")
    return studio.workspace.own(_FOLDER, f"{name}.json")


def _conversation(path: Path) -> Conversation | None:
    record = read_json(path)
    if record is None:
        return None
    try:
        whole = json.dumps(record, sort_keys=True).encode("utf-8")
        revision = hashlib.blake2b(whole, digest_size=8).hexdigest()
        return Conversation(id=path.stem, revision=revision, **record)
    except (TypeError, ValueError):
        return None
