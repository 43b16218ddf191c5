"""Embedding and head under a merge: tied or not, and a vocabulary that grew. The adapted model's answers decide."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tests.export.adapted_models import (
    IDS,
    adapter_of,
    load,
    opened,
    reloaded,
    same,
    tensors,
    tiny,
    with_adapter,
)

from tunesmith.config.model import ModelConfig
from tunesmith.models.locate import LocalModel
from tunesmith.models.vocabulary import Vocabulary, fit_embeddings, load_tokenizer, prepare_vocabulary

TIED: dict[str, tuple[dict[str, Any], bool]] = {
    "linear layers": ({}, True),
    "head": ({"target_modules": ["q_proj", "lm_head"]}, False),
    "embedding": ({"target_modules": ["q_proj", "embed_tokens"]}, False),
    "both as one": ({"target_modules": ["embed_tokens"], "ensure_weight_tying": True}, True),
    "whole head": ({"modules_to_save": ["lm_head"]}, False),
    "whole embedding": ({"modules_to_save": ["embed_tokens"]}, False),
    "both whole": ({"modules_to_save": ["embed_tokens", "lm_head"]}, False),
    "whole as one": ({"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, True),
    "token rows": ({"trainable_token_indices": {"model.embed_tokens": [3, 9]}}, True),
}


@pytest.mark.parametrize(("lora", "tied"), TIED.values(), ids=TIED)
def test_a_tied_model_answers_as_with_the_adapter_beside_it(lora: dict[str, Any], tied: bool, tmp_path: Path) -> None:
    base = tiny(tmp_path / "base", "qwen2", tie_word_embeddings=True)
    adapter = adapter_of(base, tmp_path / "adapter", **lora)
    source = opened(base, adapter)
    assert ("lm_head.weight" in {weight.name for weight in source.weights}) is not tied
    assert source.config["tie_word_embeddings"] is tied
    assert tied or any("output head" in note for note in source.notes)
    with torch.no_grad():
        torch.testing.assert_close(
            reloaded(source, tmp_path / "merged")(IDS).logits,
            with_adapter(base, adapter)(IDS).logits,
            atol=2e-5,
            rtol=1e-4,
        )
    assert not with_adapter(base, adapter)(IDS).logits.equal(load(base)(IDS).logits)


def test_a_base_that_also_stores_its_tied_head(tmp_path: Path) -> None:
    base = tiny(tmp_path / "base", "qwen2", tie_word_embeddings=True)
    stored = load_file(base / "model.safetensors")
    stored["lm_head.weight"] = torch.zeros_like(stored["model.embed_tokens.weight"])
    save_file(stored, base / "model.safetensors", metadata={"format": "pt"})
    adapter = adapter_of(base, tmp_path / "adapter", target_modules=["lm_head"])
    logits = reloaded(opened(base, adapter), tmp_path / "merged")(IDS).logits
    torch.testing.assert_close(logits, with_adapter(base, adapter)(IDS).logits, atol=2e-5, rtol=1e-4)


# A vocabulary that grew


def grown_vocabulary(base: Path, folder: Path) -> Path:

    located = LocalModel(base, "folder", base.name)
    return prepare_vocabulary(ModelConfig(add_tokens=("<note>", "<end>"), resize_vocab=True), located, folder).folder


def grown_model(base: Path, vocabulary: Path) -> Any:

    model = load(base)
    tokenizer = load_tokenizer(vocabulary, ModelConfig())
    new = tuple(tokenizer.convert_tokens_to_ids(["<note>", "<end>"]))
    fit_embeddings(model, Vocabulary(vocabulary, len(tokenizer), new), may_grow=True)
    return model, new


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("how", ["rows", "whole", "linear"])
def test_a_grown_vocabulary(how: str, tied: bool, tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    base = tiny_model_dir("qwen2", tie_word_embeddings=tied)
    vocabulary = grown_vocabulary(base, tmp_path / "cache")
    model, new = grown_model(base, vocabulary)
    rows = model.get_input_embeddings().weight.shape[0]
    lora: dict[str, Any] = {
        "rows": {"trainable_token_indices": {"model.embed_tokens": list(new)}},
        "whole": {"modules_to_save": ["embed_tokens", "lm_head"], "ensure_weight_tying": tied},
        "linear": {},
    }[how]
    adapter = adapter_of(base, tmp_path / "adapter", model=model, **lora)
    source = opened(base, adapter, vocabulary=vocabulary)
    assert source.config["vocab_size"] == rows > load(base).config.vocab_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = PeftModel.from_pretrained(grown_model(base, vocabulary)[0], adapter)
    ids = torch.tensor([[3, new[0], 8, new[1]]])
    with torch.no_grad():
        logits = reloaded(source, tmp_path / "merged")(ids).logits
        torch.testing.assert_close(logits, theirs(ids).logits, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_a_vocabulary_that_grew_without_an_adapter(
    tied: bool, tiny_model_dir: Callable[..., Path], tmp_path: Path
) -> None:
    base = tiny_model_dir("qwen2", tie_word_embeddings=tied)
    vocabulary = grown_vocabulary(base, tmp_path / "cache")
    model, _ = grown_model(base, vocabulary)
    model.save_pretrained(tmp_path / "grown")
    same(tensors(opened(base, vocabulary=vocabulary)), load_file(tmp_path / "grown" / "model.safetensors"), exact=False)
