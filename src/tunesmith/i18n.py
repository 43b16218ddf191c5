"""Translation of what people read, by the standard library's gettext.

The English text is the key. A language is added by putting its compiled catalogue at
`locale/<language>/LC_MESSAGES/tunesmith.mo` beside this file; no code changes. Text with values in it is written as
`tr("{name} ran").format(name=name)`, so that a language may order its words as it likes; what is counted as
`trn("{count:,} run", "{count:,} runs", count)`.
"""

from __future__ import annotations

import gettext
import os
from functools import cache
from pathlib import Path

_CATALOGUES = Path(__file__).with_name("locale")


def tr(text: str) -> str:
    """The text in the user's language (TUNESMITH_LANGUAGE, else the system's), or as it is."""
    return _catalogue(os.environ.get("TUNESMITH_LANGUAGE")).gettext(text)


def trn(one: str, many: str, count: int) -> str:
    """`one` or `many`, as the user's language counts, with {count} filled in."""
    return _catalogue(os.environ.get("TUNESMITH_LANGUAGE")).ngettext(one, many, count).format(count=count)


@cache
def _catalogue(language: str | None) -> gettext.NullTranslations:
    languages = [language] if language else None
    return gettext.translation("tunesmith", _CATALOGUES, languages, fallback=True)
