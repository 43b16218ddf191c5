"""A job held against the rules between its keys."""

from __future__ import annotations

from collections.abc import Collection

from tunesmith.config.job import Job
from tunesmith.config.legacy import TRAINING_VERBS
from tunesmith.config.rules import IDLE, RULES
from tunesmith.errors import UserError


def check(job: Job, verb: str) -> None:
    """UserError naming every rule that the job breaks."""
    broken = [rule for rule in RULES if verb in rule.verbs and rule.broken(job)]
    if broken:
        *others, last = broken
        lines = [f"{rule.message}\n  → {rule.hint}" for rule in others] + [last.message]
        raise UserError("\n".join(lines), hint=last.hint, field=broken[0].field)


def idle_notes(job: Job, asked: Collection[str], verb: str) -> list[str]:
    """A line for each asked group of keys that will do nothing."""
    if verb not in TRAINING_VERBS:
        return []
    notes = []
    for idle in IDLE:
        named = [key for key in idle.keys if key in asked]
        if named and idle.when(job):
            notes.append(f"{', '.join(named)}: no effect, because {idle.because}.")
    return notes
