"""Documents as text: passages in reading order, each with the headings it stands under and its page."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tunesmith.errors import UserError, did_you_mean
from tunesmith.registry import Registry

# Files beyond it are refused, except of kinds that are read line by line.
MOST_BYTES = 256 << 20
_ELSEWHERE = {
    ".doc": "Save it as .docx.",
    ".ppt": "Save it as .pptx.",
    ".rtf": "Save it as .docx.",
    ".odt": "Save it as .docx.",
    ".odp": "Save it as .pptx.",
    ".pages": "Save it as .docx.",
    ".wps": "Save it as .docx.",
    ".mobi": "Convert it to .epub.",
    ".azw3": "Convert it to .epub.",
    ".zip": "Unpack it first.",
    ".gz": "Unpack it first.",
    ".rar": "Unpack it first.",
    ".7z": "Unpack it first.",
}


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph, a table's row, a slide's text or the like. heading: those it stands under, outermost first.

    page: of a PDF or slide, from 1.
    """

    text: str
    heading: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A whole document. notes: what a person should know of how it was read (encoding, what was left out)."""

    path: Path
    title: str
    passages: tuple[Passage, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Title:
    """What a document calls itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the outermost. What follows stands under it until one of its level or above."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """What a person should know of how a file was read."""

    text: str


def read_as(path: Path, encoding: str) -> list[Note]:
    """A note of the encoding that a text was found to have, where it is none of the plain ones."""
    plain = encoding.lower() in ("utf-8", "utf-8-sig", "ascii")
    return [] if plain else [Note(f"{path.name} is read as {encoding.upper()}.")]


Block = Title | Heading | Note | Passage
Reader = Callable[[Path], Iterator[Block]]

READERS: Registry[Reader] = Registry("kind of document", "tunesmith.authoring.documents")
"""Suffix with its dot, in lower case → reader."""

STREAMED = frozenset({".txt", ".text", ".log", ".csv", ".tsv", ".jsonl"})
"""Suffixes that are read piece by piece, whatever the size of the file."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was not read, and why."""

    path: Path
    reason: str

    @classmethod
    def because(cls, path: Path, error: UserError) -> Skipped:
        return cls(path, f"{error.message} {error.hint}".rstrip())

    def __str__(self) -> str:
        return self.reason if str(self.path) in self.reason else f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Found:
    """The documents among the sources, sorted within each folder, and the files of folders that are none."""

    documents: tuple[Path, ...]
    skipped: tuple[Skipped, ...]


class Reading:
    """Passages of a document as they are read; title and notes are complete when the last one was.

    Iterating raises UserError where the file turns out to be damaged, locked or without text.
    """

    def __init__(self, path: Path, blocks: Iterator[Block]) -> None:
        self.path = path
        self.title = path.stem
        self.notes: list[str] = []
        self._blocks = blocks

    def __iter__(self) -> Iterator[Passage]:
        try:
            yield from self._passages()
        except UserError:
            raise
        except OSError as error:
            raise UserError(f"Can't read {self.path}: {error.strerror or error}.") from error
        except Exception as error:  # parsers of foreign formats raise anything on damaged files
            reason = (str(error).strip().splitlines() or [""])[0]
            raise UserError(
                f"{self.path} is damaged or no {self.path.suffix.lower()} file ({type(error).__name__}: {reason}).",
                hint="Open it in the program it comes from and save it anew.",
            ) from error

    def _passages(self) -> Iterator[Passage]:
        outline = _Outline()
        some = False
        for block in self._blocks:
            if isinstance(block, Title):
                self.title = " ".join(block.text.split()) or self.title
            elif isinstance(block, Note):
                self.notes.append(block.text)
            elif isinstance(block, Heading):
                yield from outline.enter(block)
            elif block.text and not block.text.isspace():
                some = True
                yield outline.placed(block)
        for passage in outline.close():
            some = True
            yield passage
        if not some:
            raise UserError(f"{self.path} holds no text.")


class _Outline:
    """The headings that hold at a place. One with nothing below it becomes a passage: its words are not lost."""

    def __init__(self) -> None:
        self._path: list[Heading] = []
        self._bare = False

    def enter(self, heading: Heading) -> list[Passage]:
        text = " ".join(heading.text.split())
        if not text:
            return []
        left = self.close() if self._bare and self._path[-1].level >= heading.level else []
        while self._path and self._path[-1].level >= heading.level:
            self._path.pop()
        self._path.append(Heading(heading.level, text))
        self._bare = True
        return left

    def placed(self, passage: Passage) -> Passage:
        self._bare = False
        if passage.heading or not self._path:
            return passage
        return Passage(passage.text, tuple(heading.text for heading in self._path), passage.page)

    def close(self) -> list[Passage]:
        if not self._bare:
            return []
        self._bare = False
        *above, last = self._path
        return [Passage(last.text, tuple(heading.text for heading in above))]


def open_document(path: Path) -> Reading:
    """A document to be read piece by piece; UserError where it is none that can be read.

    What is damaged further in shows while iterating. A text of gigabytes never lies in memory as a whole.
    """
    reason = _unreadable(path, named=True)
    if reason is not None:
        raise _named(path, reason)
    return Reading(path, READERS.get(path.suffix.lower())(path))


def read_document(path: Path, before_passage: Callable[[], None] = lambda: None) -> Document:
    """The whole document; UserError where the file can't be read (damaged, locked, without text, no document).

    before_passage: called before the file and after each of its passages: what it raises ends the reading.
    """
    before_passage()
    reading = open_document(path)
    if (size := path.stat().st_size) > MOST_BYTES:  # of kinds that are read piece by piece elsewhere
        raise UserError(
            f"{path} has {size >> 20} MiB, and at most {MOST_BYTES >> 20} are read as a whole.", hint="Split it."
        )
    passages = list[Passage]()
    for passage in reading:
        passages.append(passage)
        before_passage()
    return Document(path, reading.title, tuple(passages), tuple(reading.notes))


def find_documents(sources: Sequence[Path]) -> Found:
    """The documents that files and folders stand for; folders are searched through, hidden files left alone.

    UserError for a source that is not there or is a file of no known kind, and where nothing at all is found.
    """
    documents: list[Path] = []
    skipped: list[Skipped] = []
    for source in sources:
        if source.is_dir():
            for path in files_below(source):
                reason = _unreadable(path)
                if reason is None:
                    documents.append(path)
                else:
                    skipped.append(Skipped.because(path, reason))
        elif not source.exists():
            raise _missing(source)
        elif (reason := _unreadable(source, named=True)) is not None:
            raise _named(source, reason)
        else:
            documents.append(source)
    documents = list(dict.fromkeys(documents))
    if not documents:
        looked = ", ".join(map(str, sources)) or "nothing"
        first = f" (first: {skipped[0]})" if skipped else ""
        raise UserError(f"There is no document to read in {looked}{first}.", hint=f"Documents end in {known()}.")
    return Found(tuple(documents), tuple(skipped))


def shown_path(path: Path, sources: Sequence[Path]) -> Path:
    """A document as the rows name it: from the source on, without the folders of this machine above it.

    Sources of one name are told apart by as many of those folders as that takes.
    """
    absolute = Path(os.path.abspath(path))
    for source, shown in _shown_sources(tuple(sources), os.getcwd()).items():
        if absolute.is_relative_to(source):
            return shown / absolute.relative_to(source)
    return Path(path.name)


@lru_cache(maxsize=4)
def _shown_sources(sources: tuple[Path, ...], here: str) -> dict[Path, Path]:
    absolute = list(dict.fromkeys(Path(os.path.normpath(Path(here, source))) for source in sources))
    depths = dict.fromkeys(absolute, 1)
    while True:
        shown = {source: Path(*source.parts[-depth:]) for source, depth in depths.items()}
        counts = Counter(shown.values())
        alike = [source for source in absolute if counts[shown[source]] > 1 and depths[source] < len(source.parts)]
        if not alike:
            return shown
        for source in alike:
            depths[source] += 1


def known() -> str:
    """The suffixes that can be read, as text."""
    return ", ".join(READERS.names())


def files_below(folder: Path) -> Iterator[Path]:
    """The files that a folder as a source stands for, hidden ones left alone; links to folders are not followed."""
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith((".", "__MACOSX")) for part in inner):
            yield path


def _named(path: Path, reason: UserError) -> UserError:
    """What is told of a file that was named, and not just found in a folder."""
    return UserError(f"{path}: {reason.message}", hint=reason.hint)


def _missing(source: Path) -> UserError:
    beside = [entry.name for entry in source.parent.iterdir()] if source.parent.is_dir() else []
    hint = did_you_mean(source.name, beside, lambda name: str(source.parent / name))
    return UserError(f"There is no file or folder {source.absolute()}.", hint=hint)


def _unreadable(path: Path, *, named: bool = False) -> UserError | None:
    """Why a file is not even opened. named: a person named it, so that it is worth telling which would be."""
    suffix = path.suffix.lower()
    if path.name.startswith("~$"):
        return UserError("This is a lock that an Office program left, not a document.")
    if suffix not in READERS:
        what = suffix or "A file without a suffix"
        hint = _ELSEWHERE.get(suffix) or (f"Documents end in {known()}." if named else "")
        return UserError(f"{what} is not a kind of document that is read.", hint=hint)
    try:
        size = path.stat().st_size
    except OSError as error:
        return UserError(f"It can't be read: {error.strerror or error}.")
    if size == 0:
        return UserError("The file is empty (0 bytes).", hint="Was it saved or copied whole?" if named else "")
    if size > MOST_BYTES and suffix not in STREAMED:
        return UserError(f"The file has {size >> 20} MiB, and at most {MOST_BYTES >> 20} are read.", hint="Split it.")
    return None
