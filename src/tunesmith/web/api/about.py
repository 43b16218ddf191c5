"""The machine and the workspace; what a key means; what doctor finds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Literal

import psutil
from pydantic import BaseModel

from tunesmith.errors import UserError
from tunesmith.web.access import REFUSALS, Refusal, TheStudio, router_of
from tunesmith.web.devices import Device
from tunesmith.web.language import Told

router = router_of("about")


class About(BaseModel):
    """memory and disk in bytes. language: what the system speaks, as the page's first choice."""

    version: str
    workspace: str
    language: str
    devices: list[Device]
    memory_total: int
    memory_free: int
    disk_free: int
    exposed: bool
    cpus: int
    python: str


class Finding(BaseModel):
    status: Literal["pass", "warn", "fail"]
    what: Told
    detail: Told
    fix: Told = ""


# The refusals of all endpoints name this model; one of them has to bring it into the description.
@router.get("/about", responses={400: {**REFUSALS[400], "model": Refusal}})
def about(studio: TheStudio) -> About:
    from importlib import metadata

    try:
        version = metadata.version("tunesmith")
    except metadata.PackageNotFoundError:
        version = ""
    memory = psutil.virtual_memory()
    return About(
        version=version,
        workspace=str(studio.workspace.root),
        language=os.environ.get("TUNESMITH_LANGUAGE", ""),
        devices=studio.devices.all(),
        memory_total=memory.total,
        memory_free=memory.available,
        disk_free=shutil.disk_usage(studio.workspace.root).free,
        exposed=studio.exposed,
        cpus=os.cpu_count() or 1,
        python=".".join(map(str, sys.version_info[:3])),
    )


@router.get("/doctor")
def doctor() -> list[Finding]:
    """What would go wrong on this machine, with the fix."""
    asked = [sys.executable, "-m", "tunesmith", "doctor", "--json"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=120)
    except subprocess.TimeoutExpired:
        raise UserError("The doctor gave no answer.", hint="Ask it in a terminal: tunesmith doctor") from None
    try:
        return [Finding(**line) for line in json.loads(told.stdout)]
    except (ValueError, TypeError):
        words = told.stderr.strip().splitlines()
        raise UserError("The doctor gave no answer.", hint=words[-1] if words else "") from None
