"""What becomes of a trained model: merged weights, GGUF files, a model in Ollama."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from tunesmith.config.section import Positive, PositiveFloat, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig(Section):
    """What becomes of a trained model: merged weights, GGUF files, a model in Ollama."""

    export_dir: str = ""
    """Where the exported model is written. Left out: `exports/` and the name of the run or model."""
    export_to: tuple[Literal["safetensors", "gguf", "gguf-adapter"], ...] = ()
    """What is written: merged `safetensors`, a `gguf` file for llama.cpp and Ollama, or the adapter alone as GGUF.
    Left out: gguf where export_quant or export_ollama is set, safetensors otherwise."""
    export_quant: tuple[str, ...] = ()
    """Quantizations of the GGUF files, one file each: f32 f16 bf16 q8_0 q4_0 q4_k_m q5_k_m … Left out: q4_k_m for
    Ollama, f16 otherwise."""
    export_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of merged weights; `auto` keeps the base model's."""
    export_size: PositiveFloat = 5.0
    """Largest safetensors file in GB."""
    export_device: Literal["cpu", "auto"] = "cpu"
    """Where quantization is computed; `auto` takes a GPU if there is one. Merging always streams through the CPU."""
    export_legacy_format: bool = False
    """Write pickled `.bin` files in place of safetensors, for programs that read nothing else."""
    export_hub_model_id: str | None = None
    """Repository on the hub that the exported model is uploaded to, `owner/name`."""
    export_importance_data: str | None = None
    """A text file whose words decide which weights matter most to the K-quants (an importance matrix)."""
    export_ollama: str | None = None
    """Name that the model gets in Ollama; it is created on the server at OLLAMA_HOST."""
    export_ollama_base: str | None = None
    """Model of the Ollama server that an adapter alone goes on top of (export_to: gguf-adapter), such as `qwen2.5:7b`;
    it has to be the one that the adapter was trained on. Left out: the base itself where it is `ollama:NAME`."""
    export_verify: bool = True
    """Compare the exported files with the trained model: prompts, tokens and how likely they are."""
    gguf_pre: str | None = None
    """How the tokenizer cuts words, by llama.cpp's name, where it can't be recognized."""

    export_quantization_bit: Annotated[int, Ge(2), Le(8)] | None = None
    """Bits of quantized safetensors: 8, 4, 3 or 2."""
    export_quantization_method: Literal["auto", "gptq", "awq", "fp8", "int8"] = "auto"
    """How safetensors are quantized. `auto`: GPTQ."""
    export_quantization_dataset: str | None = None
    """Texts that calibrate the quantization: a file or a data set's name. Left out: the training data."""
    export_quantization_nsamples: Positive = 128
    """How many samples calibrate the quantization."""
    export_quantization_maxlen: Annotated[int, Ge(1)] = 1024
    """Longest calibration sample in tokens."""
