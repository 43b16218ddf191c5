"""Web pages: the text of their blocks, without scripts, menus and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.authoring.document import READERS, Block, Heading, Passage, Title, read_as
from tunesmith.data.encoding import detect_encoding
from tunesmith.errors import UserError

_LEFT_OUT = {
    "script", "style", "noscript", "template", "nav", "footer", "aside", "form", "button", "select", "svg", "math",
    "iframe", "object", "head", "rp", "rt",
}  # fmt: skip
_INLINE = {
    "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img", "ins", "kbd",
    "label", "mark", "q", "ruby", "rb", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt",
    "u", "var", "wbr",
}  # fmt: skip
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n\f]+")


@READERS.member(".html", ".htm", ".xhtml")
def read_html(path: Path) -> Iterator[Block]:
    data = path.read_bytes()
    encoding = _encoding(path, data)
    yield from read_as(path, encoding)
    yield from html_blocks(data.decode(encoding, errors="replace"))


def html_blocks(text: str) -> Iterator[Block]:
    """The title, headings and passages of a page. Reading aids above characters (ruby) are left out."""
    from lxml import etree, html

    if not text.strip():
        return
    parser = html.HTMLParser(encoding="utf-8", no_network=True)
    try:
        root = html.document_fromstring(text.encode("utf-8", errors="replace"), parser=parser)
    except etree.ParserError:
        return
    if title := root.findtext(".//title"):
        yield Title(title)
    main = root.findall(".//main") or root.findall(".//article")
    yield from _Walk().blocks(main[0] if len(main) == 1 else root)


class _Walk:
    """Goes through a tree; inline text gathers until a block begins or ends."""

    def __init__(self) -> None:
        self._text: list[str] = []

    def blocks(self, element: Any) -> Iterator[Block]:
        yield from self._inside(element)
        yield from self._flush()

    def _inside(self, element: Any) -> Iterator[Block]:
        tag = element.tag if isinstance(element.tag, str) else ""
        if not tag or tag in _LEFT_OUT:
            return
        if tag in _HEADINGS:
            yield from self._flush()
            yield Heading(int(tag[1]), _joined("".join(_texts(element))))
        elif tag == "tr":
            yield from self._flush()
            cells = [_joined("".join(_texts(cell))) for cell in element if cell.tag in ("td", "th")]
            yield Passage(" | ".join(cells) if any(cells) else "")
        elif tag == "pre":
            yield from self._flush()
            yield Passage("".join(_texts(element)).strip("\n"))
        elif tag == "br":
            self._text.append("\n")
        else:
            block = tag not in _INLINE
            if block:
                yield from self._flush()
                if tag == "li":
                    self._text.append("- ")
            self._text.append(_SPACE.sub(" ", element.text or ""))
            for child in element:
                yield from self._inside(child)
                self._text.append(_SPACE.sub(" ", child.tail or ""))
            if block:
                yield from self._flush()

    def _flush(self) -> Iterator[Block]:
        text = _joined("".join(self._text))
        self._text = []
        if text.strip("- \n"):
            yield Passage(text)


def _texts(element: Any) -> Iterator[str]:
    """All text of an element but for what is left out."""
    if isinstance(element.tag, str) and element.tag not in _LEFT_OUT:
        yield element.text or ("\n" if element.tag == "br" else "")
        for child in element:
            yield from _texts(child)
            yield child.tail or ""


def _joined(text: str) -> str:
    """Lines without the spaces that only laid out the source."""
    return "\n".join(line.strip(" \t\r") for line in text.split("\n")).strip()


def _encoding(path: Path, data: bytes) -> str:
    """What the page says of itself where that decodes it, what its bytes look like otherwise."""
    said = _CHARSET.search(data[:4096])
    if said and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        name = said[1].decode("ascii").lower()
        name = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs"}.get(name, name)
        try:
            data.decode(name)
            return name
        except (LookupError, UnicodeError):
            pass
    try:
        return detect_encoding(path)
    except UserError:
        return "utf-8"
