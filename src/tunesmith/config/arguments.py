"""A command line, split into config files and overrides."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tunesmith.config.reading import NULL_WORDS, SUFFIXES, node_value, plain
from tunesmith.errors import UserError


def split_arguments(argv: Sequence[str], *, is_flag: Callable[[str], bool]) -> tuple[list[Path], dict[str, str]]:
    """Split `cfg.yaml key=value --key value --key=value --flag --no-flag` into files and overrides; a later word wins.

    is_flag(key): the key says true or false, so a following word that says neither is not its value.
    """
    files: list[Path] = []
    overrides: dict[str, str] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        if word.startswith("--") and len(word) > 2:
            key, equals, value = word[2:].partition("=")
            key = _key(key)
            if not equals and key.startswith("no_") and is_flag(key[3:]):
                key, value = key[3:], "false"
            elif not equals:
                value = words.pop(0) if words and _is_value(words[0], is_flag(key)) else "true"
            overrides[key] = value
        elif re.match(r"[A-Za-z_][\w.-]*=", word):
            key, _, value = word.partition("=")
            overrides[_key(key)] = value
        elif word.lower().endswith(SUFFIXES):
            files.append(Path(word))
        else:
            hint = "Several values of one key are joined by commas: --dataset a,b."
            if Path(word).is_file():
                hint = f"Is it the data? Give it as dataset={word}."
            raise UserError(
                f"{word!r} is neither a config file (.yaml, .json) nor key=value nor --key value.", hint=hint
            )
    return files, overrides


def flag_value(text: str, *, free: bool = False) -> Any:
    """What the text after `key=` or `--key` says: null, a list or mapping in brackets, or just text."""
    if text in NULL_WORDS:
        return None
    if not text.lstrip().startswith(("[", "{")):
        return plain(text) if free else text
    import yaml

    try:
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        hint = "Close every bracket, and put quotes around it for the shell."
        raise UserError(f"{text!r} is neither a list [a, b] nor a mapping {{a: b}}.", hint=hint) from None
    return node_value(node, free)


def _key(written: str) -> str:
    """`lora-rank` as `lora_rank`; what follows a dot is a name of the user's own."""
    head, dot, rest = written.partition(".")
    return head.replace("-", "_") + dot + rest


def _is_value(word: str, flag: bool) -> bool:
    """Whether a word after `--key` is its value."""
    if flag:
        return word.lower() in ("true", "false", "yes", "no", "on", "off", "1", "0")
    return not word.startswith("--")
