"""PDF: paragraphs put together from lines, without what repeats on most pages, under the outline's headings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.authoring.document import READERS, Block, Heading, Note, Passage, Title
from tunesmith.errors import UserError
from tunesmith.i18n import plural

_REPEATED = 0.6  # share of the pages on which a line at the edge repeats to be a running header or footer
_FEWEST_PAGES = 4
_EDGE = 2  # lines at the head and foot of a page that may be such
_NUMBER = re.compile(r"\d+")
_ENDS = '。！？.!?…：:；;”」』"'
_CJK = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")
_SOFT_HYPHENS = re.compile("[\x02\ufffe\xad]\n?")


@READERS.member(".pdf")
def read_pdf(path: Path) -> Iterator[Block]:
    import pypdfium2

    try:
        file = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise UserError(
                f"{path} is locked with a password.",
                hint="Open it in a PDF reader with the password and print it to a new PDF.",
            ) from None
        raise UserError(f"{path} is damaged or no PDF ({error}).", hint="Download it again or save it anew.") from None
    try:
        if title := file.get_metadata_value("Title"):
            yield Title(title)
        pages = [_lines(page) for page in file]
        headings = _headings(file)
    finally:
        file.close()
    bare = [number for number, lines in enumerate(pages, 1) if not lines]
    if len(bare) == len(pages):
        counted = plural("{count:,} page", "{count:,} pages", len(pages))
        raise UserError(
            f"{path} has {counted} and no text: pictures only, a scan for instance.",
            hint="Run text recognition (OCR) over it first, for example: ocrmypdf in.pdf out.pdf",
        )
    if bare:
        listed = ", ".join(map(str, bare[:10])) + (" …" if len(bare) > 10 else "")
        word = plural("page", "pages", len(bare))
        yield Note(f"{path.name}: {word} without text (pictures?): {listed}.")
    running = _running(pages)
    if running:
        yield Note(f"{path.name}: lines that repeat on most pages are left out: {' / '.join(sorted(running))[:120]}.")
    for number, lines in enumerate(pages, 1):
        titles = headings.get(number, [])
        yield from (Heading(level, text) for level, text in titles)
        known = {_plain(text) for _, text in titles}
        kept = [line for at, line in enumerate(lines) if not (_at_edge(at, lines) and _shape(line) in running)]
        yield from (Passage(text, page=number) for text in paragraphs(kept) if _plain(text) not in known)


def _lines(page: Any) -> list[str]:
    text = page.get_textpage().get_text_bounded()
    text = _SOFT_HYPHENS.sub("", text.replace("\r\n", "\n"))
    return [line.strip() for line in text.split("\n") if line.strip()]


def _headings(file: Any) -> dict[int, list[tuple[int, str]]]:
    """Page from 1 → headings of the outline that lead there, as (level, text)."""
    found: dict[int, list[tuple[int, str]]] = {}
    for mark in file.get_toc():
        place = mark.get_dest()
        page = None if place is None else place.get_index()
        if page is not None:
            found.setdefault(page + 1, []).append((mark.level + 1, mark.get_title()))
    return found


def _running(pages: list[list[str]]) -> set[str]:
    """Shapes (numbers as #) of lines at the edge of most pages: titles and page numbers."""
    if len(pages) < _FEWEST_PAGES:
        return set()
    counts = Counter(
        shape for lines in pages for shape in {_shape(line) for at, line in enumerate(lines) if _at_edge(at, lines)}
    )
    return {shape for shape, count in counts.items() if count > _REPEATED * len(pages)}


def _at_edge(at: int, lines: list[str]) -> bool:
    return at < _EDGE or at >= len(lines) - _EDGE


def _shape(line: str) -> str:
    return _NUMBER.sub("#", line)


def _plain(text: str) -> str:
    return "".join(text.split()).casefold()


def paragraphs(lines: list[str]) -> list[str]:
    """Lines joined while they fill the column: one that ends early ends a paragraph."""
    if not lines:
        return []
    widths = sorted(map(_width, lines))
    full = 0.8 * widths[int(0.9 * (len(widths) - 1))]
    joined: list[str] = []
    open_ = False
    for line in lines:
        if open_:
            joined[-1] = _join(joined[-1], line)
        else:
            joined.append(line)
        open_ = _width(line) >= full and not (line[-1] in _ENDS and _width(line) < full / 0.8 * 0.97)
    return joined


def _width(line: str) -> int:
    """Columns that a line takes: characters of East Asia take two."""
    return len(line) + len(_CJK.findall(line))


def _join(before: str, after: str) -> str:
    if before.endswith("-") and before[-2:-1].isalpha() and after[:1].islower():
        return before[:-1] + after
    wide = _CJK.match(before[-1]) or _CJK.match(after[0])
    return before + ("" if wide else " ") + after
