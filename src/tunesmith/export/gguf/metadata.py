"""What a GGUF file says of the model in it: where it comes from, how it computes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import yaml
from gguf import GGUFValueType

from tunesmith.errors import UserError
from tunesmith.export.gguf.vocabulary import Fields
from tunesmith.export.weights import Source
from tunesmith.models.gguf.architecture import Architecture
from tunesmith.models.gguf.rope import rope_metadata

_TEXT, _NUMBER, _LIST = GGUFValueType.STRING, GGUFValueType.UINT32, GGUFValueType.ARRAY
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SENSES = re.compile(r"(model\.)?(vision_|visual|audio_|multi_modal_projector|embed_vision|embed_audio)")
_INNER = re.compile(r"^(model\.)?language_model\.((?P<head>lm_head\b)|(model\.)?)")
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*\n", re.DOTALL)


def text_part(source: Source) -> Source:
    """The language model inside a model that also sees or hears, with a note; the source itself where it is all text.

    llama.cpp keeps the other parts in a file of their own, which isn't written.
    """
    config = text_config(source.config)
    if config is source.config:
        return source
    weights = [replace(each, name=text_name(each.name)) for each in source.weights if not _SENSES.match(each.name)]
    note = "The GGUF file holds the part of the model that reads and writes text, not the one that sees images."
    return replace(source, weights=weights, config=config, notes=(*source.notes, note))


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """config.json of the language model inside, or the same one where there is no other part."""
    inner = config.get("text_config")
    if not isinstance(inner, Mapping):
        return config
    return {name: config[name] for name in ("tie_word_embeddings",) if name in config} | dict(inner)


def text_name(name: str) -> str:
    """The name that a weight has in the language model alone."""
    return _INNER.sub(lambda found: "lm_head" if found["head"] else "model.", name)


def settle(config: Mapping[str, Any]) -> dict[str, Any]:
    """config.json with every default filled in and old names replaced, as transformers reads it."""
    from transformers import AutoConfig

    model_type = config.get("model_type", "")
    try:
        settled = AutoConfig.for_model(model_type, **{k: v for k, v in config.items() if k != "model_type"}).to_dict()
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"The model's config.json can't be used: {error}") from error
    return dict(settled)


def model_metadata(table: Architecture, config: Mapping[str, Any]) -> Fields:
    """How the model computes. config: of `settle`. UserError for what llama.cpp can't be told."""
    return table.metadata(config) | rope_metadata(
        table.name, config["rope_parameters"], config["max_position_embeddings"]
    )


def general_metadata(
    source: Source, name: str, file_type: gguf.LlamaFileType, shapes: Mapping[str, Sequence[int]]
) -> Fields:
    """What the file is called, how it is stored and where it comes from. shapes: of the GGUF tensors by name."""
    fields: Fields = {
        "general.type": ("model", _TEXT),
        "general.name": (name, _TEXT),
        "general.size_label": (_size_label(shapes), _TEXT),
        "general.file_type": (int(file_type), _NUMBER),
        "general.quantization_version": (gguf.GGML_QUANT_VERSION, _NUMBER),
    }
    if source.repository is not None and _HUB_ID.fullmatch(source.repository):
        organization, _, model = source.repository.partition("/")
        about = {
            "name": model.replace("-", " "),
            "organization": organization,
            "repo_url": f"https://huggingface.co/{source.repository}",
        }
        fields["general.base_model.count"] = (1, _NUMBER)
        fields |= {f"general.base_model.0.{key}": (value, _TEXT) for key, value in about.items()}
    return fields | _card(Path(source.base))


def _card(folder: Path) -> Fields:
    """License, languages and tags from the model card's front matter, as far as they are told plainly."""
    try:
        found = _FRONT_MATTER.match((folder / "README.md").read_text(encoding="utf-8"))
        told = yaml.safe_load(found.group(1)) if found else None
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    if not isinstance(told, dict):
        return {}
    fields: Fields = {}
    if isinstance(told.get("license"), str):
        fields["general.license"] = (told["license"], _TEXT)
    for ours, theirs in (("language", "languages"), ("tags", "tags")):
        values = [told[ours]] if isinstance(told.get(ours), str) else told.get(ours)
        if isinstance(values, list) and (words := [value for value in values if isinstance(value, str)]):
            fields[f"general.{theirs}"] = (words, _LIST)
    return fields


def _size_label(shapes: Mapping[str, Sequence[int]]) -> str:
    """'135M', or '8x7B' for a mixture."""
    total = shared = expert = experts = 0
    for name, shape in shapes.items():
        count = math.prod(shape)
        total += count
        if "_exps." in name:
            experts = shape[0]
            expert += count // experts
        else:
            shared += count
    return str(gguf.size_label(total, shared, expert, experts))
