"""Which type each tensor gets, beside what llama.cpp itself chooses, for every mix and several shapes of model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
import pytest
from tests.export import llama_cpp

from tunesmith.errors import UserError
from tunesmith.export.gguf.mixes import ALIGNMENT, MIXES, Facts, Mix, must_be_exact, resolve
from tunesmith.export.gguf.quants import ENCODERS

Kind = gguf.GGMLQuantizationType
ROWS = 4  # llama.cpp's choice doesn't look at them


@dataclass(frozen=True)
class Model:
    """A model as its tensors: enough of one for llama.cpp to choose types. columns, inner: of the two widths of row."""

    layers: int
    columns: int = 256
    inner: int = 512
    heads: int = 4
    heads_kv: int = 4
    experts: int = 0
    shared_expert: bool = False
    tied: bool = False
    fused: bool = False
    architecture: str = "llama"
    extra: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        return Facts(self.layers, self.heads, self.heads_kv, self.experts)

    def tensors(self) -> list[tuple[str, tuple[int, ...]]]:
        wide = (ROWS, self.columns)
        found = {"token_embd.weight": wide, "output_norm.weight": (self.columns,)} | self.extra
        if not self.tied:
            found["output.weight"] = wide
        for i in range(self.layers):
            attention = ["attn_qkv"] if self.fused else ["attn_q", "attn_k", "attn_v"]
            layer = {f"{name}.weight": wide for name in [*attention, "attn_output"]}
            layer |= {"attn_norm.weight": (self.columns,), "ffn_norm.weight": (self.columns,)}
            layer |= {"attn_output.bias": (self.columns,)}
            for kind in [""] * (not self.experts) + ["_exps"] * bool(self.experts) + ["_shexp"] * self.shared_expert:
                stack = (self.experts,) if kind == "_exps" else ()
                layer |= {f"ffn_{name}{kind}.weight": (*stack, *wide) for name in ("gate", "up")}
                layer[f"ffn_down{kind}.weight"] = (*stack, ROWS, self.inner)
            if self.experts:
                layer["ffn_gate_inp.weight"] = (self.experts, self.columns)
            if self.shared_expert:
                layer["ffn_gate_inp_shexp.weight"] = (1, self.columns)
            found |= {f"blk.{i}.{name}": shape for name, shape in layer.items()}
        return list(found.items())

    def write(self, path: Path) -> Path:
        writer = gguf.GGUFWriter(path, self.architecture)
        writer.add_block_count(self.layers)
        writer.add_context_length(64)
        writer.add_embedding_length(self.columns)
        writer.add_feed_forward_length(self.inner)
        writer.add_head_count(self.heads)
        writer.add_head_count_kv(self.heads_kv)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_tokenizer_model("no_vocab")
        writer.add_vocab_size(ROWS)
        if self.experts:
            writer.add_expert_count(self.experts)
            writer.add_expert_used_count(2)
        for name, shape in self.tensors():
            writer.add_tensor(name, np.ones(shape, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def importance(self) -> dict[str, np.ndarray]:
        return {name: np.ones(shape[-1] * (shape[0] if len(shape) == 3 else 1), np.float32)
                for name, shape in self.tensors()}  # fmt: skip


MODELS = {
    "24 layers": Model(24),
    "11 layers, shared heads, fused attention": Model(11, heads_kv=1, fused=True),
    "tied": Model(3, tied=True, extra={"per_layer_token_embd.weight": (ROWS, 256)}),
    "rows of 96 and 160": Model(9, columns=96, inner=160, heads=2, heads_kv=2),
    "rows of 40 and 72": Model(2, columns=40, inner=72, heads=2, heads_kv=2),
    "rows of 320, tied": Model(2, columns=320, inner=512, tied=True),
    "8 experts": Model(16, heads_kv=1, experts=8),
    "60 experts and a shared one": Model(9, experts=60, shared_expert=True, architecture="qwen2moe"),
    "4 experts, tied, shared heads": Model(17, heads_kv=1, experts=4, tied=True),
    "80 layers, as 70B": Model(80, heads_kv=1),
    "80 layers, as 65B": Model(80),
}


@pytest.mark.skipif(not llama_cpp.AVAILABLE, reason="llama.cpp is fetched for Linux on x86-64")
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_tensor_has_the_type_that_llama_cpp_gives_it(model: Model, tmp_path: Path) -> None:
    source, target = model.write(tmp_path / "f32.gguf"), tmp_path / "quantized.gguf"
    for mix in MIXES.values():
        for importance in (None, model.importance()) if model.layers < 80 else (None,):
            weighted = importance is not None
            done = llama_cpp.quantize_file(source, target, mix.file_type, importance)
            assert done or (mix.needs_importance and not weighted), f"{mix.name} {importance is None}"
            if not done:
                continue
            found = gguf.GGUFReader(target)
            ours = mix.kinds(model.tensors(), model.facts, importance=weighted)
            theirs = {tensor.name: tensor.tensor_type for tensor in found.tensors}
            assert ours == theirs, f"{mix.name}, importance {weighted}"
            size = sum(-(-int(tensor.n_bytes) // ALIGNMENT) * ALIGNMENT for tensor in found.tensors)
            assert mix.nbytes(model.tensors(), model.facts, importance=weighted) == size
            assert found.fields["general.file_type"].contents() == mix.file_type


@pytest.mark.parametrize(
    ("typed", "name"),
    [("q4_k_m", "q4_k_m"), ("Q4_K_M", "q4_k_m"), ("q4-k-m", "q4_k_m"), (" Q8_0 ", "q8_0"), ("q4_k", "q4_k_m"),
     ("Q5_K", "q5_k_m"), ("q3_k", "q3_k_m"), ("q6_k", "q6_k"), ("FP16", "f16"), ("BF16", "bf16")],
)  # fmt: skip
def test_names_are_taken_as_people_write_them(typed: str, name: str) -> None:
    assert resolve(typed).name == name


@pytest.mark.parametrize(
    ("typed", "hint"), [("q4_k_n", "q4_k_m"), ("q9_0", "q8_0"), ("q4km", "q4_k_m"), ("awq", "Known are f32 f16")]
)
def test_an_unknown_name_is_answered_with_the_nearest(typed: str, hint: str) -> None:
    with pytest.raises(UserError, match="is no quantization that Tunesmith writes") as caught:
        resolve(typed)
    assert hint in caught.value.hint and caught.value.field == "export_quant"


def test_the_order_of_tensors_does_not_matter() -> None:
    model = MODELS["24 layers"]
    mix, tensors = resolve("q4_k_m"), model.tensors()
    assert mix.kinds(tensors[::-1], model.facts) == mix.kinds(tensors, model.facts)


def test_seven_billion_weights_take_the_known_size() -> None:
    """Llama 2 7B in the sizes that llama.cpp's README has always shown: 3.80 GiB in q4_k_m, 13.0 in f16."""
    shapes = {"token_embd.weight": (32000, 4096), "output.weight": (32000, 4096), "output_norm.weight": (4096,)}
    for i in range(32):
        shapes |= {f"blk.{i}.attn_{name}.weight": (4096, 4096) for name in ("q", "k", "v", "output")}
        shapes |= {f"blk.{i}.ffn_{name}.weight": (11008, 4096) for name in ("gate", "up")}
        shapes |= {f"blk.{i}.ffn_down.weight": (4096, 11008)}
        shapes |= {f"blk.{i}.{name}_norm.weight": (4096,) for name in ("attn", "ffn")}
    tensors, facts = list(shapes.items()), Facts(32, 32, 32)
    sizes = {name: resolve(name).nbytes(tensors, facts) / 2**30 for name in ("f16", "q8_0", "q4_k_m", "q2_k")}
    assert sizes == pytest.approx({"f16": 12.55, "q8_0": 6.67, "q4_k_m": 3.80, "q2_k": 2.36}, abs=0.01)


def test_every_type_of_every_mix_can_be_written() -> None:
    kinds = {
        kind
        for mix in MIXES.values()
        for model in MODELS.values()
        for weighted in (False, True)
        for kind in mix.kinds(model.tensors(), model.facts, importance=weighted).values()
    }
    assert kinds <= set(ENCODERS)


def test_vectors_norms_and_routers_stay_exact() -> None:
    exact = {"output_norm": (64,), "blk.0.attn_q_norm": (4, 64), "blk.0.ffn_gate_inp": (8, 64), "rope_freqs": (32,)}
    assert all(must_be_exact(f"{name}.weight", shape) for name, shape in exact.items())
    assert must_be_exact("blk.0.ffn_gate_inp_shexp.weight", (1, 64)) and must_be_exact("blk.0.attn_q.bias", (64,))
    assert not must_be_exact("blk.0.ffn_down_exps.weight", (8, 64, 64))
    assert isinstance(resolve("q8_0"), Mix)
