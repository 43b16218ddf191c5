"""A catalogue put in its place is used; without one the English text is."""

import struct
from pathlib import Path

import pytest

from tunesmith import i18n


def write_catalogue(path: Path, texts: dict[str, str]) -> None:
    """gettext's .mo format: a header, two tables of (length, offset), the strings. Sorted by original, NUL-ended."""
    pairs = sorted({"": "Content-Type: text/plain; charset=UTF-8\n", **texts}.items())
    strings = [text.encode() for text in (*(key for key, _ in pairs), *(value for _, value in pairs))]
    offset, entries = 28 + 16 * len(pairs), []
    for text in strings:
        entries.append(struct.pack("<II", len(text), offset))
        offset += len(text) + 1
    header = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    path.parent.mkdir(parents=True)
    path.write_bytes(header + b"".join(entries) + b"".join(text + b"\0" for text in strings))


def test_a_catalogue_is_used_when_its_language_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_catalogue(tmp_path / "zh" / "LC_MESSAGES" / "tunesmith.mo", {"Interrupted.": "已中断。"})
    monkeypatch.setattr(i18n, "_CATALOGUES", tmp_path)
    i18n._catalogue.cache_clear()
    monkeypatch.setenv("TUNESMITH_LANGUAGE", "zh")
    assert i18n.tr("Interrupted.") == "已中断。"
    assert i18n.tr("no translation") == "no translation"
    monkeypatch.setenv("TUNESMITH_LANGUAGE", "fr")
    assert i18n.tr("Interrupted.") == "Interrupted."
    i18n._catalogue.cache_clear()
