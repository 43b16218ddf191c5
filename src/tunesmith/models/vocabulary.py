"""The tokenizer a job uses: the model's own, or that with more tokens; and embeddings that have a row for each."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, PreTrainedModel

from tunesmith.config.model import ModelConfig
from tunesmith.errors import UserError
from tunesmith.models.gguf.materialize import materialize
from tunesmith.models.locate import LocalModel
from tunesmith.text.tokenizer import Tokenizer

_ROUND = 64  # embeddings grow to a multiple of this, which matrix units like
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "merges.txt")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """folder: holds config.json, tokenizer.json and tokenizer_config.json. size: ids run from 0 to size - 1.

    new_ids: ids of tokens that the base model has never seen. control: ids of tokens that no text of a user becomes.
    """

    folder: Path
    size: int
    new_ids: tuple[int, ...] = ()
    control: frozenset[int] = frozenset()


def prepare_vocabulary(model: ModelConfig, located: LocalModel, cache: Path) -> Vocabulary:
    """The folder that everything about tokens is read from; made under `cache` where the model's own does not do."""
    source = materialize(located.path, cache) if located.kind == "gguf" else located.path
    asked = (*model.add_tokens, *model.add_special_tokens)
    if not asked and (source / "tokenizer.json").is_file():
        own = Tokenizer.load(source)
        return Vocabulary(source, own.vocab_size, control=frozenset(own.control_tokens.values()))
    tokenizer = load_tokenizer(source, model)
    known = tokenizer.get_vocab()
    new = [token for token in dict.fromkeys(asked) if token not in known]
    tokenizer.add_tokens([token for token in new if token not in model.add_special_tokens])
    tokenizer.add_tokens([token for token in new if token in model.add_special_tokens], special_tokens=True)
    folder = cache / "tokenizers" / f"{located.name}-{_key(source, asked, model.add_special_tokens)}"
    if not folder.is_dir():
        _save_aside(tokenizer, source, folder)
    return Vocabulary(folder, len(tokenizer), tuple(sorted(tokenizer.convert_tokens_to_ids(new))))


def load_tokenizer(folder: Path, model: ModelConfig) -> Any:
    """The transformers tokenizer of a folder. UserError if there is none, or it needs code that is not trusted."""
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=model.trust_remote_code)
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        code = "trust_remote_code" in str(error)
        raise UserError(
            f"The tokenizer in {folder} can't be loaded: {first}",
            hint="It brings Python code of its own; set trust_remote_code: true if you trust its author."
            if code
            else "The folder needs tokenizer.json or tokenizer.model with tokenizer_config.json; download it again.",
            field="trust_remote_code" if code else "model_name_or_path",
        ) from error


def fit_embeddings(model: PreTrainedModel, vocabulary: Vocabulary, *, may_grow: bool) -> None:
    """Give every id a row, and rows of new ids the mean of the known ones; a tied head stays tied.

    UserError if rows are missing and growing was not asked for: those ids would crash far from here. Control tokens
    alone may be without: Gemma 3's text models come with one for images.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if vocabulary.size > rows:
        if not may_grow:
            if vocabulary.control.issuperset(range(rows, vocabulary.size)):
                return
            raise UserError(
                f"The tokenizer has {vocabulary.size:,} tokens and the model rows for {rows:,} only.",
                hint="Set resize_vocab: true to add rows, or use the tokenizer that belongs to this model.",
                field="resize_vocab",
            )
        model.resize_token_embeddings(vocabulary.size, pad_to_multiple_of=_ROUND, mean_resizing=False)
    known = min(rows, vocabulary.size - len(vocabulary.new_ids))
    fresh = sorted({*vocabulary.new_ids, *range(rows, model.get_input_embeddings().weight.shape[0])})
    if not fresh:
        return
    head = model.get_output_embeddings()
    tied = head is not None and head.weight is model.get_input_embeddings().weight
    for layer in [model.get_input_embeddings()] + ([] if tied or head is None else [head]):
        _set_to_mean(layer, fresh, known)


def _set_to_mean(layer: nn.Module, fresh: list[int], known: int) -> None:
    with torch.no_grad():
        for parameter in layer.parameters(recurse=False):  # the weight, and a head's bias
            parameter[fresh] = parameter[:known].mean(dim=0, dtype=torch.float32).to(parameter.dtype)


def _key(source: Path, asked: tuple[str, ...], special: tuple[str, ...]) -> str:
    digest = hashlib.sha256(json.dumps([asked, special]).encode("utf-8"))
    for name in ("config.json", *_TOKENIZER_FILES):
        if (source / name).is_file():
            digest.update((source / name).read_bytes())
    return digest.hexdigest()[:16]


def _save_aside(tokenizer: Any, source: Path, folder: Path) -> None:
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    tokenizer.save_pretrained(aside)
    for name in ("config.json", "generation_config.json"):
        if (source / name).is_file():
            shutil.copyfile(source / name, aside / name)
    try:
        aside.replace(folder)
    except OSError:  # another process was faster
        shutil.rmtree(aside)
        if not folder.is_dir():
            raise
