"""What `convert` reads: each table, file of rows or document as a source of examples, told apart by what is in it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tunesmith.authoring.chats import Chat, chats_of
from tunesmith.authoring.document import Skipped, open_document, shown_path
from tunesmith.authoring.mapping import ColumnMapping, Wanted, text_column
from tunesmith.authoring.options import Mode
from tunesmith.authoring.passages import text_rows
from tunesmith.authoring.ranking import Ranked, is_ranked, ranked_keys, read_ranked
from tunesmith.authoring.records import RECORDS, read_records
from tunesmith.authoring.tables import CSV, SHEETS, Table, read_tables
from tunesmith.data.entry import DatasetEntry
from tunesmith.data.layout import nearest_format
from tunesmith.errors import UserError
from tunesmith.text.conversation import Conversation, Document, Example, Message
from tunesmith.text.formats import FORMATS, Columns, Tags
from tunesmith.text.formats.messages import MessageList
from tunesmith.text.rows import RowError

Family = Literal["conversations", "text"]
_LOOKED_AT, _SHOWN = 64, 3
_PLACE = ("source", "source_sheet", "source_row")
"""Columns that tell where a row of a table comes from."""
_OWN_COLUMNS = ("instruction", "input", "output", "history", "system", "tools", "conversations", "messages", "text")


@dataclass(frozen=True, slots=True)
class Item:
    """One example with its place. extras: columns beside it that are to be kept. row: as it stood."""

    place: str
    example: Example | Ranked
    extras: Mapping[str, Any]
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rejected:
    """What can't be used, and why."""

    place: str
    reason: str
    row: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Source:
    """One table, file of rows, or document. items: read as they are asked for. notes: complete at their end.

    format: the format of its rows; "columns" where they are mapped by `mappings`, "chats" for an exported chat.
    usual: whether its rows have the usual columns and words of their format. columns: of rows, and shown the first of
    them, as they stand in the file.
    """

    name: str
    family: Family
    format: str
    items: Iterator[Item | Rejected]
    notes: list[str]
    mappings: Sequence[ColumnMapping] = ()
    columns: Sequence[str] = ()
    shown: Sequence[Mapping[str, Any]] = ()
    kto_tag: str | None = None
    usual: bool = False
    opened: bool = True
    """Whether its file is open from the beginning, as that of rows is, and not when its items are asked for."""


@dataclass(frozen=True, slots=True)
class Unclear(Skipped):
    """Rows of which nothing can be made as it was asked, and why. columns, shown: as of a Source."""

    name: str
    error: UserError
    columns: Sequence[str]
    shown: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """How sources are to be read. header: the row that names the columns (see read_tables). mode: of documents.

    sheets: those of a workbook to take, all where none is named. as_text: tables are read as documents.
    """

    wanted: Wanted = field(default_factory=Wanted)
    mode: Mode = "paragraph"
    header: int | None = None
    sheets: tuple[str, ...] = ()
    as_text: bool = False
    named: tuple[Path, ...] = ()
    """The files and folders that were asked for, from which on a document is named."""


def is_rows(path: Path) -> bool:
    """Whether a file holds rows, by its name; what does not is a document."""
    return path.suffix.lower() in (*CSV, *SHEETS, *RECORDS)


def has_rows(path: Path, reading: ReadingOptions) -> bool:
    """Whether a file is read as rows: tables may be read as documents, parquet and arrow never."""
    return is_rows(path) and not (reading.as_text and path.suffix.lower() not in (".parquet", ".arrow"))


def open_sources(path: Path, reading: ReadingOptions, entry: DatasetEntry | None = None) -> list[Source | Skipped]:
    """The sources in a file: the sheets of a workbook, otherwise one. entry: how its rows are to be read.

    A sheet that can't be used beside others that can is skipped. UserError where nothing in the file can be used.
    """
    if not has_rows(path, reading):
        return [_document(path, reading)]
    opened = open_rows(path, reading, entry)
    unclear = [one for one in opened if isinstance(one, Unclear)]
    if len(unclear) == len(opened):
        raise unclear[0].error
    return [*opened]


def open_rows(path: Path, reading: ReadingOptions, entry: DatasetEntry | None = None) -> list[Source | Unclear]:
    """What a file of rows holds, what nothing can be made of among it. UserError where it can't be read at all."""
    if path.suffix.lower() in RECORDS:
        return [_records(path, reading, entry)]
    opened: list[Source | Unclear] = []
    names: list[str] = []
    for table in read_tables(path, header=reading.header):
        names.append(table.name)
        if not reading.sheets or not table.name or table.name in reading.sheets:
            opened.append(_table(path, table, reading, entry))
    if not opened:
        wanted = ", ".join(reading.sheets)
        raise UserError(f"{path} has no sheet {wanted}.", hint=f"There are: {', '.join(names)}.", field="sheet")
    return opened


def _document(path: Path, reading: ReadingOptions) -> Source:
    opened = open_document(path)
    mode, shown = reading.mode, _shown(path, reading)

    def items() -> Iterator[Item | Rejected]:
        for row in text_rows(opened, mode):
            if isinstance(row, RowError):
                yield Rejected(shown, row.reason)
                continue
            extras = {"source": shown} | row.extras
            question = row.question
            example: Example = (
                Document(row.text)
                if question is None
                else Conversation((Message("user", question), Message("assistant", row.text)))
            )
            yield Item(shown, example, extras, {})

    family: Family = "conversations" if mode == "qa" else "text"
    return Source(shown, family, "text" if family == "text" else "columns", items(), opened.notes, opened=False)


def _records(path: Path, reading: ReadingOptions, entry: DatasetEntry | None) -> Source | Unclear:
    rows, name = iter(read_records(path)), _shown(path, reading)
    head = list(itertools.islice(rows, _LOOKED_AT))
    good = [row for _, row in head if not isinstance(row, RowError)]
    if not good:
        first = next((row.reason for _, row in head if isinstance(row, RowError)), "it is empty")
        raise UserError(f"{path} holds no row that can be read: {first}.")
    numbered = ((f"{name}:{line}", row) for line, row in itertools.chain(head, rows))
    if all(chats_of(row) for row in good):
        return Source(name, "conversations", "chats", _chats(numbered), [])
    columns = list(dict.fromkeys(key for row in good for key in row))
    return _source(path, name, columns, good, numbered, reading, entry, [])


def _table(path: Path, table: Table, reading: ReadingOptions, entry: DatasetEntry | None) -> Source | Unclear:
    shown = _shown(path, reading)
    name = f"{shown}, sheet {table.name}" if table.name else shown
    head = list(itertools.islice(table.rows, _LOOKED_AT))
    place = {"source": shown} | ({"source_sheet": table.name} if table.name else {})
    numbered = (
        (f"{name}, row {number}", {**row, **{key: value for key, value in {**place, "source_row": number}.items()
                                             if key not in row}})
        for number, row in itertools.chain(head, table.rows)
    )  # fmt: skip
    return _source(path, name, table.columns, [row for _, row in head], numbered, reading, entry, table.notes)


def _shown(path: Path, reading: ReadingOptions) -> str:
    """A file as rows name it; files of one name in two folders are told apart."""
    return shown_path(path, reading.named or (path,)).as_posix()


Numbered = Iterator[tuple[str, Mapping[str, Any] | RowError]]


def _source(
    path: Path,
    name: str,
    columns: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
    rows: Numbered,
    reading: ReadingOptions,
    entry: DatasetEntry | None,
    notes: list[str],
) -> Source | Unclear:
    """Rows under columns; the sample, their first ones, tells what they are."""
    try:
        source = _told_apart(name, columns, sample, rows, reading, entry, notes)
    except UserError as error:
        skipped = Skipped.because(path, error)
        return Unclear(path, skipped.reason, name, error, columns, sample[:_SHOWN])
    source.columns, source.shown = columns, sample[:_SHOWN]
    return source


def _told_apart(
    name: str,
    columns: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
    rows: Numbered,
    reading: ReadingOptions,
    entry: DatasetEntry | None,
    notes: list[str],
) -> Source:
    """UserError where the sample doesn't tell what the rows are."""
    if not reading.wanted.given:
        own, tags = (entry.columns, entry.tags) if entry else (Columns(), Tags())
        kto = own.kto_tag or _kto_column(sample)
        format = _format_of(sample, entry)
        if format is not None:
            family: Family = "text" if format == "text" else "conversations"
            usual = _is_usual(format, own, tags)
            items = _formatted(rows, format, own, tags)
            return Source(name, family, format, items, notes, kto_tag=kto, usual=usual)
        if (column := text_column(columns)) is not None and not _guessable(reading.wanted, columns, name):
            items = _formatted(rows, "text", Columns(prompt=column, query=None), Tags())
            return Source(name, "text", "text", items, notes)
    mappings = reading.wanted.mappings(columns, name)
    used = set().union(*(mapping.used() for mapping in mappings))
    if unused := [column for column in columns if column not in used]:
        notes.append(f"{name}: columns that are not used: {', '.join(unused)}.")
    return Source(name, "conversations", "columns", _mapped(rows, mappings), notes, mappings)


def _guessable(wanted: Wanted, columns: Sequence[str], where: str) -> bool:
    try:
        return bool(wanted.mappings(columns, where))
    except UserError:
        return False


def _format_of(sample: Sequence[Mapping[str, Any]], entry: DatasetEntry | None) -> str | None:
    """The format that an entry names or the rows have; rated answers take the place of the answer."""
    if entry is not None and entry.formatting is not None:
        return entry.formatting
    if entry is not None and entry.columns_given:
        if entry.columns.messages:
            return nearest_format([{"messages": row.get(entry.columns.messages)} for row in sample]) or "sharegpt"
        return "text" if entry.columns.response not in sample[0] and entry.preference is None else "alpaca"
    if (format := nearest_format(sample)) is not None:
        return format
    own = entry.columns if entry is not None else Columns()
    if sample and all(is_ranked(row, own) for row in sample):
        names = ("conversations", "messages", "instruction", "prompt", "question")
        found = [name for name in names if all(name in row for row in sample)]
        if found and found[0] in ("conversations", "messages"):
            return nearest_format([{"messages": row[found[0]]} for row in sample])
        return "alpaca"
    return None


def _is_usual(format: str, columns: Columns, tags: Tags) -> bool:
    """Whether rows under these columns and words read the same under the usual ones."""
    known = FORMATS.get(format)
    if not isinstance(known, MessageList):
        return columns == Columns() and tags == Tags()
    own, usual = dataclasses.asdict(tags), dataclasses.asdict(known.tags)
    return (
        dataclasses.replace(columns, messages=None) == Columns()
        and columns.messages in (None, known.column)
        and all(word in (None, usual[name]) for name, word in own.items())
    )


def _kto_column(sample: Sequence[Mapping[str, Any]]) -> str | None:
    return next(
        (name for name in ("kto_tag", "label") if sample and all(type(row.get(name)) is bool for row in sample)), None
    )


def _formatted(rows: Numbered, format: str, columns: Columns, tags: Tags) -> Iterator[Item | Rejected]:
    read = FORMATS.get(format).read
    for place, row in rows:
        if isinstance(row, RowError):
            yield Rejected(place, row.reason)
            continue
        try:
            ranked = is_ranked(row, columns)
            example = read_ranked(row, format, columns, tags) if ranked else read(row, columns, tags)
        except RowError as error:
            yield Rejected(place, error.reason, row)
            continue
        extras = {key: value for key, value in row.items() if key not in _taken(columns, ranked)}
        yield Item(place, example, extras, row)


def _taken(columns: Columns, ranked: bool) -> set[str]:
    """Columns that an example was read from."""
    named = (columns.prompt, columns.query, columns.response, columns.history, columns.messages, columns.system)
    taken = {name for name in (*named, columns.tools) if name is not None} | set(_OWN_COLUMNS)
    return taken | ranked_keys(columns) | {"prompt", "question"} if ranked else taken


def _mapped(rows: Numbered, mappings: Sequence[ColumnMapping]) -> Iterator[Item | Rejected]:
    read = FORMATS.get("alpaca").read
    for place, row in rows:
        if isinstance(row, RowError):
            yield Rejected(place, row.reason)
            continue
        for mapping in mappings:
            try:
                made = mapping.row(row)
                extras = {key: row[key] for key in _PLACE if key in row}
                yield Item(place, read(made, Columns(), Tags()), extras, made)
            except RowError as error:
                yield Rejected(place, error.reason, row)


def _chats(rows: Numbered) -> Iterator[Item | Rejected]:
    for place, row in rows:
        if isinstance(row, RowError):
            yield Rejected(place, row.reason)
            continue
        chats = chats_of(row)
        for chat in chats:
            made = _conversation(chat)
            if made is None:
                yield Rejected(place, "no question with an answer is in this chat")
            else:
                yield Item(place, made, {"title": chat.title} if chat.title else {}, {})
        if not chats:
            yield Rejected(place, "no question with an answer is in this chat", row)


def _conversation(chat: Chat) -> Conversation | None:
    """Turns from the first question to the last answer."""
    system = [Message("system", turn.text) for turn in chat.turns[:1] if turn.role == "system"]
    turns = [Message(turn.role, turn.text) for turn in chat.turns if turn.role != "system"]
    while turns and turns[0].role != "user":
        turns.pop(0)
    while turns and turns[-1].role != "assistant":
        turns.pop()
    return Conversation((*system, *turns)) if turns else None
