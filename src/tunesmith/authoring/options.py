"""What can be asked of `data make`, `data roles` and `data convert`: one description for the command line and the web
page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from tunesmith.config.fields import fields_of
from tunesmith.config.section import Count, NonNegative, Positive, Share
from tunesmith.errors import UserError, did_you_mean

FileType = Literal["jsonl", "json", "parquet"]
RowFormat = Literal["alpaca", "sharegpt", "openai", "text"]
Mode = Literal["paragraph", "line", "section", "whole", "qa"]
Only = Literal["questions", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """REPEATED: options with several values that are given one by one, as a comma may stand in them.
    TERMINAL: options that only the command line has."""

    REPEATED: ClassVar[frozenset[str]] = frozenset()
    TERMINAL: ClassVar[frozenset[str]] = frozenset({"run_dir", "dry_run"})

    out: str = ""
    """Name of the data set."""
    dataset_dir: str = "data"
    """Folder of dataset_info.json."""
    type: FileType = "jsonl"
    """Kind of file."""
    replace: bool = False
    """Replace a data set of that name."""


T = TypeVar("T", bound=Options)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertSettings(Options):
    """`data convert`: tables and documents as they are, without a model."""

    REPEATED: ClassVar[frozenset[str]] = frozenset({"instruction", "output", "sheet"})
    TERMINAL: ClassVar[frozenset[str]] = frozenset({"dry_run", "model", "template"})

    instruction: tuple[str, ...] = ()
    """The question: a column, or a text with {columns} in it; guessed from the headers where left out."""
    input: str = ""
    """What is added to the question on a new line: a column, or a text with {columns}."""
    output: tuple[str, ...] = ()
    """The answer: a column, or a text with {columns} in it; guessed from the headers where left out."""
    system: str = ""
    """The system message: a column, a text, or both."""
    header: Count | None = None
    """The row that names the columns, from 1; 0 where there is none. Left out, it is found."""
    sheet: tuple[str, ...] = ()
    """Only this sheet of a workbook."""
    only: Only | None = None
    """Of sources of both kinds, only questions or only plain text."""
    as_text: bool = False
    """Read tables as documents, a paragraph a row."""
    mode: Mode = "paragraph"
    """How documents are cut; qa takes what stands after `Q:` and `A:`, `问：` and `答：`."""
    to: RowFormat | None = None
    """Shape of the rows. Left out: that of the sources, alpaca for tables."""
    dry_run: bool = False
    """Show what would be made of the first rows; nothing is written."""
    model: str = ""
    """Show the result as this model will see it, token by token."""
    template: str = ""
    """The chat template to show it with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions(Options):
    """Who is asked, how fast and at what price, and where the rows go."""

    model: str = ""
    """Name of the model at the server, or the folder, GGUF file or run of a local one."""
    base_url: str = ""
    """The server, e.g. http://127.0.0.1:11434/v1 (else TUNESMITH_BASE_URL, also in .env)."""
    api_key_env: str = ""
    """The variable that holds the key (TUNESMITH_API_KEY, OPENAI_API_KEY; also in .env)."""
    temperature: NonNegative | None = None
    """How freely answers are drawn; the server's own default."""
    max_tokens: Count = 4096
    """Longest answer in tokens; 0: the server's own limit."""
    timeout: NonNegative = 300.0
    """Seconds to wait for an answer."""
    retries: Count = 6
    """How often a request is sent again after an error."""
    concurrency: Positive = 8
    """Requests at once."""
    rpm: Count = 0
    """Most requests a minute; 0: no limit."""
    tpm: Count = 0
    """Most tokens a minute; 0: no limit."""
    price_in: NonNegative = 0.0
    """Price of a million prompt tokens, to tell what it costs."""
    price_out: NonNegative = 0.0
    """Price of a million tokens of answers."""
    prompts: str = ""
    """Folder with prompts of your own (`tunesmith data prompts DIR` copies ours)."""
    run_dir: str = ""
    """Where the job keeps its journal (saves/data/NAME)."""
    retry_failed: bool = False
    """Ask once more what failed before."""

    val_size: NonNegative = 0.0
    """Rows kept apart for validation, by whole documents: a share or a number."""
    seed: Count = 42
    """Decides which documents are kept apart."""
    duplicates: Share = 0.8
    """How alike two questions may be; 1 keeps all but equal ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeOptions(JobOptions):
    """`data make`: questions and answers out of documents."""

    format: Literal["alpaca", "sharegpt", "openai"] = "alpaca"
    """Shape of the rows."""
    entries: Positive = 5
    """Questions a full chunk; shorter ones get fewer."""
    chunk_tokens: Positive = 2048
    """Longest chunk in tokens."""
    overlap: Count = 128
    """Tokens of what precedes a chunk that are shown with it."""
    tokenizer: str = ""
    """A model whose tokenizer counts; without one tokens are estimated."""
    styles: tuple[str, ...] = ()
    """Kinds of questions, by name or as files of your own; all that there are."""
    language: Literal["auto", "en", "zh", "zh-TW", "ja", "ko", "ru", "de", "es", "fr"] = "auto"
    """Language of the questions; auto: the source's."""
    system: str = ""
    """System prompt of every row."""
    min_chars: Count = 2
    """Shortest answer in characters."""
    max_chars: Count = 0
    """Longest answer in characters; 0: any."""
    grounding: Share = 0.25
    """Least share of an answer's words that stand in its chunk; 0: not checked."""
    judge: bool = False
    """Let the model judge each row, from 1 to 5."""
    judge_score: Count = 3
    """Lowest score that is kept."""
    dry_run: bool = False
    """Only tell chunks, tokens and price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesOptions(JobOptions):
    """`data roles`: what one character says, out of a novel or a script."""

    role: tuple[str, ...] = ()
    """Name and aliases of the character."""
    format: Literal["alpaca", "sharegpt", "openai"] = "alpaca"
    """Shape of the rows; more turns need no other."""
    layout: Literal["auto", "script", "novel"] = "auto"
    """How the dialogue is written."""
    turns: Positive = 1
    """Most exchanges in one row; each stands in one row only."""
    context: Count = 0
    """Characters of the scene that the system prompt tells; 0: none."""
    persona: str = ""
    """System prompt; {role} and {title} are filled in. Without one: ours."""
    no_persona: bool = False
    """No system prompt."""
    others: bool = False
    """Name those who speak to the character."""
    only_named: bool = False
    """Leave out lines whose speaker is inferred."""
    gap: Count = 200
    """Most characters of narration between a line and its answer."""
    min_chars: Count = 2
    """Shortest answer in characters."""
    dry_run: bool = False
    """Only tell what was found."""


def read_options(kind: type[T], given: Mapping[str, Any]) -> T:
    """The options, from values that may be texts. UserError for a name that there is none of, or a value that can't be.

    A tuple takes a list or a text with commas, ASCII or Chinese; one that is REPEATED takes a text as it is.
    """
    from pydantic import TypeAdapter, ValidationError

    known = fields_of(kind)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise UserError(f"There is no option {name!r}.", hint=did_you_mean(name, known), field=name)
        if isinstance(known[name].default, tuple) and isinstance(value, str):
            value = (value,) if name in kind.REPEATED else split_list(value)
        values[name] = value
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UserError(
            f"--{name.replace('_', '-')} can't be {first['input']!r}: {first['msg'].lower()}.", field=name
        ) from None


def split_list(text: str) -> tuple[str, ...]:
    for mark in "，、；;":
        text = text.replace(mark, ",")
    return tuple(word.strip() for word in text.split(",") if word.strip())
