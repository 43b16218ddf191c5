"""The tokenizer in a GGUF file, rebuilt as a normal one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gguf import TokenType
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
from transformers import PreTrainedTokenizerFast

from tunesmith.errors import UserError
from tunesmith.models.gguf.file import FIELD, GGUFFile
from tunesmith.models.gguf.pretokenizers import CUTS, normalizer, pre_tokenizer

_SPACE = "▁"
_PREFIX = "tokenizer.ggml."
# GGUF's name of a role → transformers'.
_ROLES = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}


def read_tokenizer(file: GGUFFile) -> PreTrainedTokenizerFast:
    """The tokenizer with its control tokens and chat template. UserError for a kind that is not read."""
    kind = file.metadata.get(_PREFIX + "model")
    if kind not in ("gpt2", "llama"):
        raise UserError(
            f"{file.path.name} has a tokenizer of kind {kind!r}; gpt2 (byte-level BPE) and llama (SentencePiece) "
            "are read.",
            hint="Give the model as a hub id or as a folder with safetensors.",
            field=FIELD,
        )
    try:
        return _read(file, kind)
    except (LookupError, ValueError, TypeError) as error:
        raise UserError(
            f"{file.path.name} is damaged: what it says of its tokenizer does not fit together ({error}).",
            hint="Download or copy it again.",
            field=FIELD,
        ) from error


def _read(file: GGUFFile, kind: str) -> PreTrainedTokenizerFast:
    tokens: list[str] = file.metadata[_PREFIX + "tokens"]
    kinds: list[int] = file.metadata.get(_PREFIX + "token_type") or [TokenType.NORMAL] * len(tokens)
    roles = {
        role: tokens[file.metadata[f"{_PREFIX}{theirs}_token_id"]]
        for theirs, role in _ROLES.items()
        if f"{_PREFIX}{theirs}_token_id" in file.metadata
    }
    backend = (_byte_level if kind == "gpt2" else _sentencepiece)(file, tokens, kinds)
    _add_tokens(backend, tokens, kinds)
    if file.metadata.get(_PREFIX + "add_bos_token", kind == "llama") and "bos_token" in roles:
        _start_with(backend, roles["bos_token"])
    settings: dict[str, Any] = {"clean_up_tokenization_spaces": False}
    context = file.metadata.get(f"{file.architecture}.context_length")
    if context:
        settings["model_max_length"] = context
    wrapped = PreTrainedTokenizerFast(tokenizer_object=backend, **roles, **settings)
    wrapped.chat_template = file.metadata.get("tokenizer.chat_template")
    return wrapped


def stop_ids(file: GGUFFile) -> list[int]:
    """Ids that end an answer: end of sequence, of a turn, of a message."""
    ids = [file.metadata.get(f"{_PREFIX}{name}_token_id") for name in ("eos", "eot", "eom")]
    return list(dict.fromkeys(each for each in ids if each is not None))


def _byte_level(file: GGUFFile, tokens: Sequence[str], kinds: Sequence[int]) -> Tokenizer:
    name = file.metadata.get(_PREFIX + "pre", "")
    if name not in CUTS:
        raise UserError(
            f"{file.path.name} cuts words the way {name or 'an unnamed tokenizer'!r} does, which is not known here; "
            "its text would be tokenized wrongly.",
            hint=f"Known: {', '.join(sorted(CUTS))}. Give the model as a hub id or as a folder with safetensors.",
            field=FIELD,
        )
    cut = CUTS[name]
    # Rows that pad the embedding to a round number are named [PAD…] and marked unused; no tokenizer has them.
    vocabulary = {
        token: i for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind != TokenType.UNUSED
    }
    merges = [tuple(merge.split(" ", 1)) for merge in file.metadata[_PREFIX + "merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=cut.whole_words))
    if (normal := normalizer(cut)) is not None:
        tokenizer.normalizer = normal
    tokenizer.pre_tokenizer = pre_tokenizer(cut)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def _sentencepiece(file: GGUFFile, tokens: Sequence[str], kinds: Sequence[int]) -> Tokenizer:
    scores: list[float] = file.metadata[_PREFIX + "scores"]
    unknown = next((token for token, kind in zip(tokens, kinds, strict=True) if kind == TokenType.UNKNOWN), None)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    ranks = {token: score for token, score, kind in zip(tokens, scores, kinds, strict=True) if kind == TokenType.NORMAL}
    model = models.BPE(
        vocab=vocabulary, merges=_merges(ranks, vocabulary), unk_token=unknown, fuse_unk=True, byte_fallback=True
    )
    tokenizer = Tokenizer(model)
    prefixed = file.metadata.get(_PREFIX + "add_space_prefix", True)
    spaces = normalizers.Replace(" ", _SPACE)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), spaces]) if prefixed else spaces
    steps = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefixed else steps)
    return tokenizer


def _merges(scores: Mapping[str, float], vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs in the order in which SentencePiece would join them: the best-scored result first.

    SentencePiece has no merges: it joins whichever neighbours give the best-scored token. Every way to split a token
    into two tokens is such a pair.
    """
    ways = (
        (-score, vocabulary[left], vocabulary[right], left, right)
        for token, score in scores.items()
        for left, right in ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        if left in scores and right in scores
    )
    return [(left, right) for *_, left, right in sorted(ways)]


def _add_tokens(tokenizer: Tokenizer, tokens: Sequence[str], kinds: Sequence[int]) -> None:
    """Control tokens and user-defined ones: found in text before any word is cut."""
    special = (TokenType.CONTROL, TokenType.UNKNOWN)
    added = [
        AddedToken(token, special=kind in special, normalized=False)
        for token, kind in zip(tokens, kinds, strict=True)
        if kind in (*special, TokenType.USER_DEFINED)
    ]
    tokenizer.add_tokens(added)


def _start_with(tokenizer: Tokenizer, bos: str) -> None:
    template = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    before = tokenizer.post_processor
    tokenizer.post_processor = template if before is None else processors.Sequence([before, template])
