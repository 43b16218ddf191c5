"""The names of quantizations that people know, and which type each tensor gets under them.

A mix is a type for most tensors and a few rules that spend more bits where errors hurt: the output layer, attention's
values, the way out of the feed-forward block, in some layers more than in others. The rules are those of llama.cpp
v0.5.0 (`llama_tensor_get_type_impl`, `tensor_allows_quantization` and `tensor_type_fallback` in llama-quant.cpp), so a
file has the same types and the same size as one that llama-quantize makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from gguf import GGML_QUANT_SIZES, LlamaFileType
from gguf import GGMLQuantizationType as Kind

from tunesmith.errors import UserError, did_you_mean

Tensors = Sequence[tuple[str, tuple[int, ...]]]
"""GGUF names with shapes in torch's order: the columns, which blocks divide, come last."""

ALIGNMENT = 32
FLOATS = (Kind.F32, Kind.F16, Kind.BF16)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules ask of a model. n_expert: 0 where there are none."""

    n_layers: int
    n_head: int
    n_head_kv: int
    n_expert: int = 0

    @property
    def shares_heads(self) -> bool:
        """Whether at least four query heads share a key and value head, which makes the values small and important."""
        return self.n_head >= 4 * self.n_head_kv > 0

    @property
    def is_70b(self) -> bool:
        """llama.cpp's way to know Llama and Qwen models of 70 billion weights."""
        return self.n_layers == 80 and self.n_head != self.n_head_kv


Rule = Callable[[int, int, Facts], Kind | None]
"""The type for tensor number i of n of one class, or None for the mix's usual one."""


def everywhere(kind: Kind) -> Rule:
    return lambda i, n, facts: kind


def first(count: int, kind: Kind, others: Kind | None = None) -> Rule:
    return lambda i, n, facts: kind if i < count else others


def first_share(share: int, kind: Kind, others: Kind | None = None) -> Rule:
    return lambda i, n, facts: kind if i < n // share else others


def more_bits(kind: Kind) -> Rule:
    """The first and the last eighth of the layers, and every third between them (llama.cpp's `use_more_bits`)."""
    return lambda i, n, facts: kind if i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2 else None


def if_heads_are_shared(kind: Kind, otherwise: Kind | None = None) -> Rule:
    return lambda i, n, facts: kind if facts.shares_heads else otherwise


def usual(i: int, n: int, facts: Facts) -> Kind | None:
    return None


@dataclass(frozen=True, slots=True)
class Mix:
    """A quantization by its name.

    base: the type of most tensors. file_type: `general.file_type` of the file. value, down, out: rules for attn_v (and
    fused attn_qkv), ffn_down and attn_output. weighted_down: the rule for ffn_down under an importance matrix.
    firm_out: attn_output of a model with eight experts gets Q5_K. needs_importance: llama.cpp makes it with an
    importance matrix only, since it is of no use without.
    """

    name: str
    base: Kind
    file_type: LlamaFileType
    value: Rule = usual
    down: Rule = usual
    out: Rule = usual
    weighted_down: Rule | None = None
    firm_out: bool = False
    needs_importance: bool = False

    def kinds(self, tensors: Tensors, facts: Facts, *, importance: bool = False) -> dict[str, Kind]:
        """The type of each tensor by its name. importance: whether an importance matrix weighs the columns."""
        return _Choice(self, tensors, facts, importance).kinds()

    def nbytes(self, tensors: Tensors, facts: Facts, *, importance: bool = False) -> int:
        """Bytes of all tensors in the file, each padded; the header with the vocabulary comes on top."""
        kinds = self.kinds(tensors, facts, importance=importance)
        return sum(-(-_bytes(shape, kinds[name]) // ALIGNMENT) * ALIGNMENT for name, shape in tensors)


class _Choice:
    """The types of one model's tensors under a mix; counts tensors of a class as llama.cpp does."""

    def __init__(self, mix: Mix, tensors: Tensors, facts: Facts, importance: bool) -> None:
        self.mix, self.facts = mix, facts
        self.down = mix.weighted_down if importance and mix.weighted_down else mix.down
        # llama.cpp goes by layer and then by name, whatever the order in the file.
        self.tensors = sorted(tensors, key=lambda tensor: (_layer(tensor[0]), tensor[0]))
        self.tied = all(name != "output.weight" for name, _ in tensors)
        self.values = sum(_is_value(name) for name, _ in tensors)
        self.values_seen = self.downs_seen = 0

    def kinds(self) -> dict[str, Kind]:
        return {name: self._kind(name, shape) for name, shape in self.tensors}

    def _kind(self, name: str, shape: tuple[int, ...]) -> Kind:
        if must_be_exact(name, shape):
            return Kind.F32
        if self.mix.base in FLOATS:
            return self.mix.base
        return fitting(self._wanted(name, shape[-1]), shape[-1])

    def _wanted(self, name: str, columns: int) -> Kind:
        if name == "output.weight" or (self.tied and name.endswith("token_embd.weight")):
            whole = columns % GGML_QUANT_SIZES[self.mix.base][0] == 0
            return Kind.Q6_K if whole and self.mix.base != Kind.Q8_0 else Kind.Q8_0
        if _is_value(name):
            return self._value()
        if "attn_k.weight" in name and self.facts.n_expert == 8:
            return Kind.Q8_0
        if "attn_output.weight" in name:
            return self._out()
        if "ffn_down" in name:
            return self._down(name)
        return self.mix.base

    def _value(self) -> Kind:
        i, self.values_seen = self.values_seen, self.values_seen + 1
        kind = self.mix.value(i, self.values, self.facts) or self.mix.base
        if self.facts.n_expert == 8:
            return Kind.Q8_0
        return Kind.Q5_K if self.facts.is_70b and kind in (Kind.Q3_K, Kind.Q4_K) else kind

    def _out(self) -> Kind:
        if self.facts.n_expert == 8:
            return Kind.Q5_K if self.mix.firm_out else self.mix.base
        return self.mix.out(0, 1, self.facts) or self.mix.base

    def _down(self, name: str) -> Kind:
        i, self.downs_seen = self.downs_seen, self.downs_seen + 1
        if self.facts.n_expert > 1:  # a layer then has several of them, of its own and shared experts
            i = _layer(name)
        return self.down(i, self.facts.n_layers, self.facts) or self.mix.base


def must_be_exact(name: str, shape: Sequence[int]) -> bool:
    """Whether a tensor stays in float32: vectors, norms, biases, what routes to experts."""
    is_vector = prod(shape[:-1]) == 1
    return is_vector or not name.endswith("weight") or name.endswith("_norm.weight") or "ffn_gate_inp.weight" in name


def fitting(kind: Kind, columns: int) -> Kind:
    """The type itself, or where its blocks don't divide the columns the one that llama.cpp takes in its place."""
    if columns % GGML_QUANT_SIZES[kind][0]:
        kind = INSTEAD.get(kind, Kind.F16)
    return kind if columns % GGML_QUANT_SIZES[kind][0] == 0 else Kind.F16


INSTEAD = {
    Kind.Q2_K: Kind.Q4_0,
    Kind.Q3_K: Kind.Q4_0,
    Kind.Q4_K: Kind.Q5_0,
    Kind.Q5_K: Kind.Q5_1,
    Kind.Q6_K: Kind.Q8_0,
}


def _is_value(name: str) -> bool:
    return any(part in name for part in ("attn_v.weight", "attn_qkv.weight", "attn_kv_b.weight"))


def _layer(name: str) -> int:
    found = re.match(r"blk\.(\d+)\.", name)
    return int(found[1]) if found else -1


def _bytes(shape: tuple[int, ...], kind: Kind) -> int:
    block, size = GGML_QUANT_SIZES[kind]
    return prod(shape) // block * size


def resolve(name: str) -> Mix:
    """The mix of a name as people write it, in either case; UserError with the nearest names for an unknown one."""
    key = name.strip().lower().replace("-", "_")
    mix = MIXES.get(ALIASES.get(key, key))
    if mix is None:
        known = " ".join(MIXES)
        hint = did_you_mean(key, MIXES) or f"Known are {known}."
        raise UserError(f"{name!r} is no quantization that Tunesmith writes.", hint=hint, field="export_quant")
    return mix


def _mixes() -> list[Mix]:
    q2, q3, q4, q5, q6 = Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K
    of = LlamaFileType
    return [
        Mix("f32", Kind.F32, of.ALL_F32),
        Mix("f16", Kind.F16, of.MOSTLY_F16),
        Mix("bf16", Kind.BF16, of.MOSTLY_BF16),
        Mix("q8_0", Kind.Q8_0, of.MOSTLY_Q8_0),
        Mix("q4_0", Kind.Q4_0, of.MOSTLY_Q4_0, weighted_down=first_share(8, Kind.Q4_1)),
        Mix("q4_1", Kind.Q4_1, of.MOSTLY_Q4_1),
        Mix("q5_0", Kind.Q5_0, of.MOSTLY_Q5_0, weighted_down=first_share(8, Kind.Q5_1)),
        Mix("q5_1", Kind.Q5_1, of.MOSTLY_Q5_1),
        Mix("q2_k", q2, of.MOSTLY_Q2_K, if_heads_are_shared(q4, q3), everywhere(q3), everywhere(q3), firm_out=True),
        Mix("q2_k_s", q2, of.MOSTLY_Q2_K_S, if_heads_are_shared(q4), first_share(8, q4), needs_importance=True),
        Mix("q3_k_s", q3, of.MOSTLY_Q3_K_S, firm_out=True),
        Mix("q3_k_m", q3, of.MOSTLY_Q3_K_M, first(2, q5, q4), first_share(16, q5, q4), everywhere(q4), firm_out=True),
        Mix("q3_k_l", q3, of.MOSTLY_Q3_K_L, everywhere(q5), everywhere(q5), everywhere(q5)),
        Mix("q4_k_s", q4, of.MOSTLY_Q4_K_S, first(4, q5), first_share(8, q5), firm_out=True),
        Mix("q4_k_m", q4, of.MOSTLY_Q4_K_M, more_bits(q6), more_bits(q6), firm_out=True),
        Mix("q5_k_s", q5, of.MOSTLY_Q5_K_S),
        Mix("q5_k_m", q5, of.MOSTLY_Q5_K_M, more_bits(q6), more_bits(q6)),
        Mix("q6_k", q6, of.MOSTLY_Q6_K),
    ]


MIXES = {mix.name: mix for mix in _mixes()}
ALIASES = {"q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m", "fp32": "f32", "fp16": "f16"}
