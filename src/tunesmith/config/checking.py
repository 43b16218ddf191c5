"""A job held against the rules between its keys."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tunesmith.config.idle import IDLE
from tunesmith.config.job import Job
from tunesmith.config.rules import RULES
from tunesmith.errors import UserError


def check(job: Job, verb: str) -> None:
    """UserError naming every rule that the job breaks."""
    broken = [rule for rule in RULES if verb in rule.verbs and rule.broken(job)]
    raise_all([UserError(rule.message, hint=rule.hint, field=rule.field) for rule in broken])


def raise_all(errors: Sequence[UserError]) -> None:
    """Raise all that is wrong as one error, so that a user sees it at once; nothing where nothing is wrong."""
    if errors:
        *others, last = errors
        message = "\n".join([*map(str, others), last.message])
        raise UserError(message, hint=last.hint, field=errors[0].field, parts=errors)


def idle_notes(job: Job, changed: Collection[str], verb: str) -> list[str]:
    """A line for each group of keys that were changed from their defaults and will do nothing."""
    notes = []
    for idle in (each for each in IDLE if verb in each.verbs):
        named = [key for key in idle.keys if key in changed]
        if named and idle.when(job):
            notes.append(f"{', '.join(named)}: no effect, because {idle.because}.")
    return notes
