"""Settings of answers, changed while talking: by the same rules as a config file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tunesmith.config import GenerationConfig, Job
from tunesmith.config.reading import Setting
from tunesmith.config.settle import settle
from tunesmith.config.values import build_job
from tunesmith.errors import UserError

THINKING = "enable_thinking"
NAMES = (*(field.name for field in fields(GenerationConfig)), THINKING)


def with_changes(
    settings: GenerationConfig, thinking: bool | None, changes: Mapping[str, Any]
) -> tuple[GenerationConfig, bool | None]:
    """Both with the changes, which may be texts as a file or a flag has them. UserError for what doesn't fit."""
    changed, _ = settle({name: Setting(name, value) for name, value in changes.items()}, "chat")
    foreign = [name for name in changed if name not in NAMES]
    if foreign:
        raise UserError(
            f"{', '.join(foreign)} can't be changed while talking.",
            hint=f"These can: {', '.join(NAMES)}.",
            field=foreign[0],
        )
    now = {name: getattr(settings, name) for name in NAMES if name != THINKING} | {THINKING: thinking}
    job: Job = build_job({name: Setting(name, value) for name, value in now.items()} | changed)
    return job.generation, job.data.enable_thinking
