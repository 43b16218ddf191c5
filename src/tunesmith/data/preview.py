"""`data preview`: what the model will see of a row, token by token, and which of it is trained. Needs no torch."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from tunesmith.data.entry import DatasetEntry
from tunesmith.data.examples import ExampleReader, ReadExample, Refusal
from tunesmith.data.layout import Stage
from tunesmith.data.sources import locate
from tunesmith.data.tokenize import RowEncoder, open_dataset
from tunesmith.text.conversation import Document
from tunesmith.text.rows import RowError

TRAINED, CONTEXT = "bold green", "dim"
_MOST_SHOWN = 2000


class Decoder(Protocol):
    """What a preview needs of a tokenizer."""

    def decode(self, ids: list[int]) -> str: ...


Run = tuple[bool, tuple[int, ...], str]
"""(trained, ids, text) of tokens that follow each other."""


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A row as it will be trained on. runs: stretches of tokens that are trained or not, as (trained, ids, text)."""

    file: str
    line: int
    runs: tuple[Run, ...]
    truncated: bool

    @property
    def tokens(self) -> int:
        return sum(len(ids) for _, ids, _ in self.runs)

    @property
    def trained(self) -> int:
        return sum(len(ids) for trained, ids, _ in self.runs if trained)


def preview_rows(
    entry: DatasetEntry,
    *,
    stage: Stage,
    cache_dir: Path,
    encoder: RowEncoder,
    tokenizer: Decoder,
    placeholders: Mapping[str, str],
    start: int = 0,
    count: int = 1,
) -> Iterator[PreviewRow | Refusal]:
    """Rows `start` … `start + count - 1` of a data set, in file order, refused ones with their reason."""
    layout, rows = open_dataset(entry, locate(entry, cache_dir), stage)
    reader = ExampleReader(layout, placeholders)
    for row in itertools.islice(rows, start, start + count):
        read = reader.read(row)
        if isinstance(read, Refusal):
            yield read
            continue
        (sample,) = encoder.encode([read.example])
        if isinstance(sample, RowError):
            yield Refusal(read.file, read.line, sample.reason)
            continue
        runs = split_runs(sample.input_ids, sample.weights, tokenizer)
        yield PreviewRow(read.file, read.line, runs, sample.truncated)


def plain_rows(
    entry: DatasetEntry, *, stage: Stage, cache_dir: Path, placeholders: Mapping[str, str], count: int
) -> Iterator[RenderableType]:
    """The first rows as they are before any model's template: who says what, and which of it is trained."""
    layout, rows = open_dataset(entry, locate(entry, cache_dir), stage)
    reader = ExampleReader(layout, placeholders)
    for row in itertools.islice(rows, count):
        read = reader.read(row)
        yield Text(str(read), style="red") if isinstance(read, Refusal) else _plain(read)


def _plain(read: ReadExample) -> RenderableType:
    head = Text(f"{Path(read.file).name}:{read.line}", style="bold")
    if isinstance(read.example, Document):
        return Group(head, Text(_shown(read.example.text), style=TRAINED))
    lines = []
    for message in read.example.messages:
        trained = message.role == "assistant" and message.train is not False
        calls = [f"{call.name}({json.dumps(call.arguments, ensure_ascii=False)})" for call in message.tool_calls]
        thinking = [f"<think>{message.thinking}</think>"] if message.thinking else []
        said = "\n".join(part for part in (*thinking, message.content, *calls) if part)
        lines.append(Text.assemble((f"{message.role}: ", "bold"), (_shown(said), TRAINED if trained else CONTEXT)))
    return Group(head, *lines)


def _shown(text: str) -> str:
    """A text that may be a whole book, by its beginning and its end."""
    if len(text) <= _MOST_SHOWN:
        return text
    half = _MOST_SHOWN // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters …\n{text[-half:]}"


def split_runs(ids: NDArray[np.int32], weights: NDArray[np.float32], tokenizer: Decoder) -> tuple[Run, ...]:
    """Stretches of a sample that are trained or not. ids, weights: [T], weights of the token itself."""
    pairs = zip((weights != 0).tolist(), ids.tolist(), strict=True)
    grouped = ((trained, [id for _, id in run]) for trained, run in itertools.groupby(pairs, lambda pair: pair[0]))
    return tuple((trained, tuple(ids), tokenizer.decode(ids)) for trained, ids in grouped)


def marked_text(runs: tuple[Run, ...]) -> Text:
    """The text of a sample; what is trained stands out."""
    return Text.assemble(*((part, TRAINED if trained else CONTEXT) for trained, _, part in runs))


def render_preview(row: PreviewRow | Refusal) -> RenderableType:
    """A row for a terminal: its text, then its ids; what is trained stands out."""
    if isinstance(row, Refusal):
        return Text(str(row), style="red")
    text = marked_text(row.runs)
    ids = Text()
    for trained, run, _ in row.runs:
        ids.append(" ".join(map(str, run)) + " ", TRAINED if trained else CONTEXT)
    head = f"{Path(row.file).name}:{row.line} — {row.tokens:,} tokens, {row.trained:,} trained"
    legend = Text.assemble("trained", style=TRAINED) + Text(" · ") + Text("context", style=CONTEXT)
    cut = " — shortened to cutoff_len" if row.truncated else ""
    learned = Text(" … ".join(repr(part) for trained, _, part in row.runs if trained) or "(nothing)")
    parts = (legend, text, Text("trained on", style="bold"), learned, Text("ids", style="bold"), ids)
    return Group(Text(head + cut, style="bold"), *parts)
