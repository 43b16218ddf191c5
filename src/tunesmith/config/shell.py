"""Words as a person would type them into a shell: PowerShell on Windows, else a POSIX one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

_SAFE_LINE = 100


def quoted(word: object, *, windows: bool = os.name == "nt") -> str:
    """The word, such as a path, quoted where the shell would take it apart."""
    return _powershell(str(word)) if windows else shlex.quote(str(word))


def shell_line(parts: Sequence[Sequence[str]], *, windows: bool) -> str:
    """Words as a command, quoted for the shell; a long one has each part on a line of its own."""
    lines = [" ".join(quoted(word, windows=windows) for word in part) for part in parts]
    line = " ".join(lines)
    if len(line) <= _SAFE_LINE:
        return line
    return (" `\n  " if windows else " \\\n  ").join(lines)


def _powershell(word: str) -> str:
    """Quoted for PowerShell where it needs it."""
    plain = all(char.isalnum() or char in "_-./:=\\" for char in word) and word.isascii()
    return word if plain else "'" + word.replace("'", "''") + "'"
