"""`finetuning_type: freeze`: train some layers of the model and leave the others."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import nn

from tunesmith.config.adapter import AdapterConfig
from tunesmith.errors import UserError, did_you_mean

_LAYER = re.compile(r"^(?P<stack>.*?)\.(?P<number>\d+)\.(?P<inside>.+)$")


def train_layers(model: nn.Module, adapter: AdapterConfig) -> None:
    """Turn on `requires_grad` for the asked modules of the first or last layers, and for extra modules outside them.

    UserError for more layers than there are, and for names that no module has.
    """
    split = [(name, parameter, _LAYER.match(name)) for name, parameter in model.named_parameters()]
    inside = [(parameter, int(m["number"]), m["inside"].split(".")) for _, parameter, m in split if m]
    outside = [(parameter, name.split(".")) for name, parameter, m in split if not m]
    layers = 1 + max((number for _, number, _ in inside), default=-1)
    chosen = _chosen_layers(adapter.freeze_trainable_layers, layers)
    modules, extras = adapter.freeze_trainable_modules, adapter.freeze_extra_modules
    _check_names(modules, (part for _, _, parts in inside for part in parts[:-1]), "freeze_trainable_modules")
    _check_names(extras, (part for _, parts in outside for part in parts[:-1]), "freeze_extra_modules")
    for parameter, number, parts in inside:
        if number in chosen and ("all" in modules or not set(parts).isdisjoint(modules)):
            parameter.requires_grad_(True)
    for parameter, parts in outside:
        if not set(parts).isdisjoint(extras):
            parameter.requires_grad_(True)


def _chosen_layers(asked: int, layers: int) -> range:
    """n > 0: the last n; n < 0: the first -n."""
    if asked == 0 or abs(asked) > layers:
        raise UserError(
            f"freeze_trainable_layers is {asked}; the model has {layers} layers.",
            hint=f"Give 1 to {layers} for the last layers, or -1 to -{layers} for the first.",
            field="freeze_trainable_layers",
        )
    return range(layers - asked, layers) if asked > 0 else range(-asked)


def _check_names(asked: Iterable[str], known: Iterable[str], field: str) -> None:
    names = sorted({*known} - {"model", "transformer"})
    for name in asked:
        if name != "all" and name not in names:
            raise UserError(
                f"{field}: this model has no module called {name!r} there.",
                hint=f"{did_you_mean(name, names)} It has {', '.join(names)}.".strip(),
                field=field,
            )
