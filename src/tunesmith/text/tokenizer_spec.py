"""tokenizer.json: reading it with the files beside it, what it says of control tokens, and variants of it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import UserError

_NOBODYS = "\ufdd3\ufdd2"  # Unicode noncharacters: no text has them
_BRACKETED = re.compile(r"[<\[].*[>\]]", re.DOTALL)
_HTML_TAG = re.compile(r"</?[a-z][a-z0-9]*>")


@dataclass(frozen=True, slots=True)
class ControlToken:
    """How a control token behaves where it stands in text."""

    id: int
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False


# Reading the files of a model folder


def _read_json(path: Path) -> Any:
    """The parsed file, None where there is none."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"{path} is not valid JSON ({error}).",
            hint="The download may be incomplete; fetch the model again.",
            field="model_name_or_path",
        ) from None


def read_settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, completed by the other files; special tokens as plain strings."""
    special = _read_json(folder / "special_tokens_map.json") or {}
    settings = special | {
        k: v for k, v in (_read_json(folder / "tokenizer_config.json") or {}).items() if v is not None
    }
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        value = settings.get(name)
        settings[name] = value.get("content") if isinstance(value, dict) else value
    template = settings.get("chat_template")
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template}
        settings["chat_template"] = named.get("default")
    own = folder / "chat_template.jinja"
    if own.is_file():
        settings["chat_template"] = own.read_text(encoding="utf-8")
    generation = _read_json(folder / "generation_config.json") or _read_json(folder / "config.json") or {}
    settings["generation_eos"] = generation.get("eos_token_id")
    return settings


def read_spec(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The parsed tokenizer.json of a model folder, converted from an older format if need be."""
    spec: dict[str, Any] = _read_json(folder / "tokenizer.json") or _convert(folder)
    _add_missing_tokens(spec, settings)
    return spec


def _convert(folder: Path) -> dict[str, Any]:
    """A tokenizer.json made by transformers for a folder that only has an older format."""
    from transformers import AutoTokenizer

    try:
        slow = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        return json.loads(slow.backend_tokenizer.to_str())
    except Exception as error:
        raise UserError(
            f"{folder} has no tokenizer.json, and no other tokenizer in it could be read "
            f"({type(error).__name__}: {error}).",
            hint="Check that model_name_or_path is a model folder with its tokenizer files.",
            field="model_name_or_path",
        ) from error


def _add_missing_tokens(spec: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """tokenizer_config.json may list added tokens that tokenizer.json lacks; models trained with them need them."""
    known = {token["content"] for token in spec.get("added_tokens", ())}
    listed = settings.get("added_tokens_decoder") or {}
    for number, token in sorted(listed.items(), key=lambda item: int(item[0])):
        if token["content"] not in known:
            flags = {
                name: bool(token.get(name)) for name in ("single_word", "lstrip", "rstrip", "normalized", "special")
            }
            spec.setdefault("added_tokens", []).append({"id": int(number), "content": token["content"], **flags})


# Variants of a tokenizer.json


def _is_word(token: Mapping[str, Any], vocab: Collection[str], words: Collection[str]) -> bool:
    """Many models mark their markup (`<think>`, `<|fim_prefix|>`) as not special: brackets tell it from words."""
    if token.get("special"):
        return False
    content = token["content"]
    is_tag = content in vocab and _HTML_TAG.fullmatch(content) is not None
    return content in words or is_tag or not _BRACKETED.fullmatch(content)


def added_words(spec: Mapping[str, Any], words: Collection[str] = ()) -> list[str]:
    """Added tokens that ordinary text reaches: runs of white space, Gemma's HTML tags, and `words` (not special)."""
    vocab = _vocab_of(spec)
    return [token["content"] for token in spec.get("added_tokens", ()) if _is_word(token, vocab, words)]


def _vocab_of(spec: Mapping[str, Any]) -> set[str]:
    vocab = spec["model"].get("vocab", {})
    return {piece[0] for piece in vocab} if isinstance(vocab, list) else set(vocab)


def control_tokens(spec: Mapping[str, Any], words: Collection[str] = ()) -> dict[str, ControlToken]:
    ordinary = set(added_words(spec, words))
    return {
        token["content"]: ControlToken(
            token["id"], bool(token.get("lstrip")), bool(token.get("rstrip")), bool(token.get("single_word"))
        )
        for token in spec.get("added_tokens", ())
        if token["content"] not in ordinary
    }


def plain_spec(spec: Mapping[str, Any], words: Collection[str] = ()) -> dict[str, Any]:
    """The tokenizer that knows no control tokens and adds none."""
    vocab, ordinary = _vocab_of(spec), set(added_words(spec, words))
    kept = [token for token in spec.get("added_tokens", ()) if token["content"] in ordinary]
    if not ordinary <= vocab:
        # Ids of added tokens are counted on from the vocabulary, whatever the file says: each keeps its place.
        kept = [
            token if token["content"] in ordinary else {**token, "content": f"{_NOBODYS}{token['id']}", "special": True}
            for token in spec.get("added_tokens", ())
            if token["content"] in ordinary or token["content"] not in vocab
        ]
    return {**spec, "added_tokens": kept, "post_processor": None, "truncation": None, "padding": None}


def _steps(part: Any) -> list[Any]:
    """The members of a normalizer or pre-tokenizer, whether or not it is a sequence."""
    return [] if not part else part.get("normalizers", part.get("pretokenizers", [part]))


def prefix_rule(spec: Mapping[str, Any]) -> str:
    """Where the tokenizer puts a space of its own: 'always' (after every control token), 'first' (text start), ''."""
    if any(step["type"] == "Prepend" for step in _steps(spec.get("normalizer"))):
        return "always"
    for step in _steps(spec.get("pre_tokenizer")):
        if step["type"] == "ByteLevel" and step.get("add_prefix_space"):
            return "always"
        scheme = step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "never")
        if step["type"] == "Metaspace" and scheme != "never":
            return "first" if scheme == "first" else "always"
    return ""


def without_prefix(spec: Mapping[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy({name: spec.get(name) for name in ("normalizer", "pre_tokenizer")})
    normalizer = changed["normalizer"]
    if normalizer and normalizer["type"] == "Prepend":
        changed["normalizer"] = None
    elif normalizer and "normalizers" in normalizer:
        normalizer["normalizers"] = [step for step in normalizer["normalizers"] if step["type"] != "Prepend"]
    for step in _steps(changed["pre_tokenizer"]):
        if step["type"] == "ByteLevel":
            step["add_prefix_space"] = False
        elif step["type"] == "Metaspace":
            step["prepend_scheme"] = "never"
    return {**spec, **changed}
