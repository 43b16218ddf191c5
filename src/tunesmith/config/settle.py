"""From all settings that were given to those of fields: other keys and values of LLaMA-Factory are noted or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tunesmith.config.checking import raise_all
from tunesmith.config.fields import fields
from tunesmith.config.job import SECTIONS
from tunesmith.config.legacy import Noted, Refused, Renamed, asks, word
from tunesmith.config.legacy_keys import LEGACY, REFUSED_VALUES
from tunesmith.config.reading import Setting
from tunesmith.config.values import shape
from tunesmith.errors import UserError, did_you_mean

UNKNOWN_KEY = "unknown_key"
"""The code of an error about a key that means nothing here."""


@dataclass(slots=True)
class _Verdicts:
    """What is said so far for one command. lines: what is said → the settings it is said of."""

    verb: str
    lines: dict[str, list[str]] = field(default_factory=dict)
    refused: list[UserError] = field(default_factory=list)

    def note(self, setting: str, line: str) -> None:
        self.lines.setdefault(line, []).append(setting)

    def refuse(self, setting: Setting, value: Any, entry: Refused) -> None:
        """Refuse a value of a setting, or note that it doesn't matter to this command."""
        shown = setting.key if setting.key.endswith("token") else f"{setting.key}: {word(value)}"
        if self.verb not in entry.verbs:
            self.note(shown, f"does not matter to `{self.verb}`.")
            return
        where = f"{setting.where}: " if setting.where else ""
        hint = f"Remove `{setting.key}` or change it."
        self.refused.append(UserError(f"{where}`{shown}` is refused: {entry.line}", hint=hint, field=setting.key))

    def notes(self) -> list[str]:
        return [f"{', '.join(settings)}: {line}" for line, settings in self.lines.items()]


def settle(given: Mapping[str, Setting], verb: str) -> tuple[dict[str, Setting], list[str]]:
    """The settings of fields, in the form their fields have, and the notes on all others.

    UserError naming every unknown key, or else everything that is refused for this command.
    """
    settled, notes, refused = judged(given, verb)
    raise_all(refused)
    return settled, notes


def judged(given: Mapping[str, Setting], verb: str) -> tuple[dict[str, Setting], list[str], list[UserError]]:
    """As `settle`, with what is refused told instead of raised: of each its key as `field`."""
    unknown = [setting for key, setting in given.items() if key not in fields() and key not in LEGACY]
    if unknown:
        raise _unknown(unknown)
    verdicts = _Verdicts(verb)
    kept = {key: setting for key, setting in given.items() if key in fields()}
    for setting in given.values():
        if setting.key in LEGACY and setting.value is not None:
            _settle_key(setting, kept, verdicts)
    settled = {}
    for key, setting in kept.items():
        shaped = Setting(key, shape(fields()[key], setting.value), setting.where)
        known = _refused_words(shaped)
        for it, entry in known.items():
            verdicts.refuse(shaped, it, entry)
        if not known:
            settled[key] = shaped
    return settled, verdicts.notes(), verdicts.refused


def _settle_key(setting: Setting, kept: dict[str, Setting], verdicts: _Verdicts) -> None:
    """Note or refuse a key that is no field; a renamed one joins the kept."""
    entry = LEGACY[setting.key]
    if isinstance(entry, Renamed):
        if entry.to in kept:
            verdicts.note(setting.key, f"no effect, because {entry.to} is set too.")
            return
        value = entry.value(setting.value)
        kept[entry.to] = Setting(entry.to, value, ", ".join(filter(None, [setting.where, setting.key])))
        verdicts.note(setting.key, f"read as `{entry.to}: {word(value)}`.")
    elif asks(entry, setting.value):
        if isinstance(entry, Noted):
            verdicts.note(setting.key, entry.line)
        else:
            verdicts.refuse(setting, setting.value, entry)


def _refused_words(setting: Setting) -> dict[str, Refused]:
    """The words of a field's value that LLaMA-Factory knows and that are refused here."""
    table = REFUSED_VALUES.get(setting.key, {})
    words = setting.value if isinstance(setting.value, list) else [setting.value]
    return {it: table[it] for it in words if isinstance(it, str) and it in table}


SHORT = MappingProxyType(
    {
        "model": "model_name_or_path",
        "model_name": "model_name_or_path",
        "adapter": "adapter_name_or_path",
        "data": "dataset",
        "eval_data": "eval_dataset",
        "output": "output_dir",
        "out": "output_dir",
        "lr": "learning_rate",
        "epochs": "num_train_epochs",
        "steps": "max_steps",
        "grad_accum": "gradient_accumulation_steps",
        "rank": "lora_rank",
        "alpha": "lora_alpha",
        "dropout": "lora_dropout",
        "target_modules": "lora_target",
        "max_seq_length": "cutoff_len",
        "scheduler": "lr_scheduler_type",
        "optimizer": "optim",
        "method": "finetuning_type",
        "resume": "resume_from_checkpoint",
        "overwrite": "overwrite_output_dir",
    }
)
"""What other tools call it, or a person who is in a hurry."""


def _nearest(key: str) -> str:
    """The field that was probably meant; a key that is only refused here is no help."""
    accepted = [name for name, entry in LEGACY.items() if not isinstance(entry, Refused)]
    short = SHORT.get(key.lower().replace("-", "_"))
    return f"Did you mean {short}?" if short else did_you_mean(key, fields()) or did_you_mean(key, accepted)


def _unknown(settings: Sequence[Setting]) -> UserError:
    hint = f"`tunesmith help SECTION` lists the keys of: {', '.join(SECTIONS)}."
    parts = []
    for setting in settings:
        where = f"{setting.where}: " if setting.where else ""
        line = f"{where}there is no key `{setting.key}`. {_nearest(setting.key)}".strip()
        parts.append(UserError(line, hint=hint, field=setting.key, code=UNKNOWN_KEY))
    return UserError(
        "\n".join(part.message for part in parts), hint=hint, field=parts[0].field, parts=parts, code=UNKNOWN_KEY
    )
