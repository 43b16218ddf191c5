"""The shapes of what is asked and answered about data sets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from tunesmith.web.language import Told as Words

FOLDER = "data"


class Listed(BaseModel):
    """place: a file, or a repository on a hub. missing: the file is not there. problem: of its entry."""

    name: str
    place: str = ""
    location: str = ""
    bytes: int | None = None
    missing: bool = False
    formatting: str | None = None
    ranking: bool = False
    problem: Words = ""


class Added(BaseModel):
    name: str


class ToAdd(BaseModel):
    """path: a file or folder of the workspace; hub: a repository. name: left out, after the file."""

    path: Annotated[str, Field(max_length=1000)] | None = None
    hub: Annotated[str, Field(max_length=200)] | None = None
    modelscope: bool = False
    name: Annotated[str, Field(max_length=100)] | None = None
    subset: Annotated[str, Field(max_length=200)] | None = None
    split: Annotated[str, Field(max_length=200)] | None = None
    dataset_dir: Annotated[str, Field(max_length=500)] = FOLDER


class Told(BaseModel):
    message: Words
    hint: Words = ""
    field: str | None = None


class DataFile(BaseModel):
    path: str
    bytes: int
    encoding: str


class RefusedRow(BaseModel):
    file: str
    line: int
    reason: Words


class Bar(BaseModel):
    """Rows of `from` to `to` tokens."""

    low: int = Field(alias="from")
    high: int = Field(alias="to")
    count: int


class Cutoff(BaseModel):
    """What a cutoff_len would cut off, and how full packed rows would be (a share of 1)."""

    cutoff: int
    truncated_rows: int
    truncated_tokens: int
    packed_rows: int
    fill: float


class Lengths(BaseModel):
    histogram: list[Bar]
    cutoffs: list[Cutoff]
    total: int
    longest: int
    median: int


class Look(BaseModel):
    """How a data set is read. found: the columns there are; columns, tags: what stands for what; problem: why it can't
    be read at all. told: the format or the columns stand in the entry. guess: what a person may take for question and
    answer where nothing tells. unasked: rows with an empty question, unasked_at: the places of the first. lengths: only
    where a model is named."""

    name: str
    files: list[DataFile]
    revision: str
    found: list[str]
    told: bool = False
    guess: dict[str, str] = {}
    format: str | None = None
    problem: Told | None = None
    columns: dict[str, str] = {}
    tags: dict[str, str] = {}
    rows: int = 0
    usable: int = 0
    reasons: dict[Words, int] = {}
    refusals: list[RefusedRow] = []
    duplicates: int = 0
    near_duplicates: int = 0
    contradictions: int = 0
    unasked: int = 0
    unasked_at: list[str] = []
    placeholders: dict[str, int] = {}
    notes: list[Words] = []
    lengths: Lengths | None = None


class ShownRow(BaseModel):
    """row: null where it can't be read; text is then what stands there. problem: why it is not used."""

    number: int
    file: str
    line: int
    row: dict[str, Any] | None
    text: str | None = None
    problem: Words | None = None


class Rows(BaseModel):
    """columns: those that a row may have."""

    rows: list[ShownRow]
    columns: list[str]
    editable: bool
    revision: str
    problem: Told | None = None


class NewRow(BaseModel):
    """row, or text in the form of the file: a JSON object, a line of a table."""

    row: dict[str, Any] | None = None
    text: Annotated[str, Field(max_length=20_000_000)] = ""
    revision: Annotated[str, Field(max_length=5000)]


class Saved(BaseModel):
    revision: str
    removed: int = 0


class RemovedRow(BaseModel):
    """file: the number of its file; line: by which it is put back."""

    file: int
    line: str
    row: dict[str, Any]


class ToRestore(BaseModel):
    file: Annotated[int, Field(ge=0)] = 0
    line: Annotated[str, Field(max_length=2_000_000)]
    revision: Annotated[str, Field(max_length=5000)]


class Mapping(BaseModel):
    """How the entry is to be read: a format, and columns or tags by the names of dataset_info.json. null: none, where a
    name that is left out stands for its usual column."""

    formatting: str | None = None
    columns: dict[str, str | None] = {}
    tags: dict[str, str | None] = {}


class Fix(BaseModel):
    fix: Literal["refused", "duplicates"]
    revision: Annotated[str, Field(max_length=5000)]


class Piece(BaseModel):
    text: str
    ids: list[int]
    kind: Literal["trained", "masked", "truncated", "special"]
    trained: bool


class Sample(BaseModel):
    number: int
    line: int
    problem: Words | None
    tokens: int = 0
    trained: int = 0
    pieces: list[Piece]


class Mask(BaseModel):
    samples: list[Sample]
    notes: list[Words]
    template: str | None


class Reading(BaseModel):
    """The settings that decide how rows are read: model, template, stage, cutoff_len and the like."""

    settings: Annotated[dict[str, Any], Field(max_length=500)] = {}
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=200)] = 20
