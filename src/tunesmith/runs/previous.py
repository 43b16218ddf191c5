"""The run that a new one replaces, kept until the new one has trained a step, so that a failed start costs nothing.

Every moment of this can be the last of the process. In `.moving` lies what belongs in the directory itself, in
`.previous` a whole run beside a new one; the folder is renamed from one to the other when all files are in it.
"""

from __future__ import annotations

import shutil
from contextlib import suppress

from tunesmith.runs.layout import RunLayout


def set_aside(layout: RunLayout) -> None:
    """Take the run's own files out of the way of a new one; what holds nothing trained is not worth keeping."""
    if not layout.holds_weights():
        _clear(layout)
        return
    layout.moving.mkdir()
    for path in layout.own_files():
        path.rename(layout.moving / path.name)
    layout.moving.rename(layout.previous)


def put_back(layout: RunLayout) -> bool:
    """Restore the run that was set aside in place of what was begun since; False where there is none."""
    if layout.previous.is_dir():
        _clear(layout)
        layout.previous.rename(layout.moving)
    if not layout.moving.is_dir():
        return False
    for path in sorted(layout.moving.iterdir()):
        path.rename(layout.root / path.name)
    layout.moving.rmdir()
    return True


def let_go(layout: RunLayout) -> None:
    """Delete the run that was set aside: the new one has something to show."""
    if layout.previous.is_dir():
        rubbish = layout.previous.with_name(f"{layout.previous.name}.part")  # half deleted, it is never put back
        with suppress(OSError):
            layout.previous.rename(rubbish)
            shutil.rmtree(rubbish)


def _clear(layout: RunLayout) -> None:
    """Delete the run's own files; the state last, so that a half-cleared directory still reads as a run."""
    for path in sorted(layout.own_files(), key=lambda path: path == layout.state):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
