"""E-books (EPUB): their chapters in reading order."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tunesmith.authoring.archive import check_archive
from tunesmith.authoring.document import READERS, Block, Note, Title
from tunesmith.authoring.documents.html import html_blocks
from tunesmith.errors import UserError
from tunesmith.i18n import plural

_CONTAINER = "META-INF/container.xml"
_LOCKS = "META-INF/encryption.xml"
_FONT_ONLY = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


@READERS.member(".epub")
def read_epub(path: Path) -> Iterator[Block]:
    check_archive(path)
    with zipfile.ZipFile(path) as book:
        _refuse_locked(path, book)
        package = _package(path, book)
        title = package.findtext(".//{*}metadata/{*}title")
        missing = []
        for name in _spine(package, _package_name(path, book)):
            try:
                data = book.read(name)
            except KeyError:
                missing.append(name)
                continue
            # A chapter's own <title> is its file's name as often as not.
            yield from (block for block in html_blocks(_decoded(data)) if not isinstance(block, Title))
        if title:
            yield Title(title)
        if missing:
            told = plural(
                "{count:,} chapter that its contents name is not in it",
                "{count:,} chapters that its contents name are not in it", len(missing),
            )  # fmt: skip
            yield Note(f"{path.name}: {told} ({missing[0]}).")


def _xml(data: bytes) -> Any:
    from lxml import etree

    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, recover=True))


def _package_name(path: Path, book: zipfile.ZipFile) -> str:
    if _CONTAINER not in book.namelist():
        raise UserError(f"{path} is no EPUB: it has no {_CONTAINER}.")
    root = _xml(book.read(_CONTAINER)).find(".//{*}rootfile")
    name = None if root is None else root.get("full-path")
    if not name or name not in book.namelist():
        raise UserError(f"{path} is damaged: its {_CONTAINER} does not lead to its contents.")
    return str(name)


def _package(path: Path, book: zipfile.ZipFile) -> Any:
    return _xml(book.read(_package_name(path, book)))


def _spine(package: Any, package_name: str) -> list[str]:
    """Names of the chapters' files, in reading order."""
    folder = posixpath.dirname(package_name)
    items = {item.get("id"): item.get("href") or "" for item in package.iterfind(".//{*}manifest/{*}item")}
    order = [items.get(entry.get("idref"), "") for entry in package.iterfind(".//{*}spine/{*}itemref")]
    return [posixpath.normpath(posixpath.join(folder, unquote(href))) for href in order if href]


def _refuse_locked(path: Path, book: zipfile.ZipFile) -> None:
    if _LOCKS not in book.namelist():
        return
    methods = [method.get("Algorithm") or "" for method in _xml(book.read(_LOCKS)).iterfind(".//{*}EncryptionMethod")]
    if any(method not in _FONT_ONLY for method in methods):
        raise UserError(f"{path} is locked by its shop (DRM).", hint="Use a copy of the book without copy protection.")


def _decoded(data: bytes) -> str:
    for name in ("utf-8-sig", "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "gb18030"):
        try:
            return data.decode(name)
        except UnicodeError:
            continue
    return data.decode("utf-8", errors="replace")
