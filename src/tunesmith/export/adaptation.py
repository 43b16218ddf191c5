"""An adapter's folder read against its base: which parameter is changed how, every tensor of the file accounted for."""

from __future__ import annotations

import dataclasses
import json
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners import lora
from peft.tuners.trainable_tokens import TrainableTokensLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import ModulesToSaveWrapper
from torch import nn
from transformers import PreTrainedModel

from tunesmith.errors import UserError
from tunesmith.export.deltas import (
    AdapterFile,
    AddScaled,
    ByLayer,
    Change,
    LowRank,
    NewRows,
    PissaResidual,
)
from tunesmith.export.lora_settings import GENTLE_STARTS, NOT_MERGED
from tunesmith.models.weights import DTYPES, StoredParameter

FIELD = "adapter_name_or_path"
_NAME = "default"
_ROOT = "base_model.model."
_WRAPPERS = {"base_layer", "original_module", "token_adapter"}  # parts of a name that peft adds

_KINDS = {"LORA", "LOHA", "LOKR", "OFT", "IA3", "TRAINABLE_TOKENS"}


@dataclass(frozen=True)
class Adaptation:
    """By the model's name of a parameter: what stands in for the base's tensor, and what is done to it, in order."""

    replaced: dict[str, StoredParameter] = field(default_factory=dict)
    changes: dict[str, list[Change]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, change: Change) -> None:
        self.changes.setdefault(name, []).append(change)

    def is_nothing(self) -> bool:
        return not self.replaced and all(change.is_nothing() for each in self.changes.values() for change in each)


def adapter_weights(folder: Path) -> AdapterFile:
    """The tensors of an adapter's folder, none read yet."""
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        raise UserError(
            f"{folder} has no adapter_model.safetensors.",
            hint="Give the folder that a LoRA run has written.",
            field=FIELD,
        )
    file = AdapterFile(path)
    for name, stored in file.stored.items():
        if stored.place.dtype not in DTYPES:
            raise UserError(
                f"{path} holds {name} as {stored.place.dtype}, a quantized format.",
                hint="Save the adapter as float32 or bfloat16.",
                field=FIELD,
            )
    return file


def read_adapter(folder: Path, file: AdapterFile, skeleton: PreTrainedModel) -> Adaptation:
    """What the adapter does to a model. skeleton: the base on the meta device; it is changed and of no use afterwards.

    UserError for settings that can't be merged, for tensors that this model has no place for, and for missing ones.
    """
    config = _settings(folder)
    shapes = {name: tuple(each.shape) for name, each in skeleton.named_parameters(remove_duplicate=False)}
    begun = config
    if isinstance(config, LoraConfig):  # nothing is begun without weights
        begun = dataclasses.replace(config, init_lora_weights=True, inference_mode=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            adapted: Any = get_peft_model(skeleton, begun, low_cpu_mem_usage=True)
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise _foreign(folder, config, reason) from error
        live = adapted.state_dict(keep_vars=True)
        saved = get_peft_model_state_dict(adapted, state_dict=live, save_embedding_layers=False)
    _check_fit(folder, config, file, saved)
    return _Reading(folder, file, config, adapted, live, saved, shapes).whole()


class _Reading:
    """One pass over an adapted model that holds no weights; `open` shrinks to the tensors not accounted for."""

    def __init__(
        self,
        folder: Path,
        file: AdapterFile,
        config: PeftConfig,
        adapted: PeftModel,
        live: dict[str, Any],
        saved: dict[str, Any],
        shapes: dict[str, tuple[int, ...]],
    ) -> None:
        self.folder, self.file, self.config, self.adapted, self.shapes = folder, file, config, adapted, shapes
        self.iterations = _pissa_iterations(config)
        self.open = set(file.stored)
        self.live = {name.replace(f".{_NAME}", ""): each for name, each in live.items()}
        self.names: dict[int, list[str]] = {}
        for name, parameter in saved.items():
            self.names.setdefault(id(parameter), []).append(name)
        self.used: set[int] = set()
        self.found = Adaptation()

    def whole(self) -> Adaptation:
        states = {} if self.iterations is None else self._generator_states()
        if self.iterations:
            self.found.notes.append(
                f"The adapter {self.folder} belongs to what PiSSA left of its base, which is computed anew. After "
                "training on a GPU it comes out slightly different; pissa_convert: true saves adapters that need none."
            )
        # Inner layers first: what wraps them is computed after them.
        for full, module in reversed(list(self.adapted.named_modules())):
            if not isinstance(module, BaseTunerLayer | ModulesToSaveWrapper):
                continue
            name = ".".join(part for part in full.removeprefix(_ROOT).split(".") if part not in _WRAPPERS)
            if isinstance(module, ModulesToSaveWrapper):
                self._replace(name, module)
            elif isinstance(module, TrainableTokensLayer):
                self._rows(name, module)
            elif isinstance(module, lora.ParamWrapper) or type(module) in (lora.Linear, lora.Embedding):
                if full in states:
                    self._take_out(name, module, states[full])
                self._low_rank(name, module)
            elif isinstance(module, BaseTunerLayer) and full != "base_model":
                self._by_layer(name, full, module)
        for stored in sorted(self.open):
            self._base_tensor(stored)
        return self.found

    def _key(self, parameter: Any) -> str:
        """The name in the file of a parameter of the adapter; it counts as used from now on."""
        names = self.names[id(parameter)]
        self.used.add(id(parameter))
        self.open -= set(names)
        return names[0]

    def _replace(self, name: str, module: Any) -> None:
        for part, parameter in module.modules_to_save[_NAME].named_parameters():
            self.found.replaced[f"{name}.{part}"] = self.file.stored[self._key(parameter)]

    def _rows(self, name: str, module: Any) -> None:
        key = self._key(module.trainable_tokens_delta[_NAME])
        self.found.add(f"{name}.weight", NewRows(self.file, key, tuple(module.token_indices[_NAME])))

    def _low_rank(self, name: str, module: Any) -> None:
        scale = module.scaling[_NAME]
        if isinstance(module, lora.Embedding):
            a, b, turned = module.lora_embedding_A[_NAME], module.lora_embedding_B[_NAME], True
        else:
            a, b, turned = module.lora_A[_NAME].weight, module.lora_B[_NAME].weight, module.fan_in_fan_out
        experts, part = 1, "weight"
        if isinstance(module, lora.ParamWrapper):
            experts, part = module.num_experts, module.parameter_name
            turned = len(self.shapes[f"{name}.{part}"]) == 3 and getattr(
                module.get_base_layer(), "is_transposed", False
            )
        magnitude = self._key(module.lora_magnitude_vector[_NAME].weight) if module.use_dora[_NAME] else None
        change = LowRank(self.file, self._key(a), self._key(b), scale, turned, experts, magnitude)
        self.found.add(f"{name}.{part}", change)
        if module.lora_bias[_NAME]:
            if f"{name}.bias" not in self.shapes:
                raise UserError(
                    f"{self.folder} has lora_bias for {name}, a layer without a bias to merge it into.",
                    hint="Use it as an adapter, or train without lora_bias.",
                    field=FIELD,
                )
            self.found.add(f"{name}.bias", AddScaled(self.file, self._key(module.lora_B[_NAME].bias), scale))

    def _by_layer(self, name: str, full: str, module: Any) -> None:
        keys = tuple(stored for stored in sorted(self.open) if stored.startswith(f"{full}."))
        self.open -= set(keys)
        base = module.get_base_layer()
        for part, _ in base.named_parameters(recurse=False):
            self.found.add(f"{name}.{part}", ByLayer(self.file, self.config, name, base, part, keys))

    def _base_tensor(self, stored: str) -> None:
        """A tensor of the base itself that was saved along: a trained bias, a resized embedding.

        With a resized vocabulary peft saves all of embedding and head, what it has saved of them before as well.
        """
        if id(self.live.get(stored)) in self.used:
            return
        parts = stored.removeprefix(_ROOT).split(".")
        name = ".".join(part for part in parts if part not in _WRAPPERS)
        if self.shapes.get(name) != self.file.stored[stored].shape:
            raise _foreign(self.folder, self.config, f"it has weights for {stored}, which this model has not")
        self.found.replaced.setdefault(name, self.file.stored[stored])

    def _take_out(self, name: str, module: Any, state: torch.Tensor) -> None:
        if isinstance(module, lora.Linear):
            scale, turned = module.scaling[_NAME], module.fan_in_fan_out
            residual = PissaResidual(module.r[_NAME], scale, self.iterations or None, state, turned)
            self.found.add(f"{name}.weight", residual)

    def _generator_states(self) -> dict[str, torch.Tensor]:
        """Layer → the state of torch's generator when models/adapter_files.py has peft factor it, from seed 0.

        Every layer begun before it drew numbers: for its two matrices, then for its factorization.
        """
        states = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for full, module in self.adapted.named_modules():
                if isinstance(module, lora.Linear):
                    rank, (rows, columns) = module.r[_NAME], (module.out_features, module.in_features)
                    nn.Linear(columns, rank, bias=False)
                    nn.Linear(rank, rows, bias=False)
                    states[full] = torch.get_rng_state()
                    if self.iterations:
                        torch.randn(min(rows, columns), rank)
                elif isinstance(module, lora.Embedding):
                    rank = module.r[_NAME]
                    torch.randn(rank, module.in_features)
                    torch.randn(module.out_features, rank)
                    nn.init.normal_(torch.empty(module.out_features, rank))
        return states


def _settings(folder: Path) -> PeftConfig:
    """adapter_config.json, every setting of it known and one that can be merged."""
    path = folder / "adapter_config.json"
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        _refuse(folder, written)  # before peft, which asks for packages that merging needs not
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = PeftConfig.from_pretrained(str(folder))
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise UserError(f"{path} can't be used: {error}", hint="Copy the whole folder again.", field=FIELD) from error
    known = {field.name for field in dataclasses.fields(config)}
    for key, value in written.items():
        if key not in known and value:
            raise _unmergeable(folder, f"{key}: {value}", "This peft does not know it: pip install -U peft")
    return config


def _refuse(folder: Path, written: dict[str, Any]) -> None:
    kind = str(written.get("peft_type"))
    if kind not in _KINDS:
        raise _unmergeable(folder, f"peft_type {kind}", "It works beside its base only; keep using it as an adapter.")
    for key in NOT_MERGED:
        if written.get(key):
            raise _unmergeable(folder, f"{key}: {written[key]}", "Use it as an adapter beside its base.")
    start = written.get("init_lora_weights", True)
    if isinstance(start, str) and start not in GENTLE_STARTS and not start.startswith("pissa"):
        raise _unmergeable(
            folder,
            f"init_lora_weights: {start}",
            "That start changed the base, and how is not saved; save it with peft's "
            "path_initial_model_for_weight_conversion, as a plain LoRA.",
        )


def _unmergeable(folder: Path, what: str, hint: str) -> UserError:
    return UserError(f"The adapter {folder} can't be merged: it has {what}.", hint=hint, field=FIELD)


def _pissa_iterations(config: PeftConfig) -> int | None:
    """Iterations with which PiSSA factored the base, 0 for exactly; None where it didn't."""
    start = str(getattr(config, "init_lora_weights", ""))
    if not start.startswith("pissa"):
        return None
    number = start.rpartition("_niter_")[2]
    return int(number) if number.isdigit() else 0


def _check_fit(folder: Path, config: PeftConfig, file: AdapterFile, saved: dict[str, Any]) -> None:
    """Everything that the model wants of the adapter is there, in its shape."""
    apart = next((name for name in file.stored if re.search(r"\.experts\.\d+\.", name) and name not in saved), None)
    if apart is not None:
        raise UserError(
            f"The adapter {folder} has weights for single experts, such as {apart}, as transformers 4 named them.",
            hint="Load it with peft's PeftModel.from_pretrained and save it again: that brings it into the new form.",
            field=FIELD,
        )
    for name, parameter in saved.items():
        if name not in file.stored:
            raise _foreign(folder, config, f"it has no weights for {name}")
        theirs, ours = file.stored[name].shape, tuple(parameter.shape)
        if theirs != ours:
            raise _foreign(folder, config, f"{name} is {list(theirs)} and should be {list(ours)}")


def _foreign(folder: Path, config: PeftConfig, reason: str) -> UserError:
    base = config.base_model_name_or_path
    hint = f"It was trained on {base}: set model_name_or_path to that." if base else "Use the base it was trained on."
    return UserError(
        f"The adapter {folder} does not fit this model: {reason.rstrip('.')}.",
        hint=hint,
        field=FIELD,
    )
