"""Rows that a model wrote: shown while they come, accepted, rejected and corrected by a person, before and after."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path as InPath
from fastapi import Query
from pydantic import BaseModel, Field

from tunesmith.authoring.decisions import Decision, decide
from tunesmith.errors import UserError
from tunesmith.runs.layout import RunLayout
from tunesmith.web.access import TheStudio, router_of
from tunesmith.web.language import Told
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Clash

router = router_of("made")
_MODULE = "tunesmith.jobs.made"
_KIND = "data make"
Key = Annotated[str, InPath(pattern=r"^[0-9a-f]{16}-\d{1,6}$")]
Text = Annotated[str, Field(min_length=1, max_length=1_000_000)]


class MadeRow(BaseModel):
    """source: the document; start, end: characters of it that the chunk holds. kind, reason: why it is held back; empty
    where it is not. by_hand: a person decided so. grounding: share of the answer's words that stand in the chunk."""

    key: str
    question: str
    answer: str
    kind: str = ""
    reason: Told = ""
    by_hand: bool = False
    source: str = ""
    source_title: str = ""
    source_heading: str = ""
    source_page: int | None = None
    source_start: int | None = None
    source_end: int | None = None
    style: str = ""
    evidence: str = ""
    grounding: float | None = None
    judge_score: int | None = None
    judge_reason: str = ""


class Made(BaseModel):
    """fitting: rows that fit the question; kept, held, decided: of all; kinds: held back rows by kind of reason.
    written: whether there is a data set; unwritten: decisions that it does not have yet."""

    rows: list[MadeRow]
    fitting: int
    kept: int
    held: int
    decided: int
    kinds: dict[str, int]
    written: bool
    unwritten: int


class ToDecide(BaseModel):
    """question, answer: in a person's words, left out where they stay. open: as the checks have it."""

    verdict: Literal["accepted", "rejected", "open"]
    question: Text | None = None
    answer: Text | None = None


class ToWrite(BaseModel):
    """anyway: although the file was changed by others since."""

    anyway: bool = False


class Written(BaseModel):
    """rows of each data set."""

    rows: dict[str, int]


@router.get("/runs/{run:path}/made")
def made_rows(
    run: str, studio: TheStudio, state: Literal["", "kept", "held", "decided"] = "",
    query: Annotated[str, Query(max_length=500)] = "", offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 20, newest: bool = False,
) -> Made:  # fmt: skip
    """The rows of a `data make` job as its answers and the decisions on them are now."""
    layout = _layout(studio, run)
    asked = {"state": state, "query": query, "offset": offset, "limit": limit, "newest": newest}
    return Made(**_ask(studio, "show", layout, **asked))


@router.put("/runs/{run:path}/made/{row}", status_code=204)
def decide_on_row(run: str, row: Key, asked: ToDecide, studio: TheStudio) -> None:
    """Accept, reject or correct a row. It counts when the job writes its data set, or when that is written anew."""
    decide(_layout(studio, run).decisions, row, Decision(asked.verdict, asked.question, asked.answer))


@router.post("/runs/{run:path}/made/write")
def write_made(run: str, asked: ToWrite, studio: TheStudio) -> Written:
    """Write the data set anew, as the decisions want it; 409 (`revision`) where others changed the file since."""
    layout = _layout(studio, run)
    if studio.workspace.run(run).state().active:
        raise Clash("The job is at work.", hint="What is decided counts when it writes its data set.")
    try:
        return Written(**_ask(studio, "write", layout, anyway=asked.anyway))
    except UserError as error:
        if error.field == "revision":
            raise Clash(error.message, hint=error.hint, field=error.field) from None
        raise


def _layout(studio: Studio, run: str) -> RunLayout:
    reader = studio.workspace.run(run)
    if reader.state().kind != _KIND or not reader.layout.journal.is_file():
        raise UserError(f"{run} has no rows that a model wrote.")
    return reader.layout


def _ask(studio: Studio, do: str, layout: RunLayout, **more: Any) -> dict[str, Any]:
    answer = studio.children.asked(_MODULE).ask(do, run=str(layout.root), **more)
    return {key: value for key, value in answer.items() if key not in ("id", "end", "stopped")}
