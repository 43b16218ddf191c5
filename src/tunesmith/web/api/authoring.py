"""Data sets out of documents: thin doors to `tunesmith data make`, `data roles` and `data convert`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import Query, Request
from pydantic import BaseModel, Field

from tunesmith.authoring.catalog_file import check_name
from tunesmith.authoring.document import files_below
from tunesmith.authoring.options import ConvertSettings, JobOptions, MakeOptions, Options, RolesOptions, read_options
from tunesmith.authoring.prompting import Prompts, language_of
from tunesmith.config.fields import fields_of, helps_of
from tunesmith.config.shell import shell_line
from tunesmith.errors import UserError
from tunesmith.jobs.recorded import last_error
from tunesmith.web import forms, starting
from tunesmith.web.access import Id, Listening, TheStudio, router_of, writable
from tunesmith.web.language import Told, said
from tunesmith.web.studio import Studio
from tunesmith.web.uploads import receive

router = router_of("authoring")
_DOCUMENTS, _READER = "documents", "tunesmith.jobs.documents"
_KINDS: dict[str, type[Options]] = {"make": MakeOptions, "roles": RolesOptions, "convert": ConvertSettings}
_MOST_SHOWN = 1000
Verb = Literal["make", "roles", "convert"]


class Option(BaseModel):
    """One option of a command. kind: text, number, switch, choice or list. automatic: whether a value is found where
    none is given."""

    name: str
    help: Told
    kind: str
    choices: list[str] = []
    default: Any = None
    automatic: bool = False


class Asked(BaseModel):
    """sources: files and folders of the workspace. api_key: handed to the process in its environment, never kept.
    keyed: whether a key is going to be given, for what only tells of the job and needs no key."""

    sources: Annotated[list[Annotated[str, Field(max_length=1000)]], Field(min_length=1, max_length=1000)]
    options: Annotated[dict[str, Any], Field(max_length=100)]
    api_key: Annotated[str, Field(max_length=1000)] | None = None
    keyed: bool = False


class Uploaded(BaseModel):
    path: str


class Preview(BaseModel):
    lines: list[Told]


class CommandLine(BaseModel):
    """The command that does the same, for each shell. key_variable: the environment variable from which it takes the
    key, empty where nobody is asked who wants one."""

    bash: str
    powershell: str
    key_variable: str


class Style(BaseModel):
    """A kind of question."""

    name: str
    asks: str


class Speaker(BaseModel):
    name: str
    lines: int


class Speakers(BaseModel):
    """Who speaks, those who speak most first."""

    speakers: list[Speaker]


class Fault(BaseModel):
    field: str | None
    message: Told
    hint: Told = ""


class Table(BaseModel):
    """How a table begins. format: of its rows, "columns" where parts of them are made of columns, empty where nothing
    can be made of it, which `problem` tells. parts: instruction, input, output, system or text → its columns."""

    name: str
    columns: list[str]
    more_columns: int
    rows: list[list[str]]
    format: str
    parts: dict[str, list[str]]
    guessed: bool
    problem: Fault | None


class Tables(BaseModel):
    """The first tables. more: how many there are beyond, where a file that was not opened counts as one."""

    tables: list[Table]
    more: int


class Rejected(BaseModel):
    """Rows that were held back, with their reasons, as the job wrote them."""

    rows: list[dict[str, Any]]
    more: bool


@router.get("/authoring/options")
def authoring_options(verb: Verb = "make") -> list[Option]:
    kind = _KINDS[verb]
    made: Any = kind
    helps = helps_of(made)
    found = []
    for name, field in fields_of(kind).items():
        if name in kind.TERMINAL:
            continue
        shape = "choice" if field.choices else "text" if name in kind.REPEATED else field.forms[0].kind
        word = {"true or false": "switch", "whole number": "number"}.get(shape, shape)
        default = "" if name in kind.REPEATED else field.default
        default = list(default) if isinstance(default, tuple) else default
        found.append(
            Option(
                name=name, help=helps.get(name, ""), kind=word, choices=list(field.choices), default=default,
                automatic=forms.is_automatic(helps.get(name, "")),
            )
        )  # fmt: skip
    return found


@router.post("/documents/upload", status_code=201)
async def upload_document(request: Request, studio: TheStudio, name: Annotated[str, Query(max_length=200)]) -> Uploaded:
    """The request's body is the document called `name`; it is put into the workspace's folder `documents`."""
    path = await receive(request, studio.workspace.root / _DOCUMENTS, name, studio)
    return Uploaded(path=studio.workspace.relative(path))


@router.get("/documents")
def list_documents(studio: TheStudio) -> list[str]:
    folder = studio.workspace.root / _DOCUMENTS
    if not folder.is_dir():
        return []
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return [studio.workspace.relative(path) for path in islice(files, _MOST_SHOWN)]


@router.get("/authoring/styles")
def styles(
    studio: TheStudio,
    language: Annotated[str, Query(max_length=40)] = "en",
    prompts: Annotated[str, Query(max_length=1000)] = "",
) -> list[Style]:
    """The kinds of questions that there are, in a language or else in English. prompts: a folder with own ones."""
    folder = studio.workspace.inside(prompts, field="prompts") if prompts else None
    known = Prompts(folder).styles(language_of(language))
    return [Style(name=name, asks=asks) for name, asks in known.items()]


@router.post("/authoring/tables")
def tables(asked: Asked, studio: TheStudio, wanted: Listening) -> Tables:
    """The tables among the sources as they begin, for `data convert` with these options."""
    studio.workspace.inside(str(asked.options.get("dataset_dir") or "data"), field="dataset_dir")
    return Tables.model_validate(_ask_of_documents("tables", asked, studio, wanted))


@router.post("/authoring/speakers")
def speakers(asked: Asked, studio: TheStudio, wanted: Listening) -> Speakers:
    """Who speaks in the sources, for `data roles` with these options."""
    return Speakers.model_validate(_ask_of_documents("speakers", asked, studio, wanted))


def _ask_of_documents(do: str, asked: Asked, studio: Studio, wanted: Listening) -> dict[str, Any]:
    """What the process that reads documents answers. What a page no longer waits for is ended, in the middle of a book
    too: it asks while somebody types."""
    child = studio.children.afresh(_READER, wanted)
    found: dict[str, Any] = writable(
        child.ask(do, wanted, sources=_sources(studio, asked.sources), options=_given(asked))
    )
    return found


@router.post("/authoring/{verb}/command")
def command_line(verb: Verb, asked: Asked, studio: TheStudio) -> CommandLine:
    """What to type for the same. The key is not in it: the command takes it from the environment."""
    sources, flags, given = _command(verb, asked, studio)
    parts = [["tunesmith", "data", verb, *sources], *map(_words, flags)]
    variable = str(given.get("api_key_env") or "TUNESMITH_API_KEY") if _asks_a_server(verb, given) else ""
    bash, powershell = (shell_line(parts, windows=windows) for windows in (False, True))
    return CommandLine(bash=bash, powershell=powershell, key_variable=variable)


@router.post("/authoring/{verb}/preview")
def preview_data(verb: Verb, asked: Asked, studio: TheStudio, wanted: Listening) -> Preview:
    """What it would take and give, as `--dry-run` tells it. Nobody is asked, nothing is written. Several are
    made one after the other; one that nobody waits for any more is ended: the page asks while somebody types."""
    named = {**asked.options, "out": asked.options.get("out") or "preview", "replace": True}
    sources, arguments, _ = _command(verb, asked.model_copy(update={"options": named}), studio)
    told = studio.previews.run(["data", verb, *sources, *arguments, "--dry-run"], wanted)
    if told.returncode:
        raise last_error(told.stderr.splitlines(), "It can't be told what this would take.")
    return Preview(lines=[line for line in told.stdout.splitlines() if line.strip()])


@router.post("/authoring/{verb}", status_code=201)
def make_data(verb: Verb, asked: Asked, studio: TheStudio) -> Id:
    """A model writes questions and answers about documents, one character's dialogue is taken out of a text, or tables
    and documents are converted. The answer is a run: its curves are requests, tokens and money; stopped or killed, it
    is resumed and asks nothing twice.
    """
    sources, arguments, given = _command(verb, asked, studio)
    out = str(given["out"])
    if not _asks(verb, given):  # there is nothing to keep
        told = {"sources": sources, **given}
        return Id(id=starting.begin_command(studio, f"data {verb}", [*sources, *arguments], title=out, asked=told))
    secrets = {"TUNESMITH_API_KEY": asked.api_key} if asked.api_key else {}
    command = ["data", verb, *sources, *arguments]
    folder = Path("saves") / "data" / out
    local = not _asks_a_server(verb, given)
    told = {"sources": sources, **given}
    return Id(id=starting.begin_authoring(studio, folder, command, secrets, local=local, asked=told))


def _asks(verb: Verb, given: dict[str, Any]) -> bool:
    """Whether a model is asked."""
    return verb == "make" or (verb == "roles" and bool(given.get("model") or given.get("base_url")))


def _asks_a_server(verb: Verb, given: dict[str, Any]) -> bool:
    return _asks(verb, given) and not _is_local(str(given.get("model") or ""), str(given.get("base_url") or ""))


def _is_local(model: str, base_url: str) -> bool:
    """Whether a model of this machine is to be loaded."""
    return bool(model) and not base_url and Path(model).expanduser().exists()


def _command(verb: Verb, asked: Asked, studio: Studio) -> tuple[list[str], list[str], dict[str, Any]]:
    """Sources, flags and the options that were given; UserError for what the command would refuse at once."""
    sources = _sources(studio, asked.sources)
    given, kind = _given(asked), _KINDS[verb]
    if terminal := next((name for name in given if name in kind.TERMINAL), None):
        raise UserError("This option is for the command line.", field=terminal)
    options = read_options(kind, given)
    if isinstance(options, JobOptions):
        for field, place in (("prompts", options.prompts), *(("styles", style) for style in given.get("styles") or ())):
            if place and Path(place).exists():
                studio.workspace.inside(place, field=field)
        if studio.exposed and _is_local(options.model, options.base_url):
            studio.workspace.inside(options.model, field="model")
        if "@" in urlsplit(options.base_url).netloc:  # flags are seen by everybody on the machine
            raise UserError("The address holds a password.", hint="Enter it as the API key.", field="base_url")
    _checked_out(studio, given)
    if asked.api_key or asked.keyed:
        given.pop("api_key_env", None)
    return sources, [flag for name, value in given.items() for flag in _flags(name, value)], given


def _given(asked: Asked) -> dict[str, Any]:
    return {name: value for name, value in asked.options.items() if value not in (None, "", [])}


@router.get("/authoring/rejected/{name}")
def rejected_rows(
    name: str, studio: TheStudio, dataset_dir: str = "data", offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST_SHOWN)] = 50,
) -> Rejected:  # fmt: skip
    """What lies beside the data set in NAME.rejected.jsonl."""
    path = studio.workspace.inside(Path(dataset_dir) / f"{check_name(name)}.rejected.jsonl", field="dataset_dir")
    rows = list(islice(_records(path), offset, offset + limit + 1))
    return Rejected(rows=rows[:limit], more=len(rows) > limit)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                if isinstance(record.get("reason"), str):
                    record["reason"] = said(record["reason"])
                yield writable(record)


def _sources(studio: Studio, asked: list[str]) -> list[str]:
    """Sources as the workspace calls them. UserError where one is not there or leads out of it, by a link in a
    folder too."""
    found = []
    for source in asked:
        path = studio.workspace.inside(source, field="sources")
        if not path.exists():
            raise UserError(f"There is no file or folder {source}.", field="sources")
        for file in files_below(path) if path.is_dir() else ():
            studio.workspace.inside(file, field="sources")
        found.append(studio.workspace.relative(path))
    return [f"./{path}" if path.startswith("-") else path for path in found]


def _checked_out(studio: Studio, options: dict[str, Any]) -> str:
    out = str(options.get("out") or "")
    if not out:
        raise UserError("The data set needs a name.", field="out")
    studio.workspace.inside(str(options.get("dataset_dir") or "data"), field="dataset_dir")
    return check_name(out)


def _flags(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag] if value else []
    if isinstance(value, list):
        return [f"{flag}={item}" for item in value]
    return [f"{flag}={value}"]


def _words(flag: str) -> list[str]:
    """A flag and its value as two words, where the value does not look like a flag."""
    name, _, value = flag.partition("=")
    return [name, value] if value and not value.startswith("-") else [flag]
