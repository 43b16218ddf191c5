"""Fixtures of the models room: a model folder written as a GGUF file, with the same tables that read it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.torch import load_file
from tokenizers import Tokenizer

from tunesmith.models.gguf.architecture import architecture_for, head_size
from tunesmith.models.gguf.rope import FACTORS, llama3_factors, rope_metadata


@pytest.fixture(scope="session")
def write_gguf() -> Callable[..., Path]:
    return _write_gguf


def _write_gguf(
    folder: Path,
    path: Path,
    *,
    architecture: str | None = None,
    pre: str = "gpt-2",
    tokenizer: Tokenizer | None = None,
    extra: Mapping[str, np.ndarray] | None = None,
    keys: Mapping[str, int] | None = None,
) -> Path:
    """float32 GGUF of a folder. architecture, pre, extra tensors and keys may be set to what should be refused."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    table = architecture_for(config["model_type"])
    writer = gguf.GGUFWriter(path, architecture or table.name)
    rope = config["rope_parameters"]
    settings = {**table.metadata(config), **rope_metadata(table.name, rope)}
    for key, (value, kind) in settings.items():
        writer.add_key_value(key, value, kind)
    for key, value in (keys or {}).items():
        writer.add_uint16(key, value)
    for name, tensor in load_file(folder / "model.safetensors").items():
        written = table.gguf_name(name)
        assert written is not None, name
        writer.add_tensor(written, table.to_gguf(name, tensor, config).contiguous().numpy())
    if rope.get("rope_type") == "llama3":
        writer.add_tensor(FACTORS, llama3_factors(rope, head_size(config)))
    for name, values in (extra or {}).items():
        writer.add_tensor(name, values.astype(np.float32))
    if tokenizer is None:
        _byte_level(writer, Tokenizer.from_file(str(folder / "tokenizer.json")), pre)
        writer.add_eos_token_id(config["eos_token_id"])
        writer.add_pad_token_id(config["pad_token_id"])
        writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))
    else:
        _sentencepiece(writer, tokenizer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _byte_level(writer: gguf.GGUFWriter, tokenizer: Tokenizer, pre: str) -> None:
    written = json.loads(tokenizer.to_str())
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    control = {token["content"] for token in written["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in control else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([" ".join(pair) for pair in written["model"]["merges"]])


def _sentencepiece(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * 256
    kinds += [gguf.TokenType.NORMAL] * (len(tokens) - len(kinds))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(i) if kind == gguf.TokenType.NORMAL else 0.0 for i, kind in enumerate(kinds)])
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
