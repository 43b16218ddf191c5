"""One data set from its files to a folder of token samples, kept in a cache under the hash of all that went into it."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeGuard

from tunesmith.data.entry import DatasetEntry
from tunesmith.data.examples import ExampleReader, ReadExample, Refusal, Refusals
from tunesmith.data.layout import Layout, Stage, choose_layout, nearest_format
from tunesmith.data.report import DatasetReport
from tunesmith.data.sources import Meter, SourceFile, SourceRow, locate, read_rows
from tunesmith.data.tokens import TokenFile, TokenWriter
from tunesmith.errors import UserError
from tunesmith.text.conversation import Example
from tunesmith.text.rows import RowError

if TYPE_CHECKING:
    from tunesmith.text.encode import TokenSample

Report = Callable[[int, int], None]
_SAMPLE = 64  # rows looked at to tell the layout
_VERSION = 1  # of what this file makes of a row; a change makes older caches miss


class RowEncoder(Protocol):
    """What data needs of text.encode.Encoder."""

    @property
    def notes(self) -> tuple[str, ...]: ...

    def encode(self, examples: Sequence[Example]) -> list[TokenSample | RowError]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeOptions:
    """What makes token samples of rows. encoder_key: names tokenizer, template and options of the encoder."""

    stage: Stage
    encoder: RowEncoder
    encoder_key: str
    placeholders: Mapping[str, str]
    max_samples: int | None
    strict: bool
    batch_rows: int
    overwrite: bool


def open_dataset(
    entry: DatasetEntry, files: Sequence[SourceFile], stage: Stage, meter: Meter | None = None
) -> tuple[Layout, Iterator[SourceRow]]:
    """(layout, all rows) of a data set; the first rows are read to tell the layout."""
    rows = read_rows(list(files), meter)
    head = list(itertools.islice(rows, _SAMPLE))
    sample = [row.row for row in head if not isinstance(row.row, RowError)]
    if not sample:
        raise UserError(_nothing(entry, head), hint="Is it the right file?", field="dataset")
    return choose_layout(entry, sample, stage), itertools.chain(head, rows)


def tokenize_dataset(
    entry: DatasetEntry, options: TokenizeOptions, cache_dir: Path, report: Report
) -> tuple[TokenFile, DatasetReport]:
    """The token samples of a data set, from the cache where they are there; report(bytes done, bytes in all)."""
    files = locate(entry, cache_dir)
    folder = cache_dir / "tokens" / _key(entry, files, options)
    if options.overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    if TokenFile.exists(folder):
        tokens = TokenFile(folder)
        found = DatasetReport.from_json(tokens.meta["report"], name=entry.name, seconds=0.0, cached=True)
        if options.strict and found.refusals:
            Refusals().add(found.refusals[0], strict=True)
    else:
        tokens, found = _tokenize(entry, files, options, folder, report)
    return tokens, found


def _tokenize(
    entry: DatasetEntry, files: Sequence[SourceFile], options: TokenizeOptions, folder: Path, report: Report
) -> tuple[TokenFile, DatasetReport]:
    started = time.perf_counter()
    meter, total = Meter(), sum(source.path.stat().st_size for source in files)
    layout, rows = open_dataset(entry, files, options.stage, meter)
    reader = ExampleReader(layout, options.placeholders)
    refusals, left = Refusals(), Counter[str]()
    read = truncated = 0
    with TokenWriter(folder) as writer:
        for batch in _batches(itertools.islice(rows, rows_read(entry, options.max_samples)), options.batch_rows):
            read += len(batch)
            examples = _examples(batch, reader, refusals, left, options.strict)
            samples = list(usable_samples(examples, options.encoder, refusals, options.strict))
            truncated += sum(sample.truncated for sample in samples)
            writer.append(samples)
            report(min(meter.done, total), total)
        if not writer.rows:
            raise UserError(_none_usable(entry, refusals), hint=_layout_hint(entry, layout, batch), field="dataset")
        found = DatasetReport(
            name=entry.name,
            format=layout.format.name,
            rows=read,
            samples=writer.rows,
            refused=refusals.count,
            reasons=refusals.reasons(),
            refusals=tuple(refusals.listed),
            truncated=truncated,
            tokens=writer.tokens,
            trained=writer.trained,
            placeholders=dict(left.most_common()),
            encodings={source.path.name: source.encoding for source in files if source.encoding},
            notes=entry.notes + layout.notes + options.encoder.notes,
            seconds=time.perf_counter() - started,
        )
        report(total, total)
        return writer.finish({"report": found.to_json()}), found


def rows_read(entry: DatasetEntry, max_samples: int | None) -> int | None:
    """Rows read from the files: `max_samples`, unless they are first to be drawn at random from all."""
    return max_samples if entry.num_samples is None else None


def _batches(rows: Iterable[SourceRow], size: int) -> Iterator[list[SourceRow]]:
    rows = iter(rows)
    while batch := list(itertools.islice(rows, size)):
        yield batch


def _examples(
    batch: list[SourceRow], reader: ExampleReader, refusals: Refusals, left: Counter[str], strict: bool
) -> list[ReadExample]:
    examples = []
    for row in batch:
        read = reader.read(row)
        if isinstance(read, Refusal):
            refusals.add(read, strict=strict)
        else:
            examples.append(read)
            if read.left:
                left.update(read.left)
    return examples


def is_usable(sample: TokenSample | RowError) -> TypeGuard[TokenSample]:
    """Whether a row gave a sample in which something is trained."""
    return not isinstance(sample, RowError) and bool(sample.weights.any())


def usable_samples(
    examples: list[ReadExample], encoder: RowEncoder, refusals: Refusals, strict: bool
) -> Iterator[TokenSample]:
    """The samples of a batch; a row the encoder refuses, or in which nothing is trained, is a refusal."""
    for read, sample in zip(examples, encoder.encode([read.example for read in examples]), strict=True):
        if is_usable(sample):
            yield sample
            continue
        nothing = "nothing in it is trained: its answers are switched off, or cut off by cutoff_len"
        reason = sample.reason if isinstance(sample, RowError) else nothing
        refusals.add(Refusal(read.file, read.line, reason), strict=strict)


def _key(entry: DatasetEntry, files: Sequence[SourceFile], options: TokenizeOptions) -> str:
    """Hash of the files' contents and of everything that decides what samples they become."""
    digest = hashlib.blake2b(digest_size=16)
    for source in files:
        with source.path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
        digest.update(repr((source.path.name, source.encoding)).encode())
    parts = (
        _VERSION,
        options.stage,
        options.encoder_key,
        sorted(options.placeholders.items()),
        rows_read(entry, options.max_samples),
        entry.formatting,
        entry.columns,
        entry.columns_given,
        entry.tags,
    )
    digest.update(repr(parts).encode())
    return digest.hexdigest()


def _nothing(entry: DatasetEntry, head: list[SourceRow]) -> str:
    if not head:
        return f"Data set {entry.name!r} holds no rows."
    first = head[0].row
    reason = first.reason if isinstance(first, RowError) else ""
    return f"None of the first {len(head)} rows of data set {entry.name!r} can be read: {reason}."


def _none_usable(entry: DatasetEntry, refusals: Refusals) -> str:
    most = "; ".join(f"{count:,} × {reason}" for reason, count in list(refusals.reasons().items())[:3])
    return f"No row of data set {entry.name!r} can be used: {most} (first: {refusals.listed[0]})."


def _layout_hint(entry: DatasetEntry, layout: Layout, batch: list[SourceRow]) -> str:
    rows = [row.row for row in batch if not isinstance(row.row, RowError)]
    looks = nearest_format(rows)
    if looks is not None and looks != layout.format.name:
        return f"Its rows look like the format {looks}: set `formatting: {looks}` for it in dataset_info.json."
    return "Compare the file with its `formatting`, `columns` and `tags` in dataset_info.json."
