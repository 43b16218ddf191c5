"""`tunesmith doctor`: what would go wrong on this machine, each line with its fix. Nothing outside it is contacted."""

from __future__ import annotations

import json
import locale
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from tunesmith.cli.devices import device_lines
from tunesmith.cli.preflight import print_lines
from tunesmith.cli.terminal import size
from tunesmith.config.model import use_modelscope
from tunesmith.finding import Finding
from tunesmith.i18n import tr

HELP = """\
tunesmith doctor [--json]

Looks for what would go wrong on this machine: Python and packages, torch and the GPU, bf16, memory, disk, hub
and mirror settings, encodings. Every line is pass, warn or fail with the fix. Exit code 1 when a line fails.
Nothing outside the machine is contacted, and tokens are never printed."""

_GB = 10**9


def run(arguments: list[str]) -> int:
    if any(argument in ("-h", "--help") for argument in arguments):
        print(tr(HELP))
        return 0
    lines = [line for check in CHECKS for line in check()]
    if "--json" in arguments:
        print(json.dumps([asdict(line) for line in lines], ensure_ascii=False))
        return 1 if any(line.status == "fail" for line in lines) else 0
    return print_lines(lines)


def python_line() -> Iterator[Finding]:
    yield Finding("pass", "Python", ".".join(map(str, sys.version_info[:3])))  # an older one can't install Tunesmith


def package_lines() -> Iterator[Finding]:
    """Installed packages against the lower bounds that Tunesmith declares."""
    from packaging.requirements import Requirement

    troubles = 0
    for text in metadata.requires("tunesmith") or []:
        needed = Requirement(text)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            found = ""
        if not found or not needed.specifier.contains(found, prereleases=True):
            troubles += 1
            has = f"{found} is installed" if found else "not installed"
            yield Finding("fail", needed.name, f"{has}, {needed.specifier} is needed", f'pip install "{needed}"')
    if not troubles:
        yield Finding("pass", "packages", "every dependency is there and new enough")


def memory_line() -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    told = f"{size(memory.available)} free of {size(memory.total)}"
    if memory.available < 2 * _GB:
        yield Finding("fail", "memory", told, "Close other programs; even a small model needs about 2 GB.")
    elif memory.available < 8 * _GB:
        yield Finding(
            "warn", "memory", told, "Enough for models up to about 0.5B parameters; `tunesmith plan` tells exactly."
        )
    else:
        yield Finding("pass", "memory", told)


def disk_lines() -> Iterator[Finding]:
    """Room and the right to write, here and where downloaded models are kept."""
    folder = Path.cwd()
    try:
        with tempfile.TemporaryFile(dir=folder):
            yield Finding("pass", "this folder", f"{folder} can be written")
    except OSError as error:
        yield Finding(
            "fail", "this folder", f"{folder} can't be written: {error.strerror}", "Work in a folder of your own."
        )
    for what, path in (("disk here", folder), ("disk of the model cache", _hub_cache())):
        free = shutil.disk_usage(_existing(path)).free
        told = f"{size(free)} free at {path}"
        if free < 2 * _GB:
            yield Finding(
                "fail", what, told, "Free some space, or set HF_HOME (models) or output_dir (runs) to another disk."
            )
        elif free < 20 * _GB:
            yield Finding("warn", what, told, "Enough for small models; set save_total_limit to keep few checkpoints.")
        else:
            yield Finding("pass", what, told)


def hub_lines() -> Iterator[Finding]:
    """Where models and datasets come from, and whether gated ones can be had."""
    if use_modelscope():
        if _installed("modelscope"):
            yield Finding("pass", "hub", "ModelScope (USE_MODELSCOPE_HUB)")
        else:
            told = "USE_MODELSCOPE_HUB is set, but the package modelscope is not installed"
            yield Finding("fail", "hub", told, "pip install modelscope, or unset USE_MODELSCOPE_HUB.")
    else:
        endpoint = os.environ.get("HF_ENDPOINT", "")
        if endpoint and not endpoint.startswith(("http://", "https://")):
            yield Finding(
                "fail", "hub", f"HF_ENDPOINT is {endpoint!r}", "Give the whole address, beginning with https://."
            )
        else:
            told = f"mirror {endpoint}" if endpoint else "Hugging Face, no mirror is set (HF_ENDPOINT would name one)"
            yield Finding("pass", "hub", told)
    if _switched_on("HF_HUB_OFFLINE"):
        yield Finding(
            "warn", "hub offline", "HF_HUB_OFFLINE is set", "Only models in the cache are found; unset it to download."
        )
    named = "HF_TOKEN" in os.environ or (_hub_home() / "token").is_file()
    yield Finding(
        "pass", "hub token", "present" if named else "none; only gated or private models need one (`hf auth login`)"
    )


def git_line() -> Iterator[Finding]:
    if shutil.which("git"):
        yield Finding("pass", "git", "found; runs note the commit of your folder")
    else:
        yield Finding(
            "warn", "git", "not found", "Runs can't note the commit of your folder; install git if you want that."
        )


def encoding_line() -> Iterator[Finding]:
    encoding = locale.getpreferredencoding(False)
    if re.sub(r"[^a-z0-9]", "", encoding.lower()) == "utf8":
        yield Finding("pass", "text encoding", encoding)
    else:
        told = f"the system's is {encoding}; Tunesmith reads and writes UTF-8 all the same"
        yield Finding("warn", "text encoding", told, "Other tools may not: set PYTHONUTF8=1.")


def _hub_home() -> Path:
    return Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()


def _hub_cache() -> Path:
    return Path(os.environ.get("HF_HUB_CACHE") or _hub_home() / "hub").expanduser()


def _existing(path: Path) -> Path:
    """The path or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _switched_on(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on", "y")


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python_line,
    package_lines,
    device_lines,
    memory_line,
    disk_lines,
    hub_lines,
    git_line,
    encoding_line,
)
