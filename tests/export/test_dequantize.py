"""Quantized bases, each in the layout of the program that writes it: read back as the numbers that they stand for."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.export.adapted_models import adapter_of, merged_by_peft, opened, tensors
from torch import Tensor

from tunesmith.config import ModelConfig
from tunesmith.errors import UserError
from tunesmith.models.load import load_model
from tunesmith.models.locate import LocalModel
from tunesmith.models.precision import choose_precision, device_facts
from tunesmith.models.vocabulary import Vocabulary

NF4 = torch.tensor([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
])  # fmt: skip
Packed = tuple[dict[str, Tensor], Tensor]
"""What lies in the file for one weight [rows, columns], by the last part of its name, and what it stands for."""


def nf4(weight: Tensor, *, nested: bool) -> Packed:
    """Blocks of 64 numbers, each the nearest of sixteen times the block's largest; two in a byte, the first above."""
    blocks = weight.reshape(-1, 64)
    absmax = blocks.abs().amax(1)
    parts: dict[str, Tensor] = {}
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": list(weight.shape)}
    if nested:
        offset = float(absmax.mean())
        steps = torch.linspace(-1, 1, 256)
        largest = (absmax - offset).abs().max()
        codes = ((absmax - offset)[:, None] / largest - steps).abs().argmin(1)
        absmax = steps[codes] * largest + offset
        parts = {"weight.absmax": codes.to(torch.uint8), "weight.nested_absmax": largest.view(1)}
        parts["weight.nested_quant_map"] = steps
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": offset}
    else:
        parts = {"weight.absmax": absmax}
    codes = (blocks[..., None] / absmax[:, None, None] - NF4).abs().argmin(-1)
    flat = codes.reshape(-1, 2)
    parts["weight"] = (flat[:, :1] * 16 + flat[:, 1:]).to(torch.uint8)
    parts["weight.quant_map"] = NF4.clone()
    text = json.dumps(state).encode()
    parts["weight.quant_state.bitsandbytes__nf4"] = torch.tensor(list(text), dtype=torch.uint8)
    return parts, (NF4[codes] * absmax[:, None]).reshape(weight.shape)


def int8(weight: Tensor) -> Packed:
    """bitsandbytes: a largest for each row."""
    largest = weight.abs().amax(1)
    codes = (weight / largest[:, None] * 127).round().to(torch.int8)
    parts = {"weight": codes, "SCB": largest, "weight_format": torch.tensor(0, dtype=torch.uint8)}
    return parts, codes.float() * largest[:, None] / 127


def fp8(weight: Tensor, block: int = 32) -> Packed:
    rows, columns = weight.shape
    tiles = weight.reshape(rows // block, block, columns // block, block)
    scale = tiles.abs().amax((1, 3)) / 448
    codes = (tiles / scale[:, None, :, None]).to(torch.float8_e4m3fn)
    meant = (codes.float() * scale[:, None, :, None]).reshape(weight.shape)
    return {"weight": codes.reshape(weight.shape), "weight_scale_inv": scale}, meant


def fp8_by_row(weight: Tensor) -> Packed:
    scale = weight.abs().amax(1, keepdim=True) / 448
    codes = (weight / scale).to(torch.float8_e4m3fn)
    return {"weight": codes, "weight_scale": scale.bfloat16()}, codes.float() * scale.bfloat16().float()


def bit_string(codes: Tensor, bits: int) -> Tensor:
    """[n, k] whole numbers as int32 [n, k · bits / 32], their bits in a row from the lowest up."""
    rows = []
    for row in codes.tolist():
        whole = sum(int(code) << (bits * i) for i, code in enumerate(row))
        words = [(whole >> (32 * i)) & 0xFFFFFFFF for i in range(len(row) * bits // 32)]
        rows.append([word - (1 << 32) if word >> 31 else word for word in words])
    return torch.tensor(rows, dtype=torch.int32)


def grid(weight: Tensor, bits: int, group: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(codes, scale, zero by group, what they stand for) of [rows, columns], groups along the columns."""
    blocks = weight.unflatten(1, (-1, group))
    low, high = blocks.amin(-1), blocks.amax(-1)
    scale = ((high - low) / ((1 << bits) - 1)).half().float()
    zero = (-low / scale).round().clamp(1, (1 << bits) - 1)
    codes = (blocks / scale[..., None] + zero[..., None]).round().clamp(0, (1 << bits) - 1)
    meant = ((codes - zero[..., None]) * scale[..., None]).flatten(1)
    return codes.flatten(1).int(), scale, zero.int(), meant


def gptq(weight: Tensor, bits: int = 4, group: int = 32, less: int = 1) -> Packed:
    """Down the columns of [in, out], zeros along them and less one."""
    codes, scale, zero, meant = grid(weight, bits, group)
    parts = {"qweight": bit_string(codes, bits).T.contiguous(), "qzeros": bit_string(zero.T - less, bits)}
    parts |= {"scales": scale.T.half(), "g_idx": (torch.arange(weight.shape[1]) // group).int()}
    return parts, meant


def awq(weight: Tensor, group: int = 32) -> Packed:
    codes, scale, zero, meant = grid(weight, 4, group)
    order = [0, 2, 4, 6, 1, 3, 5, 7]  # what is put first, second …

    def packed(values: Tensor) -> Tensor:
        return bit_string(values.unflatten(1, (-1, 8))[..., order].flatten(1), 4)

    return {"qweight": packed(codes.T), "qzeros": packed(zero.T), "scales": scale.T.half()}, meant


def pack_quantized(weight: Tensor, group: int = 32, *, symmetric: bool = True) -> Packed:
    codes, scale, zero, meant = grid(weight, 4, group)
    parts = {"weight_scale": scale, "weight_shape": torch.tensor(weight.shape)}
    if symmetric:
        half = weight.unflatten(1, (-1, group)).abs().amax(-1) / 7
        signed = (weight.unflatten(1, (-1, group)) / half[..., None]).round()
        codes, meant = (signed.flatten(1) + 8).int(), (signed * half[..., None]).flatten(1)
        parts["weight_scale"] = half
    else:
        parts["weight_zero_point"] = bit_string(zero.T, 4).T.contiguous()
    return parts | {"weight_packed": bit_string(codes, 4)}, meant


def int_quantized(weight: Tensor) -> Packed:
    scale = weight.abs().amax(1, keepdim=True) / 127
    codes = (weight / scale).round().to(torch.int8)
    return {"weight": codes, "weight_scale": scale}, codes.float() * scale


def torchao(weight: Tensor) -> Packed:
    parts, meant = int_quantized(weight)
    zero = torch.zeros(len(weight), 1, dtype=torch.int8)
    return {"_weight_qdata": parts["weight"], "_weight_scale": parts["weight_scale"], "_weight_zero_point": zero}, meant


BITS = {"config_groups": {"group_0": {"weights": {"num_bits": 4}}}}
LAYOUTS: dict[str, tuple[dict[str, Any], Callable[[Tensor], Packed]]] = {
    "bitsandbytes nf4": ({"quant_method": "bitsandbytes"}, lambda w: nf4(w, nested=False)),
    "bitsandbytes nf4 nested": ({"quant_method": "bitsandbytes"}, lambda w: nf4(w, nested=True)),
    "bitsandbytes int8": ({"quant_method": "bitsandbytes"}, int8),
    "fp8 blocks": ({"quant_method": "fp8", "weight_block_size": [32, 32]}, fp8),
    "fp8 rows": ({"quant_method": "compressed-tensors", "format": "float-quantized"}, fp8_by_row),
    "gptq 4": ({"quant_method": "gptq", "bits": 4, "group_size": 32}, gptq),
    "gptq 3": ({"quant_method": "gptq", "bits": 3, "group_size": 32}, lambda w: gptq(w, 3)),
    "gptq v2": (
        {"quant_method": "gptq", "bits": 8, "group_size": 32, "checkpoint_format": "gptq_v2"},
        lambda w: gptq(w, 8, less=0),
    ),
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm"}, awq),
    "pack-quantized": ({"quant_method": "compressed-tensors", **BITS}, pack_quantized),
    "pack-quantized, zeros": (
        {"quant_method": "compressed-tensors", **BITS},
        lambda w: pack_quantized(w, symmetric=False),
    ),
    "int-quantized": ({"quant_method": "compressed-tensors", "format": "int-quantized"}, int_quantized),
    "torchao int8": ({"quant_method": "torchao"}, torchao),
}


def quantized(base: Path, folder: Path, layout: str) -> tuple[Path, Path]:
    """The base with its projections quantized, and the same in plain numbers."""
    settings, pack = LAYOUTS[layout]
    stored, plain = {}, {}
    for name, tensor in load_file(base / "model.safetensors").items():
        if name.endswith("_proj.weight"):
            parts, plain[name] = pack(tensor)
            stored |= {name.removesuffix("weight") + part: value.contiguous() for part, value in parts.items()}
        else:
            stored[name] = plain[name] = tensor
    for place, written, told in (("packed", stored, {"quantization_config": settings}), ("plain", plain, {})):
        shutil.copytree(base, folder / place)
        save_file(written, folder / place / "model.safetensors", metadata={"format": "pt"})
        config = json.loads((base / "config.json").read_text(encoding="utf-8"))
        (folder / place / "config.json").write_text(json.dumps({**config, **told}), encoding="utf-8")
    return folder / "packed", folder / "plain"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_quantized_base_is_read_as_what_it_stands_for(
    layout: str, tiny_model_dir: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.models.dequantize._BLOCK", 3000)  # several blocks in each weight
    packed, plain = quantized(tiny_model_dir("llama"), tmp_path, layout)
    source = opened(packed)
    made, expected = tensors(source), load_file(plain / "model.safetensors")
    assert made.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(made[name], tensor, atol=1e-6, rtol=1e-5, msg=name)
    assert "quantization_config" not in source.config
    assert any("dequantized" in note for note in source.notes)


def test_an_adapter_is_merged_into_the_numbers(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    packed, plain = quantized(tiny_model_dir("llama"), tmp_path, "bitsandbytes nf4 nested")
    adapter = adapter_of(plain, tmp_path / "adapter", target_modules=["q_proj", "down_proj"], use_dora=True)
    made, expected = tensors(opened(packed, adapter)), merged_by_peft(plain, adapter)
    for name, tensor in expected.items():
        torch.testing.assert_close(made[name], tensor, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"quant_method": "awq", "version": "gemv", "bits": 4}, {"qweight": torch.zeros(4, 4, dtype=torch.int32)}),
        ({"quant_method": "hqq"}, {"W_q": torch.zeros(4, 4, dtype=torch.uint8)}),
        ({"quant_method": "torchao"}, {}),
    ],
    ids=lambda each: each.get("quant_method", ""),
)
def test_other_layouts_are_refused_with_the_way_out(
    settings: dict[str, Any], parts: dict[str, Tensor], tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_model_dir("llama"), base)
    stored = load_file(base / "model.safetensors")
    stored |= {f"model.layers.0.self_attn.q_proj.{part}": tensor for part, tensor in parts.items()}
    save_file(stored, base / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(json.dumps({**config, "quantization_config": settings}), encoding="utf-8")
    with pytest.raises(UserError, match=settings["quant_method"]) as told:
        opened(base)
    assert "unquantized" in (told.value.hint or "")


def located(folder: Path) -> tuple[ModelConfig, LocalModel, Vocabulary]:
    return ModelConfig(model_name_or_path=str(folder)), LocalModel(folder, "folder", "m"), Vocabulary(folder, 320)


@pytest.mark.parametrize("layout", ["bitsandbytes nf4 nested", "gptq 4", "fp8 blocks"])
def test_a_quantized_model_answers_without_its_library(
    layout: str, tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    packed, plain = quantized(tiny_model_dir("llama"), tmp_path, layout)
    cpu, notes = torch.device("cpu"), []
    precision = choose_precision("fp32", device_facts(cpu))
    found, expected = (
        load_model(*located(folder)[:2], precision, located(folder)[2], device=cpu, training=False, note=notes.append)
        for folder in (packed, plain)
    )
    ids = torch.tensor([[1, 5, 9]])
    torch.testing.assert_close(found(input_ids=ids).logits, expected(input_ids=ids).logits, atol=1e-4, rtol=1e-4)
    assert len([note for note in notes if "quantized on disk" in note]) == 1


def test_the_package_that_a_quantized_model_needs_is_named(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_model_dir("llama"), base)
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(
        json.dumps({**config, "quantization_config": {"quant_method": "hqq"}}), encoding="utf-8"
    )
    cpu = torch.device("cpu")
    with pytest.raises(UserError, match="hqq") as told:
        model, place, vocabulary = located(base)
        precision = choose_precision("fp32", device_facts(cpu))
        load_model(model, place, precision, vocabulary, device=cpu, training=False)
    assert "pip install hqq" in (told.value.hint or "")
