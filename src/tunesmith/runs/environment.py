"""Facts about the machine and the installed packages, gathered without importing any of them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "tunesmith",
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "accelerate",
    "safetensors",
    "huggingface_hub",
    "datasets",
    "numpy",
    "pyarrow",
    "bitsandbytes",
    "deepspeed",
    "flash-attn",
    "modelscope",
)


def collect() -> dict[str, Any]:
    """What a run's env.json and a bug report need: versions, platform, command line, git state of the folder."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": versions(PACKAGES),
        "command": sys.argv,
        "folder": str(Path.cwd()),
        "git": git_state(Path.cwd()),
    }


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Installed version by package name; packages that are not installed are left out."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the repository that `folder` lies in and whether it has changes; None outside one or without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    return {"commit": commit, "changed": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, encoding="utf-8", timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
