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
    """A change of layout that goes with the change of names; each undoes the other."""

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

# Modules of a decoder, Hugging Face → GGUF; `{}` is the layer's number. The last part of a name (weight, bias) stays.
DECODER = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers.{}.input_layernorm": "blk.{}.attn_norm",
    "model.layers.{}.self_attn.q_proj": "blk.{}.attn_q",
    "model.layers.{}.self_attn.k_proj": "blk.{}.attn_k",
    "model.layers.{}.self_attn.v_proj": "blk.{}.attn_v",
    "model.layers.{}.self_attn.o_proj": "blk.{}.attn_output",
    "model.layers.{}.post_attention_layernorm": "blk.{}.ffn_norm",
    "model.layers.{}.mlp.gate_proj": "blk.{}.ffn_gate",
    "model.layers.{}.mlp.up_proj": "blk.{}.ffn_up",
    "model.layers.{}.mlp.down_proj": "blk.{}.ffn_down",
}

_LAYER = re.compile(r"(?<=\.)\d+(?=\.)")


@dataclass(frozen=True)
class Architecture:
    """One architecture of GGUF.

    name: `general.architecture`. model_types: those of Hugging Face that are written as it; it is read as the first.
    modules: HF module → GGUF name. transforms: by HF module. ignored: GGUF tensors that are derived, not weights.
    """

    name: str
    model_types: tuple[str, ...]
    modules: Mapping[str, str] = field(default_factory=lambda: DECODER)
    keys: Sequence[Key] = KEYS
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    ignored: tuple[str, ...] = ("rope_freqs.weight",)

    def hf_name(self, gguf_name: str) -> str | None:
        """The Hugging Face name of a GGUF tensor, or None if this architecture has no such tensor."""
        return _renamed(gguf_name, {theirs: ours for ours, theirs in self.modules.items()})

    def gguf_name(self, hf_name: str) -> str | None:
        """The GGUF name of a Hugging Face tensor, or None if this architecture has no such tensor."""
        return _renamed(hf_name, self.modules)

    def to_hf(self, hf_name: str, tensor: Tensor, config: Config) -> Tensor:
        """A GGUF tensor in Hugging Face's layout."""
        transform = self._transform(hf_name)
        return tensor if transform is None else transform.to_hf(tensor, config)

    def to_gguf(self, hf_name: str, tensor: Tensor, config: Config) -> Tensor:
        """A Hugging Face tensor in GGUF's layout."""
        transform = self._transform(hf_name)
        return tensor if transform is None else transform.to_gguf(tensor, config)

    def _transform(self, hf_name: str) -> Transform | None:
        return self.transforms.get(_LAYER.sub("{}", hf_name.rpartition(".")[0]))

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
        return found

    def metadata(self, config: Config) -> dict[str, tuple[Any, GGUFValueType]]:
        """GGUF key → value and type, of every setting that the configuration has, rope aside (rope.py)."""
        head_dim = head_size(config)
        written = {
            f"{self.name}.{key.gguf}": (config[key.hf], key.kind) for key in self.keys if config.get(key.hf) is not None
        }
        for key in ("attention.key_length", "attention.value_length", "rope.dimension_count"):
            written[f"{self.name}.{key}"] = (head_dim, UINT32)
        return written


def architecture_of(file: GGUFFile) -> Architecture:
    """The table for a file; UserError if there is none (naming those known) or if the file holds other tensors."""
    if file.architecture not in ARCHITECTURES:
        raise UserError(
            f"{file.path.name} is a {file.architecture or 'nameless'} model; as a GGUF file, only "
            f"{', '.join(ARCHITECTURES.names())} can be trained.",
            hint="Give the model as a hub id or as a folder with safetensors; any architecture works that way.",
            field=FIELD,
        )
    architecture = ARCHITECTURES.get(file.architecture)
    unknown = [name for name in file.tensors if name not in architecture.ignored and architecture.hf_name(name) is None]
    if unknown:
        raise UserError(
            f"{file.path.name} says it is a {file.architecture} model but holds {len(unknown)} tensors that such "
            f"a model has not, for example {unknown[0]}.",
            hint="Mixtures of experts and other variants: give the model as a hub id or as a folder with safetensors.",
            field=FIELD,
        )
    return architecture


def architecture_for(model_type: str) -> Architecture:
    """The table that a Hugging Face model type is written with; UserError if there is none."""
    for _, architecture in ARCHITECTURES:
        if model_type in architecture.model_types:
            return architecture
    known = sorted(kind for _, architecture in ARCHITECTURES for kind in architecture.model_types)
    raise UserError(f"There is no GGUF table for {model_type} models.", hint=f"Known: {', '.join(known)}.", field=FIELD)


def head_size(config: Config) -> int:
    """Width of one attention head."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _renamed(name: str, modules: Mapping[str, str]) -> str | None:
    module, _, leaf = name.rpartition(".")
    layer = _LAYER.search(module)
    renamed = modules.get(_LAYER.sub("{}", module))
    if renamed is None:
        return None
    return f"{renamed.format(layer.group()) if layer else renamed}.{leaf}"
