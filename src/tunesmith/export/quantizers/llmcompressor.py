"""GPTQ, AWQ, int8 and fp8 with llm-compressor, in the format that vLLM reads as its own (compressed-tensors)."""

from __future__ import annotations

import sys
from typing import Any

from tunesmith.export.quantizers import QUANTIZERS, Quantizer
from tunesmith.export.quantizers.child import Request, group_size, load, serve

QUANTIZERS.add(
    "llmcompressor",
    Quantizer(
        package="llmcompressor",
        installs=("llmcompressor>=0.14",),
        does={
            "gptq": frozenset({8, 4}), "awq": frozenset({4}), "int8": frozenset({8}), "fp8": frozenset({8}),
        },
        calibrated=frozenset({"gptq", "awq"}),
    ),
)  # fmt: skip


def quantize(request: Request) -> None:
    """Write the model with its linear layers, all but the head, quantized."""
    import torch
    from llmcompressor import oneshot
    from transformers import AutoTokenizer

    if not torch.accelerator.is_available():
        _without_pinned_memory()
    model = load(request.merged, request)
    given: dict[str, Any] = {}
    if request.calibration:
        from datasets import Dataset

        rows = {"input_ids": request.calibration, "attention_mask": [[1] * len(ids) for ids in request.calibration]}
        given = {
            "dataset": Dataset.from_dict(rows),
            "num_calibration_samples": len(request.calibration),
            "max_seq_length": max(map(len, request.calibration)),
            "tokenizer": AutoTokenizer.from_pretrained(request.merged),
        }
    oneshot(model=model, recipe=_recipe(request, model), **given)
    model.save_pretrained(request.target, save_compressed=True)


def _recipe(request: Request, model: Any) -> Any:
    from llmcompressor.modifiers.quantization import GPTQModifier, QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier

    if request.method == "fp8":
        return QuantizationModifier(targets="Linear", scheme="FP8_DYNAMIC", ignore=["lm_head"])
    if request.method == "int8" or request.bits == 8:
        kind = GPTQModifier if request.method == "gptq" else QuantizationModifier
        return kind(targets="Linear", scheme="W8A16", ignore=["lm_head"])
    symmetric = request.method == "gptq"
    weights = {
        "num_bits": 4, "type": "int", "symmetric": symmetric, "strategy": "group", "group_size": group_size(model),
    }  # fmt: skip
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    if request.method == "gptq":
        return GPTQModifier(config_groups=groups, ignore=["lm_head"])
    return [AWQModifier(), QuantizationModifier(config_groups=groups, ignore=["lm_head"])]


def _without_pinned_memory() -> None:
    """Release 0.14 pins memory for a GPU even where there is none, and fails there (in AWQ)."""
    from llmcompressor.pipelines.cache import IntermediatesCache

    IntermediatesCache.pin_memory = lambda self, *arguments, **options: None


if __name__ == "__main__":
    sys.exit(serve("llmcompressor", quantize))
