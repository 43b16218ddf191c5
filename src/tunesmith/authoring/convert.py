"""Tables, documents and data sets of any format into one registered data set, without a model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.authoring.document import Found, Skipped, find_documents
from tunesmith.authoring.mapping import Wanted
from tunesmith.authoring.options import ConvertSettings, FileType, Only, RowFormat
from tunesmith.authoring.publish import Published, publish, refuse_existing, target, written_aside
from tunesmith.authoring.ranking import Ranked, write_ranked
from tunesmith.authoring.records import RECORDS
from tunesmith.authoring.sources import Family, Item, ReadingOptions, Rejected, Source, open_sources
from tunesmith.data.catalog import Catalog
from tunesmith.data.entry import INFO, DatasetEntry
from tunesmith.errors import UserError
from tunesmith.i18n import plural
from tunesmith.text.formats import FORMATS
from tunesmith.text.rows import RowError

Tell = Callable[[int, int], None]
_FAMILIES: Mapping[Only, Family] = {"questions": "conversations", "text": "text"}
_NOT_TAKEN: Mapping[Only, str] = {
    "questions": "It holds plain text, and only questions are taken.",
    "text": "It holds questions with answers, and only plain text is taken.",
}
_LOOKED_AT, _SHOWN = 64, 3
_MESSAGE_KEYS = {
    "from", "value", "role", "content", "tool_calls", "function_call", "tool_call_id", "reasoning_content", "train",
    "loss", "weight", "loss_weight",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """What is to be made. to: None takes the format of the sources, alpaca for tables. only: None takes all."""

    out: str
    dataset_dir: str = "data"
    to: RowFormat | None = None
    file_type: FileType = "jsonl"
    reading: ReadingOptions = field(default_factory=ReadingOptions)
    replace: bool = False
    only: Only | None = None

    @classmethod
    def of(cls, given: ConvertSettings) -> ConvertOptions:
        """What the command line or the page was given."""
        wanted = Wanted(given.instruction, given.output, given.input or None, given.system or None)
        reading = ReadingOptions(
            wanted=wanted, mode=given.mode, header=given.header, sheets=given.sheet, as_text=given.as_text
        )
        return cls(
            out=given.out, dataset_dir=given.dataset_dir, to=given.to, file_type=given.type, reading=reading,
            replace=given.replace, only=given.only,
        )  # fmt: skip

    def takes(self, source: Source) -> bool:
        return self.only is None or _FAMILIES[self.only] == source.family


@dataclass(frozen=True, slots=True)
class Plan:
    """What a conversion will do. sources: one for each table, file of rows or document, with the head of its items."""

    files: tuple[Path, ...]
    sources: tuple[Source, ...]
    skipped: tuple[Skipped, ...]
    to: RowFormat
    entries: Mapping[Path, DatasetEntry]
    reading: ReadingOptions


@dataclass(frozen=True, slots=True)
class Converted:
    """What was made of what. rejected: rows left out, by reason, the most frequent first; beside: their file."""

    published: Published
    rejected: Mapping[str, int]
    beside: Path | None
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def plan(names: Sequence[str], options: ConvertOptions) -> Plan:
    """Look at the head of every source; UserError where nothing can be made of them together.

    names: files, folders, and data sets of dataset_info.json.
    """
    path = target(options.out, options.dataset_dir, options.file_type, replace=options.replace)
    refuse_existing(_beside(path), replace=options.replace)
    paths, entries = located(names, options.dataset_dir)
    reading = replace(options.reading, named=tuple(map(Path, names)))
    found = found_in(paths)
    files, sources, skipped = [], list[Source](), list(found.skipped)
    for path in found.documents:
        try:
            opened = open_sources(path, reading, entries.get(path))
        except UserError as error:
            if len(found.documents) == 1:
                raise
            skipped.append(Skipped.because(path, error))
            continue
        wanted = [one for one in opened if isinstance(one, Source) and options.takes(one)]
        for one in wanted:
            if one.opened:  # the file is closed: a folder holds more than may be open at once
                one.items = iter(_head(one.items))
        files += [path] * bool(wanted)
        sources += wanted
        skipped += [one for one in opened if isinstance(one, Skipped)]
        if options.only and any(isinstance(one, Source) and not options.takes(one) for one in opened):
            skipped.append(Skipped(path, _NOT_TAKEN[options.only]))
    if not sources:
        raise UserError("No source can be read:\n" + "\n".join(f"  {one}" for one in skipped[:10]))
    return Plan(tuple(files), tuple(sources), tuple(skipped), _target_format(sources, options), entries, reading)


def _head(items: Iterator[Item | Rejected]) -> list[Item | Rejected]:
    """The first items, and so many that an example is among them if the head of the file has one."""
    head: list[Item | Rejected] = []
    for item in islice(items, _LOOKED_AT):
        head.append(item)
        if len(head) >= _SHOWN and any(isinstance(one, Item) for one in head):
            break
    return head


def convert(made: Plan, options: ConvertOptions, tell: Tell = lambda rows, rejected: None) -> Converted:
    """Write and register the data set; tell(rows written, rows rejected) is called as it goes.

    UserError where no row is left; nothing is changed then.
    """
    ranking, kto_tag = _rated(made.sources)
    rejected, notes, skipped = Counter[str](), list[str](), list(made.skipped)
    path = target(options.out, options.dataset_dir, options.file_type, replace=options.replace)
    beside = _beside(path)
    first: dict[str, str] = {}
    with (
        written_aside(beside) as aside,
        aside.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):

        def refuse(one: Rejected) -> None:
            rejected[one.reason] += 1
            first.setdefault(one.reason, one.place)
            record = {"place": one.place, "reason": one.reason, "row": one.row}
            file.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")

        def rows() -> Iterator[dict[str, Any]]:
            count = 0
            for item in _items(made, notes, skipped):
                row = item if isinstance(item, Rejected) else _written(item[0], item[1], made.to, notes, ranking)
                if isinstance(row, Rejected):
                    refuse(row)
                else:
                    count += 1
                    yield row
                tell(count, rejected.total())

        try:
            published = publish(
                rows(), options.out, options.dataset_dir, made.to, options.file_type,
                ranking=ranking, kto_tag=kto_tag, replace=options.replace,
            )  # fmt: skip
        except UserError as error:
            if not rejected:
                raise
            raise UserError(f"{error.message} {_why(rejected, first)}", hint=error.hint) from None
        file.flush()
        if rejected:
            aside.replace(beside)
        else:
            beside.unlink(missing_ok=True)  # of an earlier data set of that name, which was replaced
    reasons = {f"{reason} (first: {first[reason]})": count for reason, count in rejected.most_common()}
    return Converted(published, reasons, beside if rejected else None, tuple(skipped), tuple(dict.fromkeys(notes)))


def _beside(path: Path) -> Path:
    """The file of the rows that are left out."""
    return path.with_name(f"{path.stem}.rejected.jsonl")


def _items(made: Plan, notes: list[str], skipped: list[Skipped]) -> Iterator[tuple[Item, Source] | Rejected]:
    """All items of all sources, opened anew; one that breaks off is told and the others go on."""
    for path in made.files:
        try:
            for source in open_sources(path, made.reading, made.entries.get(path)):
                if isinstance(source, Skipped) or source.family != made.sources[0].family:
                    continue  # told when it was looked at
                for item in source.items:
                    yield item if isinstance(item, Rejected) else (item, source)
                notes += source.notes
        except UserError as error:
            if len(made.files) == 1:
                raise
            skipped.append(Skipped.because(path, error))


def _written(item: Item, source: Source, to: RowFormat, notes: list[str], ranking: bool) -> dict[str, Any] | Rejected:
    """The row in the format asked for; as it stood, where it has that format already."""
    if ranking != isinstance(item.example, Ranked):
        return Rejected(item.place, "it has one answer, and the others have two that are rated", item.row)
    if source.usual and source.format == to and not ranking:
        return dict(item.row)
    try:
        row = as_row(item, to)
    except RowError as error:
        return Rejected(item.place, error.reason, item.row)
    if lost := sorted(_foreign_keys(item.row)):
        note = f"{source.name}: {to} has no place for {', '.join(map(repr, lost))} of single messages; left out."
        if note not in notes:
            notes.append(note)
    return {**row, **{key: value for key, value in item.extras.items() if key not in row}}


def as_row(item: Item, to: RowFormat) -> dict[str, Any]:
    """The row that a format makes of an example. RowError where it has no place for it."""
    return write_ranked(item.example, to) if isinstance(item.example, Ranked) else FORMATS.get(to).write(item.example)


def _foreign_keys(row: Mapping[str, Any]) -> set[str]:
    """Keys of messages that mean nothing to any format."""
    messages = row.get("messages") or row.get("conversations")
    if not isinstance(messages, list):
        return set()
    return {key for one in messages if isinstance(one, Mapping) for key, value in one.items() if value} - _MESSAGE_KEYS


def _target_format(sources: Sequence[Source], options: ConvertOptions) -> RowFormat:
    families = {source.family for source in sources}
    if len(families) == 2:
        asked, plain_ones = (
            [source.name for source in sources if source.family == family] for family in ("conversations", "text")
        )
        raise UserError(
            "One data set is of one kind, and the sources are of two: questions with answers in "
            f"{len(asked):,} ({_first(asked)}), plain text in {len(plain_ones):,} ({_first(plain_ones)}).",
            hint="Take one kind with --only questions or --only text, or read tables as text too with --as-text.",
            field="only",
        )
    plain = "text" in families
    if options.to is not None and (options.to == "text") != plain:
        what = "plain text" if plain else "questions with answers"
        raise UserError(
            f"The sources hold {what}, which can't become {options.to}.",
            hint="`tunesmith data make` writes questions and answers from texts." if plain else "Add --as-text.",
            field="to",
        )
    formats = {source.format for source in sources}
    if options.to is not None:
        return options.to
    if plain:
        return "text"
    # The nearest that holds them all: alpaca knows no tool calls, sharegpt no words beside one.
    single = {"alpaca", "columns"}
    return "alpaca" if formats <= single else "sharegpt" if formats <= single | {"sharegpt"} else "openai"


def _first(names: Sequence[str]) -> str:
    return ", ".join([*names[:3], "…"][: len(names)])


def _rated(sources: Sequence[Source]) -> tuple[bool, str | None]:
    """(whether rows rank two answers, the column with a verdict); UserError where sources differ in that."""
    tags = {source.kto_tag for source in sources}
    if len(tags) > 1:
        raise UserError("Some sources hold verdicts on their answers and some don't.", hint="Convert them apart.")
    first = next((item for source in sources for item in source.items if isinstance(item, Item)), None)
    return first is not None and isinstance(first.example, Ranked), next(iter(tags), None)


def located(names: Sequence[str], dataset_dir: str) -> tuple[list[Path], dict[Path, DatasetEntry]]:
    """Paths, and the entries of those that were named by dataset_info.json."""
    catalog = Catalog.load(dataset_dir)
    paths, entries = list[Path](), dict[Path, DatasetEntry]()
    for name in names:
        if Path(name).exists() or name not in catalog:
            paths.append(Path(name))
            continue
        entry = catalog.entry(name)
        for path in entry_files(entry):
            paths.append(path)
            entries[path] = entry
    return paths, entries


def entry_files(entry: DatasetEntry) -> list[Path]:
    """The local files of a data set, fetched first where it lies on a hub."""
    from tunesmith.config.places import cache_folder
    from tunesmith.data.sources import locate

    return [source.path for source in locate(entry, cache_folder())]


def found_in(paths: Sequence[Path]) -> Found:
    """Documents and files of rows below paths; parquet and arrow are rows, and no documents."""
    rows = [path for path in paths if path.is_file() and path.suffix.lower() in RECORDS]
    others = [path for path in paths if path not in rows]
    found = find_documents(others) if others else Found((), ())
    binary = [one.path for one in found.skipped if one.path.suffix.lower() in RECORDS and one.path.stat().st_size]
    documents = sorted({*found.documents, *binary}, key=lambda path: str(path)) if binary else found.documents
    kept = tuple(path for path in documents if path.name != INFO)
    return Found((*rows, *kept), tuple(one for one in found.skipped if one.path not in binary))


def _why(rejected: Counter[str], first: Mapping[str, str]) -> str:
    listed = "; ".join(f"{count:,} × {reason} (first: {first[reason]})" for reason, count in rejected.most_common(3))
    total = plural("The only row is left out", "All {count:,} rows are left out", rejected.total())
    return f"{total}: {listed}."
