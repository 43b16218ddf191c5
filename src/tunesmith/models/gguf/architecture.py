"""How one architecture is called in Hugging Face's and in GGUF's words: one table, read in both directions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gguf import GGUFValueType
from torch import Tensor

from tunesmith.errors import UserError
from tunesmith.models.gguf.file import FIELD, GGUFFile
from tunesmith.registry import Registry

ARCHITECTURES: Registry[Architecture] = Registry("GGUF architecture", "tunesmith.models.gguf.architectures")

Config = Mapping[str, Any]
"""A Hugging Face configuration as a dictionary (`config.to_dict()`)."""

UINT32, FLOAT32 = GGUFValueType.UINT32, GGUFValueType.FLOAT32


class Key(NamedTuple):
    """One setting. gguf: the key below the architecture's name. Settings that one side lacks are left out."""

    hf: str
    gguf: str
    kind: GGUFValueType = UINT32


class Transform(NamedTuple):
    """A change of values that goes with the change of names; each undoes the other. The shape stays."""

    to_gguf: Callable[[Tensor, Config], Tensor]
    to_hf: Callable[[Tensor, Config], Tensor]


KEYS = (
    Key("max_position_embeddings", "context_length"),
    Key("hidden_size", "embedding_length"),
    Key("num_hidden_layers", "block_count"),
    Key("intermediate_size", "feed_forward_length"),
    Key("num_attention_heads", "attention.head_count"),
    Key("num_key_value_heads", "attention.head_count_kv"),
    Key("rms_norm_eps", "attention.layer_norm_rms_epsilon", FLOAT32),
    Key("head_dim", "attention.key_length"),
    Key("vocab_size", "vocab_size"),
)

# Modules of a decoder, Hugging Face → GGUF; `{}` is the layer's number, a second one the expert's: experts lie in one
# tensor in GGUF. The last part of a name (weight, bias) stays.
FRAME = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers.{}.input_layernorm": "blk.{}.attn_norm",
    "model.layers.{}.self_attn.q_proj": "blk.{}.attn_q",
    "model.layers.{}.self_attn.k_proj": "blk.{}.attn_k",
    "model.layers.{}.self_attn.v_proj": "blk.{}.attn_v",
    "model.layers.{}.self_attn.o_proj": "blk.{}.attn_output",
    "model.layers.{}.post_attention_layernorm": "blk.{}.ffn_norm",
}
DECODER = {
    **FRAME,
    "model.layers.{}.mlp.gate_proj": "blk.{}.ffn_gate",
    "model.layers.{}.mlp.up_proj": "blk.{}.ffn_up",
    "model.layers.{}.mlp.down_proj": "blk.{}.ffn_down",
}
HEAD_NORMS = {
    "model.layers.{}.self_attn.q_norm": "blk.{}.attn_q_norm",
    "model.layers.{}.self_attn.k_norm": "blk.{}.attn_k_norm",
}
MIXTURE = {
    "model.layers.{}.mlp.gate": "blk.{}.ffn_gate_inp",
    "model.layers.{}.mlp.experts.{}.gate_proj": "blk.{}.ffn_gate_exps",
    "model.layers.{}.mlp.experts.{}.up_proj": "blk.{}.ffn_up_exps",
    "model.layers.{}.mlp.experts.{}.down_proj": "blk.{}.ffn_down_exps",
}
# Parameters that hold all experts of a layer, [experts, rows, columns], as transformers 5 computes with them. Several
# GGUF tensors lie in one, row after row.
FUSED = {
    "model.layers.{}.mlp.experts.gate_up_proj": ("blk.{}.ffn_gate_exps.weight", "blk.{}.ffn_up_exps.weight"),
    "model.layers.{}.mlp.experts.down_proj": ("blk.{}.ffn_down_exps.weight",),
}

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


class Place(NamedTuple):
    """Where a Hugging Face weight goes. part, of parts: which of equal shares of its rows. expert: None for all."""

    gguf: str
    part: int = 0
    parts: int = 1
    expert: int | None = None


@dataclass(frozen=True)
class Architecture:
    """One architecture of GGUF.

    name: `general.architecture`. model_types: those of Hugging Face that are written as it; it is read as the first.
    modules: HF module → GGUF name. fused: HF parameter → GGUF tensors in it. transforms: by HF module.
    assumed: settings that GGUF has no key for, since llama.cpp computes with these values (or what the function makes
    of the configuration) alone: so they are read, and others are refused. ignored: GGUF tensors that are derived.
    """

    name: str
    model_types: tuple[str, ...]
    modules: Mapping[str, str] = field(default_factory=lambda: DECODER)
    keys: Sequence[Key] = KEYS
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    fused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    assumed: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")

    def hf_names(self, gguf_name: str, experts: int = 1) -> list[str]:
        """The Hugging Face names of a GGUF tensor, one per expert where it holds experts; none if it has no place."""
        module, _, leaf = gguf_name.rpartition(".")
        pattern, numbers = _pattern(module)
        theirs = next((ours for ours, theirs in self.modules.items() if theirs == pattern), None)
        if theirs is None:
            return []
        count = experts if _holds_experts(theirs) else 1
        return [f"{theirs.format(*numbers, i)}.{leaf}" for i in range(count)]

    def places(self, hf_name: str) -> list[Place]:
        """Where a Hugging Face tensor goes in GGUF; none if this architecture has no such tensor."""
        whole, numbers = _pattern(hf_name)
        if whole in self.fused:
            parts = [name.format(*numbers) for name in self.fused[whole]]
            return [Place(name, i, len(parts)) for i, name in enumerate(parts)]
        module, _, leaf = hf_name.rpartition(".")
        pattern, numbers = _pattern(module)
        if pattern not in self.modules:
            return []
        name = f"{self.modules[pattern].format(*numbers)}.{leaf}"
        return [Place(name, expert=int(numbers[1]) if _holds_experts(pattern) else None)]

    def gguf_name(self, hf_name: str) -> str | None:
        """The GGUF name of a Hugging Face tensor, or None if this architecture has no such tensor."""
        places = self.places(hf_name)
        return places[0].gguf if places else None

    def names(self, layers: int) -> list[str]:
        """The GGUF names of the weights that a whole model of so many layers has."""
        each = {name: range(layers) if "{}" in name else range(1) for name in self.modules.values()}
        return [f"{name.format(layer)}.weight" for name, numbers in each.items() for layer in numbers]

    def to_hf(self, hf_name: str, tensor: Tensor, config: Config) -> Tensor:
        """A GGUF tensor in Hugging Face's layout."""
        transform = self.transform(hf_name)
        return tensor if transform is None else transform.to_hf(tensor, config)

    def to_gguf(self, hf_name: str, tensor: Tensor, config: Config) -> Tensor:
        """A Hugging Face tensor in GGUF's layout."""
        transform = self.transform(hf_name)
        return tensor if transform is None else transform.to_gguf(tensor, config)

    def transform(self, hf_name: str) -> Transform | None:
        """What changes about a tensor's values, or None."""
        return self.transforms.get(_pattern(hf_name.rpartition(".")[0])[0])

    def settings(self, file: GGUFFile) -> dict[str, Any]:
        """The Hugging Face settings that the file's metadata and tensors tell, rope aside (rope.py)."""
        metadata = file.metadata
        found = {
            key.hf: metadata[f"{self.name}.{key.gguf}"] for key in self.keys if f"{self.name}.{key.gguf}" in metadata
        }
        missing = [key for key in ("hidden_size", "num_hidden_layers", "num_attention_heads") if key not in found]
        if missing or "token_embd.weight" not in file.tensors:
            raise UserError(
                f"{file.path} does not describe a whole {self.name} model ({', '.join(missing) or 'no token_embd'}).",
                hint="It may be an adapter or a vocabulary alone; give the GGUF file of the model.",
                field=FIELD,
            )
        found["vocab_size"] = file.tensors["token_embd.weight"].shape[0]
        found["tie_word_embeddings"] = "output.weight" not in file.tensors
        for setting, tensor in (("attention_bias", "blk.0.attn_q.bias"), ("mlp_bias", "blk.0.ffn_up.bias")):
            if tensor in file.tensors:
                found[setting] = True
        return found | self._assumed(found)

    def metadata(self, config: Config) -> dict[str, tuple[Any, GGUFValueType]]:
        """GGUF key → value and type, of every setting that the configuration has, rope aside (rope.py).

        UserError for a setting that llama.cpp can't be told of.
        """
        for setting, value in self._assumed(config).items():
            if config.get(setting, value) != value:
                raise UserError(
                    f"A {self.name} model with {setting}: {config[setting]} can't be expressed in GGUF; llama.cpp "
                    f"computes with {value}.",
                    hint="Use the model as a folder with safetensors.",
                )
        head_dim = head_size(config)
        written = {
            f"{self.name}.{key.gguf}": (config[key.hf], key.kind) for key in self.keys if config.get(key.hf) is not None
        }
        for key in ("attention.key_length", "attention.value_length"):
            written[f"{self.name}.{key}"] = (head_dim, UINT32)
        written[f"{self.name}.rope.dimension_count"] = (rotary_size(config), UINT32)
        return written

    def _assumed(self, config: Config) -> dict[str, Any]:
        return {name: value(config) if callable(value) else value for name, value in self.assumed.items()}


def architecture_of(file: GGUFFile) -> Architecture:
    """The table for a file; UserError if there is none (naming those known) or if the file holds other tensors."""
    named = [architecture for _, architecture in ARCHITECTURES if architecture.name == file.architecture]
    if not named:
        known = dict.fromkeys(architecture.name for _, architecture in ARCHITECTURES)
        raise UserError(
            f"{file.path.name} is a {file.architecture or 'nameless'} model; as a GGUF file, only "
            f"{', '.join(known)} can be trained.",
            hint="Give the model as a hub id or as a folder with safetensors; any architecture works that way.",
            field=FIELD,
        )
    # Llama and Mixtral go by one name: the table that has a place for every tensor is the right one.
    architecture = min(named, key=lambda each: len(_without_place(each, file)))
    if unknown := _without_place(architecture, file):
        raise UserError(
            f"{file.path.name} says it is a {file.architecture} model but holds {len(unknown)} tensors that such "
            f"a model has not, for example {unknown[0]}.",
            hint="It is of a variant that is not known here: give the model as a hub id or as a folder with "
            "safetensors.",
            field=FIELD,
        )
    return architecture


def is_readable(file: GGUFFile) -> bool:
    """Whether there is a table for what the file calls itself."""
    return any(architecture.name == file.architecture for _, architecture in ARCHITECTURES)


def architecture_for(model_type: str) -> Architecture:
    """The table that a Hugging Face model type is written with; UserError if there is none."""
    found = next((each for _, each in ARCHITECTURES if model_type in each.model_types), None)
    if found is not None:
        return found
    known = sorted(kind for _, architecture in ARCHITECTURES for kind in architecture.model_types)
    raise UserError(
        f"There is no GGUF table for {model_type} models.",
        hint="Where llama.cpp's own converter is on this machine an export uses it: set LLAMA_CPP_DIR to the folder "
        "that holds convert_hf_to_gguf.py. Or export merged safetensors and convert them elsewhere: python "
        f"convert_hf_to_gguf.py FOLDER. There are tables for {', '.join(known)}.",
        field=FIELD,
    )


def has_table(model_type: str) -> bool:
    """Whether `architecture_for` knows it."""
    return any(model_type in architecture.model_types for _, architecture in ARCHITECTURES)


def head_size(config: Config) -> int:
    """Width of one attention head."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def rotary_size(config: Config) -> int:
    """How much of a head is rotated by position."""
    rope = config.get("rope_parameters") or {}
    return int(head_size(config) * (rope.get("partial_rotary_factor") or 1.0))


def _without_place(architecture: Architecture, file: GGUFFile) -> list[str]:
    return [name for name in file.tensors if name not in architecture.ignored and not architecture.hf_names(name)]


def _holds_experts(pattern: str) -> bool:
    return pattern.count("{}") > 1


def _pattern(name: str) -> tuple[str, list[str]]:
    """The name with `{}` for every number, and the numbers."""
    return _NUMBER.sub("{}", name), _NUMBER.findall(name)
