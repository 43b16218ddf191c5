"""How the rows of a data set are to be read: its format and columns, from the entry or from the first rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.data.entry import DatasetEntry
from tunesmith.data.headers import column_for
from tunesmith.errors import UserError
from tunesmith.text.formats import FORMATS, Columns, Format, Tags

Stage = Literal["pt", "sft"]
_Row = Mapping[str, Any]

_FOR_STAGE = {"dpo": "preference tuning (dpo and its kin)", "kto": "kto"}


@dataclass(frozen=True, slots=True)
class Layout:
    """A format with its columns and tags. notes: what was found out rather than told."""

    format: Format
    columns: Columns
    tags: Tags
    notes: tuple[str, ...] = ()


def choose_layout(entry: DatasetEntry, sample: Sequence[_Row], stage: Stage) -> Layout:
    """The layout of a data set by its first rows; UserError where it doesn't suit the stage or can't be told."""
    _refuse_preferences(entry, sample, stage)
    if stage == "pt":
        return _documents(entry, sample)
    name = entry.formatting or _detect(entry, sample)
    if name == "text":
        raise UserError(
            f"Data set {entry.name!r} holds plain text, and stage sft learns from questions with answers.",
            hint="Set `stage: pt` to train on plain text.",
            field="stage",
        )
    if name is not None:
        notes = () if entry.formatting or name == "alpaca" else (f"{entry.name}: the format is {name}, by its rows.",)
        return Layout(FORMATS.get(name), entry.columns, entry.tags, notes)
    return _guess_columns(entry, sample)


def nearest_format(sample: Sequence[_Row]) -> str | None:
    """The one format that all of these rows look like, if there is one."""
    for name, known in FORMATS:
        if sample and all(known.detect(row) for row in sample):
            return name
    return None


def _likeliest_format(sample: Sequence[_Row]) -> str | None:
    """The format that most of these rows look like: a few damaged ones are refused later, each with its reason."""
    votes = {name: sum(known.detect(row) for row in sample) for name, known in FORMATS}
    best = max(votes, key=lambda name: votes[name], default=None)
    return best if best is not None and votes[best] > len(sample) / 2 else None


def _detect(entry: DatasetEntry, sample: Sequence[_Row]) -> str | None:
    """The format by the rows; an entry that names columns of its own but no format is alpaca, as upstream has it."""
    column = entry.columns.messages
    if column is not None:
        return nearest_format([{"messages": row.get(column)} for row in sample]) or "sharegpt"
    return "alpaca" if entry.columns_given else nearest_format(sample) or _likeliest_format(sample)


def _guess_columns(entry: DatasetEntry, sample: Sequence[_Row]) -> Layout:
    found = list(dict.fromkeys(str(name) for row in sample for name in row))
    question = column_for("instruction", found) or ("input" if "input" in found else None)
    answer = column_for("output", found)
    if question is None or answer is None:
        raise UserError(
            f"The columns of data set {entry.name!r} don't tell its format: {', '.join(found)}.",
            hint="Known: instruction + output (alpaca), conversations (sharegpt), messages (openai), text (stage pt)."
            " Rename the columns, or say which is which: in the studio on the page of the data set, or under `columns`"
            " in dataset_info.json.",
            field="dataset",
            code="columns",
        )
    query = "input" if question != "input" else None
    columns = dataclasses.replace(entry.columns, prompt=question, query=query, response=answer)
    note = f"{entry.name}: questions are taken from column {question!r}, answers from {answer!r}."
    return Layout(FORMATS.get("alpaca"), columns, entry.tags, (note,))


def _documents(entry: DatasetEntry, sample: Sequence[_Row]) -> Layout:
    conversational = entry.formatting in ("sharegpt", "openai") or (
        entry.formatting is None and _detect(entry, sample) in ("sharegpt", "openai")
    )
    if conversational:
        raise UserError(
            f"Data set {entry.name!r} holds conversations, and stage pt trains on plain text.",
            hint="Set `stage: sft`.",
            field="stage",
        )
    notes = []
    answer = entry.columns.response
    if any(answer in row and "text" not in row for row in sample):
        notes.append(f"{entry.name}: stage pt reads the text alone; column {answer!r} is left out.")
    return Layout(FORMATS.get("text"), entry.columns, entry.tags, tuple(notes))


def _refuse_preferences(entry: DatasetEntry, sample: Sequence[_Row], stage: Stage) -> None:
    pairs = bool(sample) and all("chosen" in row and "rejected" in row for row in sample)
    kind = entry.preference or ("dpo" if pairs and not entry.columns_given else None)
    if kind is not None:
        raise UserError(
            f"Data set {entry.name!r} holds rated answers for {_FOR_STAGE[kind]}, and the stage is {stage}.",
            hint="Choose another data set, or name the column of the good answer as `response` of an entry of its own.",
            field="stage",
        )
