"""The folder that the studio works in, and the borders that no path from the page crosses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import UserError
from tunesmith.runs.files import told_plainly
from tunesmith.runs.read import RunReader

_HOME = ".tunesmith"


class Missing(UserError):
    """What was asked for is not there."""


class Clash(UserError):
    """It can't be done as things stand: somebody else was faster, or it is at work."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """root: resolved; the process stands in it, so that relative paths mean the same here, in files and in commands.

    also: further folders that may be read from and written to.
    """

    root: Path
    also: tuple[Path, ...] = ()

    @property
    def home(self) -> Path:
        """Where the studio keeps what is its own."""
        return self.root / _HOME

    def own(self, *parts: str) -> Path:
        """A file of the studio's own; its folder is made."""
        path = self.home.joinpath(*parts)
        with told_plainly(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def inside(self, text: str | Path, *, field: str | None = None) -> Path:
        """The path, absolute, with links resolved; UserError where it leads out of the workspace."""
        if "\0" in str(text):
            raise UserError("A path can't hold a null character.", field=field)
        path = path_of(self.root, text)
        if path is None:
            raise UserError(f"{text} is no path on this machine.", field=field)
        if not any(path.is_relative_to(place) for place in (self.root, *self.also)):
            raise UserError(
                f"{text} lies outside the workspace {self.root}.",
                hint=f'Move it there, or start the studio with --also "{path.parent}".',
                field=field,
            )
        return path

    def relative(self, path: Path) -> str:
        """The path as the page names it: relative to the workspace where it lies in it, with forward slashes."""
        whole = (self.root / path).resolve()
        return (whole.relative_to(self.root) if whole.is_relative_to(self.root) else whole).as_posix()

    def run(self, name: str) -> RunReader:
        """The run of that name; Missing where there is none."""
        path = self.inside(name)
        try:
            return RunReader(path)
        except UserError:
            raise Missing(f"There is no run {name}.", hint="It may have been deleted or moved.") from None


def path_of(root: Path, text: str | Path) -> Path | None:
    """The path below a folder, or an absolute one, with `~` and links resolved; None for what is no path here, as with
    the name of a user that there is not."""
    try:
        return (root / Path(text).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError):
        return None


def free_folder(path: Path) -> Path:
    """The path, or the first free one beside it: name_2, name_3 …"""
    number, candidate = 2, path
    while candidate.exists():
        candidate, number = path.with_name(f"{path.name}_{number}"), number + 1
    return candidate
