"""`data check`: whether a data set is fit to train on, before anything is trained."""

from __future__ import annotations

import hashlib
import itertools
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tunesmith.data.entry import DatasetEntry
from tunesmith.data.examples import ExampleReader, ReadExample, Refusal, Refusals
from tunesmith.data.layout import Stage
from tunesmith.data.seen import NOWHERE, Seen, as_numbers
from tunesmith.data.sources import SourceRow, locate
from tunesmith.data.tokenize import RowEncoder, open_dataset, usable_samples
from tunesmith.i18n import plural
from tunesmith.text.conversation import Document, Example

_BATCH = 1000
_EXAMPLES = 5
_BAR = 40
_LINE_BITS = 40  # of a place, below the number of the file


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was found in a data set.

    duplicates: rows equal to an earlier one; near_duplicates: equal but for case, width, spaces and punctuation.
    twins: the first of both, as (place, place of the earlier row). contradictions: questions with several answers.
    unasked: usable rows with an empty question, which are trained as they are; unasked_at: the places of the first.
    lengths: tokens of each usable row before any cut, int64, None without an encoder. overlap: eval set → rows that
    are among the checked ones.
    """

    name: str
    format: str
    rows: int
    usable: int
    reasons: Mapping[str, int]
    refusals: tuple[Refusal, ...]
    duplicates: int
    near_duplicates: int
    twins: tuple[tuple[str, str], ...]
    contradictions: int
    unasked: int
    unasked_at: tuple[str, ...]
    lengths: NDArray[np.int64] | None
    cutoff: int
    placeholders: Mapping[str, int]
    encodings: Mapping[str, str]
    overlap: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def truncated(self) -> int:
        """Rows longer than cutoff."""
        return 0 if self.lengths is None else int((self.lengths > self.cutoff).sum())


def check_dataset(
    entry: DatasetEntry,
    *,
    stage: Stage,
    cache_dir: Path,
    placeholders: Mapping[str, str],
    encoder: RowEncoder | None = None,
    cutoff: int = 2048,
    against: Sequence[DatasetEntry] = (),
    max_samples: int | None = None,
    before_batch: Callable[[], None] = lambda: None,
) -> CheckReport:
    """Read a whole data set and report on it. encoder: one without a cutoff. against: eval sets to look for overlap.

    before_batch: what it raises ends the reading.
    """
    files = locate(entry, cache_dir)
    layout, rows = open_dataset(entry, files, stage)
    reader, refusals, seen = ExampleReader(layout, placeholders), Refusals(), _Twins()
    left, lengths = Counter[str](), array("q")
    count = usable = unasked = 0
    unasked_at: list[str] = []
    for batch in _batches(itertools.islice(rows, max_samples)):
        before_batch()
        count += len(batch)
        read = [one for one in map(reader.read, batch) if _kept(one, refusals)]
        examples = [one for one in read if isinstance(one, ReadExample)]
        for one in examples:
            left.update(one.left)
        seen.add(examples)
        silent = [f"{Path(one.file).name}:{one.line}" for one in examples if _asks_nothing(one.example)]
        unasked += len(silent)
        unasked_at += silent[: _EXAMPLES - len(unasked_at)]
        if encoder is None:
            usable += len(examples)
        else:
            samples = [len(sample.input_ids) for sample in usable_samples(examples, encoder, refusals, strict=False)]
            usable += len(samples)
            lengths.extend(samples)
    overlap = {other.name: _overlap(other, seen, stage, cache_dir, placeholders) for other in against}
    return CheckReport(
        name=entry.name,
        format=layout.format.name,
        rows=count,
        usable=usable,
        reasons=refusals.reasons(),
        refusals=tuple(refusals.listed),
        duplicates=seen.exact,
        near_duplicates=seen.near,
        twins=tuple(seen.twins),
        contradictions=seen.contradictions(),
        unasked=unasked,
        unasked_at=tuple(unasked_at),
        lengths=None if encoder is None else np.array(lengths, dtype=np.int64),
        cutoff=cutoff,
        placeholders=dict(left.most_common()),
        encodings={source.path.name: source.encoding for source in files if source.encoding},
        overlap=overlap,
        notes=entry.notes + layout.notes + (encoder.notes if encoder is not None else ()),
    )


class _Twins:
    """Rows that say the same, and questions with several answers, among those seen so far."""

    def __init__(self) -> None:
        self._exact, self._near, self._answers = Seen(), Seen(), Seen()
        self._files: dict[str, int] = {}
        self._contradicted: set[int] = set()
        self.exact = self.near = 0
        self.twins: list[tuple[str, str]] = []

    def add(self, rows: Sequence[ReadExample]) -> None:
        if not rows:
            return
        said = [_question_and_answer(row.example) for row in rows]
        places = np.array([self._place(row) for row in rows], dtype=np.int64)
        same = self._exact.add(as_numbers([_digest(question + "\0" + answer) for question, answer in said]), places)
        alike = self._near.add(as_numbers([normal_digest(row.example) for row in rows]), places)
        earlier = np.where(same != NOWHERE, same, alike)
        self.exact += int((same != NOWHERE).sum())
        self.near += int(((same == NOWHERE) & (alike != NOWHERE)).sum())
        for at in np.flatnonzero(earlier != NOWHERE)[: _EXAMPLES - len(self.twins)].tolist():
            self.twins.append((self._told(int(places[at])), self._told(int(earlier[at]))))
        self._compare([each for each in said if each[1]])

    def _compare(self, said: Sequence[tuple[str, str]]) -> None:
        """Questions whose answer is another one than the first that was given."""
        if not said:
            return
        questions = as_numbers([_digest(question) for question, _ in said])
        answers = as_numbers([_digest(answer) for _, answer in said]) & np.iinfo(np.int64).max
        first = self._answers.add(questions, answers)
        self._contradicted.update(questions[(first != NOWHERE) & (first != answers)].tolist())

    def _place(self, row: ReadExample) -> int:
        return self._files.setdefault(row.file, len(self._files)) << _LINE_BITS | row.line

    def _told(self, place: int) -> str:
        file = list(self._files)[place >> _LINE_BITS]
        return f"{Path(file).name}:{place & (1 << _LINE_BITS) - 1}"

    def contradictions(self) -> int:
        return len(self._contradicted)

    def count(self, examples: Sequence[Example]) -> int:
        """How many of them are among the rows, but for case, spaces and punctuation."""
        if not examples:
            return 0
        return int((self._near.find(as_numbers([normal_digest(each) for each in examples])) != NOWHERE).sum())


def normal_digest(example: Example) -> bytes:
    """Equal for examples that differ in case, width of characters, spaces and punctuation only."""
    text = unicodedata.normalize("NFKC", "\0".join(_question_and_answer(example))).casefold()
    return _digest("".join(char for char in text if char.isalnum() or char == "\0"))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _question_and_answer(example: Example) -> tuple[str, str]:
    if isinstance(example, Document):
        return example.text, ""
    before = "\0".join(f"{message.role}\0{message.content}" for message in example.messages[:-1])
    last = example.messages[-1]
    return before, f"{last.content}{last.tool_calls or ''}"


def _asks_nothing(example: Example) -> bool:
    """Whether a turn of the user is empty."""
    return not isinstance(example, Document) and any(
        message.role == "user" and not message.content.strip() for message in example.messages
    )


def _kept(read: ReadExample | Refusal, refusals: Refusals) -> bool:
    if isinstance(read, Refusal):
        refusals.add(read, strict=False)
        return False
    return True


def _overlap(other: DatasetEntry, seen: _Twins, stage: Stage, cache_dir: Path, placeholders: Mapping[str, str]) -> int:
    layout, rows = open_dataset(other, locate(other, cache_dir), stage)
    read = ExampleReader(layout, placeholders).read
    batches = ([one for one in map(read, batch) if isinstance(one, ReadExample)] for batch in _batches(rows))
    return sum(seen.count([one.example for one in batch]) for batch in batches)


def _batches(rows: Iterator[SourceRow]) -> Iterator[list[SourceRow]]:
    while batch := list(itertools.islice(rows, _BATCH)):
        yield batch


def render_check(report: CheckReport) -> RenderableType:
    """The report for a terminal."""
    facts = Table.grid(padding=(0, 2))
    facts.add_row("data set", f"{report.name} ({report.format})")
    facts.add_row("rows", f"{report.rows:,}, of which {report.usable:,} can be used")
    for reason, count in report.reasons.items():
        facts.add_row("refused", Text(f"{count:,} × {reason}", style="red"))
    for refusal in report.refusals[:_EXAMPLES]:
        facts.add_row("", Text(str(refusal), style="dim"))
    twice = f"{report.duplicates:,} exact, {report.near_duplicates:,} but for case, spaces and punctuation"
    facts.add_row("duplicates", Text(twice, style="yellow" if report.duplicates + report.near_duplicates else ""))
    for place, earlier in report.twins:
        facts.add_row("", Text(f"{place} = {earlier}", style="dim"))
    if report.contradictions:
        questions = plural("{count:,} question", "{count:,} questions", report.contradictions)
        facts.add_row("contradictions", Text(f"{questions} with different answers", "yellow"))
    if report.unasked:
        rows = plural("{count:,} row", "{count:,} rows", report.unasked)
        facts.add_row("empty questions", Text(f"{rows}: {', '.join(report.unasked_at)}", "yellow"))
    if report.placeholders:
        left = ", ".join(f"{{{{{name}}}}} {count:,} ×" for name, count in report.placeholders.items())
        facts.add_row("placeholders", Text(f"left in the text: {left}", style="yellow"))
    for file, encoding in report.encodings.items():
        facts.add_row("encoding", f"{file}: {encoding.upper()}")
    for name, count in report.overlap.items():
        rows = plural("{count:,} row", "{count:,} rows", count)
        facts.add_row("overlap", Text(f"{rows} of {name}", style="red" if count else ""))
    for note in report.notes:
        facts.add_row("note", note)
    return Group(facts, *_histogram(report))


def _histogram(report: CheckReport) -> list[RenderableType]:
    lengths = report.lengths
    if lengths is None or not len(lengths):
        return []
    share = 100 * report.truncated / len(lengths)
    middle, high = np.percentile(lengths, [50, 99]).astype(int)
    summary = f"{lengths.sum():,} tokens; a row has {middle:,} (median), {high:,} (99 %), {lengths.max():,} (longest)"
    lines: list[RenderableType] = ["", summary]
    borders = [0, *(2**power for power in range(4, int(lengths.max()).bit_length() + 1))]
    counts, _ = np.histogram(lengths, bins=[*borders, np.inf] if len(borders) == 1 else borders)
    for low, top, count in zip(borders, borders[1:], counts.tolist(), strict=False):
        bar = "█" * round(_BAR * count / max(1, counts.max()))
        style = "red" if low >= report.cutoff else "cyan"
        lines.append(Text.assemble(f"{low:>7,} – {top - 1:<7,} ", (f"{bar:<{_BAR}}", style), f" {count:,}"))
    longer = plural("{count:,} row", "{count:,} rows", report.truncated)
    lines.append(f"Longer than cutoff_len {report.cutoff:,}: {longer} ({share:.1f} %).")
    return lines
