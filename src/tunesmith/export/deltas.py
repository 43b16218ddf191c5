"""What an adapter does to one weight of its base: told by peft's own layers, computed here block by block.

The layers are built on the meta device: they hold no weights and know all that the settings come to, such as scales,
layouts, which parameter is meant. The arithmetic of LoRA is repeated here because peft's needs copies of a whole
weight; what is not LoRA on a linear layer, an embedding or experts is merged by its own layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import torch
from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
from torch import Tensor, nn

from tunesmith.models.shards import read_header
from tunesmith.models.weights import StoredParameter

Apply = Callable[[Tensor, int | None, int], Tensor]
"""(block [n, columns], expert, first row of the block in its matrix) → the block changed, which may be the same one."""


class Change(Protocol):
    """What an adapter does to one parameter. whole: it needs the whole matrix at once."""

    @property
    def whole(self) -> bool: ...

    def load(self) -> Apply: ...

    def is_nothing(self) -> bool: ...

    def same_as(self, other: Change) -> bool:
        """Whether it does to an output head what `other` does to the embedding, or the other way round."""
        ...


class AdapterFile:
    """adapter_model.safetensors: tensors by name, the last few kept, since all experts of a layer share theirs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stored = {name: StoredParameter(path, place) for name, place in read_header(path).items()}
        self.tensor = lru_cache(maxsize=4)(self._read)

    def _read(self, name: str) -> Tensor:
        """In float32, as peft loads an adapter."""
        return self.stored[name].read(torch.float32)


@dataclass(frozen=True, slots=True)
class LowRank:
    """W + scale·B·A, with DoRA's magnitude m·W'/‖W'‖ where there is one.

    a [r, in], b [out, r], or [experts·r, in] and [out, r·experts]: names in the file. turned: the weight is [in, out].
    """

    file: AdapterFile
    a: str
    b: str
    scale: float
    turned: bool = False
    experts: int = 1
    magnitude: str | None = None

    @property
    def whole(self) -> bool:
        return self.turned and self.magnitude is not None

    def load(self) -> Apply:
        a, b = self.file.tensor(self.a), self.file.tensor(self.b)
        if self.experts > 1:
            a = a.reshape(self.experts, -1, a.shape[-1])
            b = b.reshape(b.shape[0], -1, self.experts).permute(2, 0, 1)
        magnitude = None if self.magnitude is None else self.file.tensor(self.magnitude)

        def apply(block: Tensor, expert: int | None, first: int) -> Tensor:
            down, up = (a, b) if self.experts == 1 or expert is None else (a[expert], b[expert])
            rows = slice(first, first + len(block))
            # In peft's order of operations, for equal bits.
            delta = (up @ down[:, rows]).T if self.turned else up[rows] @ down
            changed = block.add_(delta.mul_(self.scale))
            return changed if magnitude is None else self._scaled(changed, magnitude, rows)

        return apply

    def _scaled(self, changed: Tensor, magnitude: Tensor, rows: slice) -> Tensor:
        if self.turned:
            return changed.mul_((magnitude / torch.linalg.norm(changed.T, dim=1)).view(1, -1))
        return changed.mul_((magnitude[rows] / torch.linalg.norm(changed, dim=1)).view(-1, 1))

    def is_nothing(self) -> bool:
        return self.magnitude is None and not (self.file.tensor(self.b).any() and self.file.tensor(self.a).any())

    def same_as(self, other: Change) -> bool:
        if not isinstance(other, LowRank) or self.magnitude or other.magnitude or self.scale != other.scale:
            return False
        return all(map(torch.equal, self._factors(), other._factors()))

    def _factors(self) -> tuple[Tensor, Tensor]:
        a, b = self.file.tensor(self.a), self.file.tensor(self.b)
        return (a.T, b.T) if self.turned else (b, a)


@dataclass(frozen=True, slots=True)
class AddScaled:
    """A bias grows by what the adapter's own bias adds."""

    file: AdapterFile
    name: str
    scale: float
    whole: bool = True

    def load(self) -> Apply:
        addend = self.file.tensor(self.name)
        return lambda block, expert, first: block.add_(addend.view_as(block) * self.scale)

    def is_nothing(self) -> bool:
        return not self.file.tensor(self.name).any()

    def same_as(self, other: Change) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class NewRows:
    """Some rows of an embedding are replaced. name: [len(rows), columns] in the file."""

    file: AdapterFile
    name: str
    rows: tuple[int, ...]
    whole: bool = False

    def load(self) -> Apply:
        values = self.file.tensor(self.name)
        where = torch.tensor(self.rows)

        def apply(block: Tensor, expert: int | None, first: int) -> Tensor:
            here = (where >= first) & (where < first + len(block))
            block[where[here] - first] = values[here].to(block.dtype)
            return block

        return apply

    def is_nothing(self) -> bool:
        return not self.rows

    def same_as(self, other: Change) -> bool:
        return self == other


@dataclass(frozen=True, slots=True)
class ByLayer:
    """Merged by peft's own layer.

    name: of the layer in the model. base: the bare layer on the meta device. part: weight or bias. tensors: names in
    the file, which are peft's for a model that holds this one layer too.
    """

    file: AdapterFile
    config: PeftConfig
    name: str
    base: nn.Module
    part: str
    tensors: tuple[str, ...]
    whole: bool = True

    def load(self) -> Apply:
        adapter = {name: self.file.tensor(name) for name in self.tensors}

        def apply(block: Tensor, expert: int | None, first: int) -> Tensor:
            layer = copy.deepcopy(self.base).to_empty(device="cpu").float()
            with torch.no_grad():
                for name, parameter in layer.named_parameters():
                    parameter.copy_(block.view_as(parameter) if name == self.part else torch.zeros(()))
            config = replace(self.config, task_type=None, base_model_name_or_path=None)
            adapted: Any = get_peft_model(_shelf(self.name, layer), config)
            set_peft_model_state_dict(adapted, adapter)
            merged = adapted.merge_and_unload().get_submodule(self.name)
            return merged.get_parameter(self.part).detach().reshape(block.shape)

        return apply

    def is_nothing(self) -> bool:
        return False

    def same_as(self, other: Change) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class PissaResidual:
    """What PiSSA took out of the base before it trained: W - scale·B0·A0, B0·A0 being W's largest part.

    iterations: of the fast factorization, None for the exact one. state: of torch's generator when peft began this
    layer.
    """

    rank: int
    scale: float
    iterations: int | None
    state: Tensor
    turned: bool
    whole: bool = True

    def load(self) -> Apply:
        return self._apply

    def _apply(self, block: Tensor, expert: int | None, first: int) -> Tensor:
        weight = block.T if self.turned else block
        if self.iterations is None:
            left, sizes, right = torch.linalg.svd(weight, full_matrices=False)
            left, sizes, right = left[:, : self.rank], sizes[: self.rank], right[: self.rank]
        else:
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(self.state)
                left, sizes, turned = torch.svd_lowrank(weight, self.rank, niter=self.iterations)
            right = turned.T
        root = torch.diag(torch.sqrt(sizes / self.scale))  # in peft's order of operations
        rest = weight - self.scale * (left @ root) @ (root @ right)
        return rest.T if self.turned else rest

    def is_nothing(self) -> bool:
        return False

    def same_as(self, other: Change) -> bool:
        return False


def _shelf(name: str, layer: nn.Module) -> nn.Module:
    """A module that holds `layer` under its full name and nothing else."""
    top = here = nn.Module()
    *path, last = name.split(".")
    for part in path:
        below = nn.Module()
        here.add_module(part, below)
        here = below
    here.add_module(last, layer)
    return top
