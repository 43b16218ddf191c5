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
    if source.settled:
        _copy(source.folder, folder, ("*",))
        write_json(folder / "config.json", source.config)
        return
    lay_out(source, folder)
    tokenizer = Tokenizer.load(folder) if (folder / "tokenizer.json").is_file() else None
    write_json(folder / "config.json", {**source.config, **settle_ends(source, folder, tokenizer)})


def lay_out(source: Source, folder: Path) -> None:
    """The base's own files and the tokenizer, with the template that the model was trained with.

    The configurations are what the base's say; `settle_ends` brings them in step.
    """
    _copy(source.folder, folder, _TOKENIZER)
    base = Path(source.base)
    if base.is_dir():
        _copy(base, folder, _BASE + (_CODE if "auto_map" in source.config else ()))
        model = base / "tokenizer.model"  # few have one, and comparing vocabularies takes a second
        if model.is_file() and not (folder / model.name).exists() and _same_vocabulary(base, folder, source.config):
            _copy(base, folder, (model.name,))
    generation = read_json(source.folder / "generation_config.json") or {}
    told_ends = [*_listed(generation.get("eos_token_id")), *_listed(source.config.get("eos_token_id"))]
    if told_ends:  # the tokenizer reads them here
        generation["eos_token_id"] = list(dict.fromkeys(told_ends))
    generation.pop("_from_model_config", None)  # it would be made anew from a configuration that says less
    write_json(folder / "generation_config.json", generation)
    write_json(folder / "config.json", source.config)
    told = [text for place in (folder, *source.adapters) if (text := _template_in(place)) is not None]
    if told:
        use_template(folder, told[-1])


def use_template(folder: Path, text: str) -> None:
    """Make this the folder's chat template, in both places where programs look for it."""
    (folder / _TEMPLATE).write_text(text, encoding="utf-8", newline="\n")
    settings = read_json(folder / "tokenizer_config.json")
    if settings is not None:
        write_json(folder / "tokenizer_config.json", settings | {"chat_template": text})


def settle_ends(source: Source, folder: Path, tokenizer: Tokenizer | None) -> dict[str, int | list[int]]:
    """Write every token that ends an answer into generation_config.json; return what config.json says of them.

    folder: from `lay_out`. tokenizer: the folder's, with its template as it will be; what that ends an answer with
    comes first.
    """
    generation = read_json(folder / "generation_config.json") or {}
    found: list[int | None] = []
    if tokenizer is not None:
        # Without a template, or with one that is beyond our Jinja, the model may be exported all the same.
        with suppress(UserError):
            found += map(tokenizer.id_of, choose_template(None, tokenizer).template.stop_words)
        found += tokenizer.stop_ids
    found += _listed(generation.get("eos_token_id"))
    ends = list(dict.fromkeys(token for token in found if token is not None))
    told: dict[str, int | list[int]] = {"eos_token_id": ends[0] if len(ends) == 1 else ends} if ends else {}
    generation |= told
    for key in ("bos_token_id", "pad_token_id"):
        if key not in generation and source.config.get(key) is not None:
            generation[key] = source.config[key]
    write_json(folder / "generation_config.json", generation)
    return told


def _listed(ends: int | list[int] | None) -> list[int]:
    return ends if isinstance(ends, list) else [] if ends is None else [ends]


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
