"""What lies beside exported weights: tokenizer, chat template, stop tokens, configuration, licence, in step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tunesmith.errors import UserError
from tunesmith.export.target import write_json
from tunesmith.export.weights import Source
from tunesmith.runs.files import read_json
from tunesmith.text.template import choose_template
from tunesmith.text.tokenizer import Tokenizer

_TOKENIZER = (
    "tokenizer*", "vocab.json", "vocab.txt", "merges.txt", "special_tokens_map.json", "added_tokens.json",
    "chat_template*", "*.tiktoken", "spiece.model",
)  # fmt: skip
# The base's own, which training does not touch: licences, what images are cut by, code of its architecture.
_BASE = (
    "LICEN[SC]E*", "licen[sc]e*", "*_LICEN[SC]E*", "NOTICE*", "USE_POLICY*", "*preprocessor_config.json",
    "processor_config.json",
)  # fmt: skip
_CODE = ("*.py",)
_TEMPLATE = "chat_template.jinja"


def write_companions(source: Source, folder: Path) -> None:
    """Write all but the weights into `folder`, which is there."""
    base = Path(source.base)
    _copy(source.folder, folder, _TOKENIZER)
    if base.is_dir():
        _copy(base, folder, _BASE + (_CODE if "auto_map" in source.config else ()))
        model = base / "tokenizer.model"  # few have one, and comparing vocabularies takes a second
        if model.is_file() and not (folder / model.name).exists() and _same_vocabulary(base, folder, source.config):
            _copy(base, folder, (model.name,))
    _settle_template(source, folder)
    generation = read_json(source.folder / "generation_config.json") or {}
    ends = stop_ids(folder, source.config, generation)
    config = dict(source.config)
    if ends:
        config["eos_token_id"] = generation["eos_token_id"] = ends[0] if len(ends) == 1 else ends
    for key in ("bos_token_id", "pad_token_id"):
        if key not in generation and config.get(key) is not None:
            generation[key] = config[key]
    generation.pop("_from_model_config", None)  # it would be made anew from a configuration that says less
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", generation)


def stop_ids(folder: Path, config: Mapping[str, Any], generation: Mapping[str, Any]) -> list[int]:
    """Every token that ends an answer: the chat template's, the tokenizer's, those configured; the template's first.

    folder: with the tokenizer and its template, as they will be.
    """
    found: list[int | None] = []
    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.load(folder)
        with suppress(
            UserError
        ):  # no template, or one that is beyond our Jinja: the model may be exported all the same
            found += map(tokenizer.id_of, choose_template(None, tokenizer).template.stop_words)
        found += tokenizer.stop_ids
    for each in (generation.get("eos_token_id"), config.get("eos_token_id")):
        found += each if isinstance(each, list) else [each]
    return list(dict.fromkeys(token for token in found if token is not None))


def _settle_template(source: Source, folder: Path) -> None:
    """The template that the adapter was trained with where it brings one; in both places where programs look for it."""
    places = (folder,) if source.template_settled else (folder, *source.adapters)
    told = [text for place in places if (text := _template_in(place)) is not None]
    settings = read_json(folder / "tokenizer_config.json")
    if not told or settings is None:
        return
    (folder / _TEMPLATE).write_text(told[-1], encoding="utf-8", newline="\n")
    write_json(folder / "tokenizer_config.json", settings | {"chat_template": told[-1]})


def _template_in(folder: Path) -> str | None:
    file = folder / _TEMPLATE
    if file.is_file():
        return file.read_text(encoding="utf-8")
    inline = (read_json(folder / "tokenizer_config.json") or {}).get("chat_template")
    return inline if isinstance(inline, str) else None


def _same_vocabulary(base: Path, folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether the base's tokenizer.model still tells the truth."""
    if (base / "tokenizer.json").is_file():
        ours, theirs = ((each / "tokenizer.json") for each in (folder, base))
        return ours.is_file() and _vocabulary(ours) == _vocabulary(theirs)
    told = read_json(base / "config.json") or {}
    return told.get("vocab_size") == config.get("vocab_size")


def _vocabulary(file: Path) -> tuple[Any, Any]:
    spec = json.loads(file.read_text(encoding="utf-8"))
    added = {token["id"]: token["content"] for token in spec.get("added_tokens", ())}
    return spec["model"].get("vocab"), added


def _copy(source: Path, folder: Path, patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        for file in source.glob(pattern):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
