"""A text in words, as jieba cuts it: it knows the words of Chinese, which has no spaces between them.

Where jieba is not installed, each Chinese character is a word, and all else is cut as jieba cuts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

_CHINESE = re.compile(r"[\u4E00-\u9FD5]")
_BLOCK = re.compile(r"([\u4E00-\u9FD5a-zA-Z0-9+#&._%\-]+)")
_PIECE = re.compile(r"[\u4E00-\u9FD5]|[a-zA-Z0-9]+(?:\.\d+)?%?|[^\u4E00-\u9FD5a-zA-Z0-9]+")


def words(text: str) -> list[str]:
    """White space between the words included; joined they are the text."""
    segmenter = _jieba()
    return list(_without_dictionary(text)) if segmenter is None else list(segmenter.cut(text))


def knows_chinese() -> bool:
    return find_spec("jieba") is not None


def is_chinese(text: str) -> bool:
    """Whether the text has Chinese characters in it."""
    return _CHINESE.search(text) is not None


def _without_dictionary(text: str) -> Iterator[str]:
    for block in _BLOCK.split(text):
        if _BLOCK.match(block):
            yield from _PIECE.findall(block)
        else:
            yield from re.findall(r"\r\n|.", block, re.DOTALL)


@cache
def _jieba() -> Any:
    if not knows_chinese():
        return None
    import logging
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its release of 2020 about today's Python
        import jieba
    jieba.setLogLevel(logging.CRITICAL)
    return jieba
