"""Facts about the machine and the installed packages, gathered without importing any of them."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
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
        "command": without_secrets(sys.argv),
        "folder": str(Path.cwd()),
        "git": git_state(Path.cwd()),
    }


def is_secret(key: str) -> bool:
    """Whether a configuration key holds something that must not be written down: hf_hub_token, api_key …"""
    return re.search(r"(^|[_-])(token|key|secret|password)$", key.lstrip("-").lower()) is not None


def without_secrets(arguments: Iterable[str]) -> list[str]:
    """Command-line arguments with the value after a secret key (`key=value`, `--key value`) starred out."""
    kept: list[str] = []
    hide_next = False
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if hide_next:
            kept.append("***")
        elif equals and is_secret(key):
            kept.append(f"{key}=***")
        else:
            kept.append(argument)
        hide_next = not equals and not hide_next and key.startswith("--") and is_secret(key)
    return kept


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
