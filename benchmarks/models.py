"""Models with random weights and the shapes of small Qwen3 models, and an adapter that both tools start from."""

import json
from dataclasses import dataclass
from pathlib import Path

import fetch

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Shape:
    """The sizes of a Qwen3 model with tied embeddings; head size 64, vocabulary 151,936."""

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    intermediate: int
    head_size: int = 64
    vocabulary: int = 151_936


SHAPES = {
    "q30m": Shape(hidden=160, layers=12, heads=4, key_value_heads=2, intermediate=640),
    "q150m": Shape(hidden=512, layers=18, heads=8, key_value_heads=4, intermediate=2048),
}


def ensure_model(work: Path, name: str, *, seed: int = 0) -> Path:
    """Write `work/name`: random fp32 safetensors, config, and Qwen3's real tokenizer with its chat template."""
    folder = work / name
    if (folder / "model.safetensors").is_file():
        return folder
    import torch
    import transformers

    shape = SHAPES[name]
    config = transformers.Qwen3Config(
        vocab_size=shape.vocabulary, hidden_size=shape.hidden, intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.key_value_heads,
        head_dim=shape.head_size, max_position_embeddings=32_768, tie_word_embeddings=True, rope_theta=1_000_000.0,
        bos_token_id=151_643, eos_token_id=151_645, pad_token_id=151_643, dtype="float32",
    )  # fmt: skip
    torch.manual_seed(seed)
    tokenizer = fetch.qwen3_tokenizer(work)
    folder.mkdir(parents=True, exist_ok=True)
    for file in tokenizer.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    transformers.Qwen3ForCausalLM(config).save_pretrained(folder)
    _readable_by_older_transformers(folder / "config.json")
    return folder


def ensure_adapter(work: Path, model: Path, *, rank: int = 8, alpha: int = 16, seed: int = 1) -> Path:
    """Write a LoRA adapter of `model` on all linear layers, A as peft draws it and B small but not zero.

    B is not zero so that a tool which fails to continue this adapter shows it in the first step's loss.
    """
    folder = work / f"{model.name}_adapter"
    if (folder / "adapter_model.safetensors").is_file():
        return folder
    import peft
    import torch
    import transformers

    torch.manual_seed(seed)
    base = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    settings = peft.LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=list(LORA_TARGETS), task_type="CAUSAL_LM"
    )
    tuned = peft.get_peft_model(base, settings)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    tuned.save_pretrained(folder)
    _known_keys_only(folder / "adapter_config.json")
    return folder


def _readable_by_older_transformers(config: Path) -> None:
    """State RoPE's base in the old key too, so that both tools' transformers read one and the same model."""
    values = json.loads(config.read_text(encoding="utf-8"))
    rope = values.get("rope_parameters") or {}
    values.setdefault("rope_theta", rope.get("rope_theta", 1_000_000.0))
    config.write_text(json.dumps(values, indent=2), encoding="utf-8")


def _known_keys_only(config: Path) -> None:
    """Keep the settings every peft knows; an older one refuses a newer one's keys even when they are at rest."""
    values = json.loads(config.read_text(encoding="utf-8"))
    keys = ("base_model_name_or_path", "bias", "fan_in_fan_out", "inference_mode", "init_lora_weights", "lora_alpha",
            "lora_dropout", "modules_to_save", "peft_type", "r", "target_modules", "task_type", "use_dora",
            "use_rslora")  # fmt: skip
    config.write_text(json.dumps({k: values[k] for k in keys if k in values}, indent=2), encoding="utf-8")
