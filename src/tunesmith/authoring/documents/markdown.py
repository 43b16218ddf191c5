"""Markdown: its blocks as they are written, under its headings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tunesmith.authoring.document import READERS, Block, Heading, Note, Passage, read_as
from tunesmith.data.encoding import decode_file


@READERS.member(".md", ".markdown")
def read_markdown(path: Path) -> Iterator[Block]:
    from markdown_it import MarkdownIt

    text, encoding = decode_file(path)
    yield from read_as(path, encoding)
    lines = text.splitlines()
    start = _after_front_matter(lines)
    if start:
        yield Note(f"{path.name}: the block of settings at its head is left out.")
    lines = lines[start:]
    tokens = MarkdownIt("commonmark").enable("table").parse("\n".join(lines))
    for at, token in enumerate(tokens):
        if token.level or not token.map or token.nesting < 0:
            continue
        if token.type == "heading_open":
            yield Heading(int(token.tag[1:]), tokens[at + 1].content)
        else:
            yield Passage("\n".join(lines[token.map[0] : token.map[1]]).strip("\n"))


def _after_front_matter(lines: list[str]) -> int:
    """Lines of a YAML block between two --- at the very head."""
    if not lines or lines[0].strip() != "---":
        return 0
    end = next((at for at, line in enumerate(lines[1:], 1) if line.strip() in ("---", "...")), 0)
    return end + 1 if end else 0
