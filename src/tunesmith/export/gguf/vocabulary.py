"""A tokenizer folder in GGUF's words: tokens with their kinds, merges or scores, and what stands around a text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gguf import GGUFValueType, TokenType
from tokenizers import Tokenizer

from tunesmith.errors import UserError
from tunesmith.export.gguf.cutting import FIELD, name_of_cut, normalized, probes
from tunesmith.models.gguf.file import GGUFFile
from tunesmith.models.gguf.pretokenizers import CUTS
from tunesmith.models.gguf.tokenizer import read_tokenizer
from tunesmith.text.tokenizer_spec import prefix_rule, read_settings, read_spec

Fields = dict[str, tuple[Any, GGUFValueType]]
"""GGUF key → value and type."""

_PREFIX = "tokenizer.ggml."
_SPACE = "▁"
_PHI3, _PHI3_TOKENS = re.compile(r"(phi)-?3", re.IGNORECASE), {"<unk>", "<s>", "</s>", "<|endoftext|>"}
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_TEXT, _ID, _FLAG, _LIST = GGUFValueType.STRING, GGUFValueType.UINT32, GGUFValueType.BOOL, GGUFValueType.ARRAY
# transformers' name of a role → GGUF's.
_ROLES = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


def vocabulary(folder: Path, rows: int, *, pre: str | None = None) -> Fields:
    """The vocabulary's metadata, proven by reading it back and encoding some 300 texts.

    folder: with tokenizer.json (or an older form) and what lies beside it. rows: of the embedding; those beyond the
    tokenizer are named [PADn], tokens beyond them are left out, since the model can't be given them. pre: GGUF's name
    for how words are cut, where it isn't found. UserError for a kind of tokenizer that can't be expressed.
    """
    settings = read_settings(folder)
    spec = read_spec(folder, settings)
    if spec["model"].get("type", "BPE") != "BPE":
        raise UserError(
            f"{folder} has a {spec['model']['type']} tokenizer; byte-level BPE and SentencePiece's BPE can be written "
            "as GGUF.",
            hint="Convert the merged folder with llama.cpp's own convert_hf_to_gguf.py.",
        )
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    sentencepiece = bool(spec["model"].get("byte_fallback"))
    fields = _tokens(spec, settings, rows, sentencepiece)
    if sentencepiece:
        fields |= _sentencepiece(spec, settings, fields)
    else:
        fields |= _byte_level(spec, pre or name_of_cut(tokenizer, spec))
    ids = {token: i for i, token in enumerate(fields[_PREFIX + "tokens"][0])}
    fields |= _roles(settings, ids) | _frame(folder, tokenizer, settings)
    _prove(fields, tokenizer, folder, behind_control=bool(settings.get("chat_template")))
    return fields


def model_name(folder: Path, name: str) -> str:
    """`general.name` of a model that is called `name`, with 'Phi-3' in it where that is needed and not elsewhere.

    llama.cpp lets added tokens swallow the white space after them in models whose name says Phi-3, since GGUF has no
    key for it, and refuses such models where they lack four tokens of Phi 3.
    """
    added = {token["content"]: token for token in read_spec(folder, read_settings(folder)).get("added_tokens", ())}
    others = [token for content, token in added.items() if content not in _PHI3_TOKENS]
    swallow = added.keys() >= _PHI3_TOKENS and others and all(token.get("rstrip") for token in others)
    if swallow:
        return name if _PHI3.search(name) else f"{name} (Phi-3)"
    return _PHI3.sub(r"\1 3", name)


def _tokens(spec: Mapping[str, Any], settings: Mapping[str, Any], rows: int, sentencepiece: bool) -> Fields:
    added = {token["id"]: token for token in spec.get("added_tokens", ())}
    names = {i: token for token, i in spec["model"]["vocab"].items()} | {i: t["content"] for i, t in added.items()}
    unknown = spec["model"].get("unk_token") or settings.get("unk_token")
    tokens, kinds = [], []
    for i in range(rows):
        name, kind = names.get(i, f"[PAD{i}]"), TokenType.NORMAL
        if i not in names:
            kind = TokenType.UNUSED
        elif sentencepiece and name == unknown:
            kind = TokenType.UNKNOWN
        elif i in added:
            kind = TokenType.CONTROL if added[i]["special"] else TokenType.USER_DEFINED
        elif sentencepiece and _BYTE.fullmatch(name):
            kind = TokenType.BYTE
        if sentencepiece and kind == TokenType.USER_DEFINED:
            name = name.replace(_SPACE, " ")  # looked for in text as it is written
        tokens.append(name)
        kinds.append(int(kind))
    return {_PREFIX + "tokens": (tokens, _LIST), _PREFIX + "token_type": (kinds, _LIST)}


def _byte_level(spec: Mapping[str, Any], pre: str) -> Fields:
    return {
        _PREFIX + "model": ("gpt2", _TEXT),
        _PREFIX + "pre": (pre, _TEXT),
        _PREFIX + "merges": ([" ".join(pair) for pair in _merges(spec)], _LIST),
    }


def _sentencepiece(spec: Mapping[str, Any], settings: Mapping[str, Any], fields: Fields) -> Fields:
    """SentencePiece joins the best-scored neighbours, so a token's score is the place of the first merge that makes it.

    In every vocabulary that comes from SentencePiece that is the order of the ids.
    """
    ranks: dict[str, int] = {}
    for left, right in _merges(spec):
        ranks.setdefault(left + right, len(ranks))
    tokens, kinds = fields[_PREFIX + "tokens"][0], fields[_PREFIX + "token_type"][0]
    scores = [
        -float(ranks.get(token, len(ranks))) if kind == TokenType.NORMAL else 0.0
        for token, kind in zip(tokens, kinds, strict=True)
    ]
    rule = prefix_rule(spec)
    # llama.cpp puts its space at the start of a text and after control tokens, or nowhere. Where the model does it at
    # the start alone, conversations decide if there is a template for them: those start with a control token.
    prefixed = rule == "always" or (rule == "first" and not settings.get("chat_template"))
    return {
        _PREFIX + "model": ("llama", _TEXT),
        _PREFIX + "pre": ("default", _TEXT),
        _PREFIX + "scores": (scores, _LIST),
        _PREFIX + "add_space_prefix": (prefixed, _FLAG),
    }


def _merges(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = (merge.split(" ", 1) if isinstance(merge, str) else merge for merge in spec["model"]["merges"])
    return [(left, right) for left, right in pairs]


def _roles(settings: Mapping[str, Any], ids: Mapping[str, int]) -> Fields:
    """Ids by role. Of several ids that end an answer GGUF takes one as the end of a turn, one as that of a message."""
    found = {theirs: ids[settings[ours]] for ours, theirs in _ROLES.items() if settings.get(ours) in ids}
    asked = settings.get("generation_eos")
    stops = [asked] if isinstance(asked, int) else [i for i in asked or () if i < len(ids)]
    if stops:
        found.setdefault("eos", stops[0])
    names = {i: token for token, i in ids.items()}
    rest = [i for i in dict.fromkeys(stops) if i != found.get("eos")]
    rest.sort(key=lambda i: "eom" in names.get(i, ""))
    found |= dict(zip(("eot", "eom"), rest, strict=False))
    return {f"{_PREFIX}{role}_token_id": (i, _ID) for role, i in found.items()}


def _frame(folder: Path, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> Fields:
    """What is put before and after a text, by what transformers does; always told, since llama.cpp guesses else."""
    bare, whole = _bare_and_whole(folder, tokenizer)
    at = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), 0)
    fields: Fields = {
        _PREFIX + "add_bos_token": (at > 0, _FLAG),
        _PREFIX + "add_eos_token": (at + len(bare) < len(whole), _FLAG),
    }
    if template := settings.get("chat_template"):
        fields["tokenizer.chat_template"] = (template, _TEXT)
    return fields


def _bare_and_whole(folder: Path, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids of a text as it stands, and with what is put around it."""
    from transformers import AutoTokenizer

    try:
        real = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except Exception:  # a class that transformers does not know: the file alone speaks
        return tokenizer.encode("a", add_special_tokens=False).ids, tokenizer.encode("a").ids
    return real.encode("a", add_special_tokens=False), real.encode("a")


def _prove(fields: Fields, tokenizer: Tokenizer, folder: Path, *, behind_control: bool) -> None:
    """UserError if what was written reads back as another tokenizer. behind_control: as conversations have texts."""
    values = {key: value for key, (value, _) in fields.items()}
    byte_level = values[_PREFIX + "model"] == "gpt2"
    if byte_level and values[_PREFIX + "pre"] not in CUTS:
        return  # named by the user, who knows more
    back = read_tokenizer(GGUFFile(folder / "tokenizer.json", values, {}, "")).backend_tokenizer
    kinds: list[int] = values[_PREFIX + "token_type"]
    control = kinds.index(TokenType.CONTROL) if behind_control and TokenType.CONTROL in kinds else None
    lead = "" if control is None else values[_PREFIX + "tokens"][control]
    for probe in probes():
        # llama.cpp normalizes no Unicode. And of a text's own first space and the one put before it some tokenizers
        # make one, llama.cpp does not.
        text = lead + (normalized(tokenizer, probe) if byte_level else probe.lstrip(" "))
        before = tokenizer.encode(text, add_special_tokens=False).ids
        if before != (after := back.encode(text, add_special_tokens=False).ids):
            raise UserError(
                f"The tokenizer in {folder} can't be expressed in GGUF: {text!r} would be {after}, and is {before}.",
                hint="Convert the merged folder with llama.cpp's own convert_hf_to_gguf.py.",
                field=FIELD if byte_level else None,
            )
