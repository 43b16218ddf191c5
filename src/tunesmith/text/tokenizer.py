"""A model's tokenizer, without torch: text to ids with control tokens parsed exactly where they are meant."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from tunesmith.text.fast_bpe import FastBpe, split_pattern
from tunesmith.text.spelling import control_pattern
from tunesmith.text.tokenizer_spec import (
    added_words,
    control_tokens,
    plain_spec,
    prefix_rule,
    read_settings,
    read_spec,
    without_prefix,
)


@dataclass(frozen=True, slots=True)
class CutText:
    """A text and where to cut it: the pieces are encoded apart. literals: characters whose control tokens are text."""

    text: str
    cuts: tuple[int, ...] = ()
    literals: tuple[tuple[int, int], ...] = ()


class Tokenizer:
    """Built by `Tokenizer.load`; holds the vocabulary, the special tokens and the model's own chat template.

    A control token is one of the tokenizer's added tokens that ordinary text does not reach (Gemma's added newline runs
    and HTML tags are ordinary words of its vocabulary, not controls; so are tokens that a user adds as words).
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        settings: Mapping[str, Any],
        *,
        split_special_tokens: bool = False,
        words: Sequence[str] = (),
    ) -> None:
        """spec: a parsed tokenizer.json. settings: tokenizer_config.json with what the other files add (see `load`).

        words: added tokens that ordinary text reaches though they look like markup, unless they are special.
        """
        self._spec, self._settings = spec, settings
        self._words = added_words(spec, words)
        self._control = {} if split_special_tokens else control_tokens(spec, self._words)
        self._pattern = control_pattern(self._control)
        self._flagged = any(c.lstrip or c.rstrip or c.single_word for c in self._control.values())
        self._prefix = prefix_rule(spec)
        self._fast: FastBpe | None = None
        self.split_special_tokens = split_special_tokens

    @classmethod
    def load(cls, folder: Path | str, *, split_special_tokens: bool = False, words: Sequence[str] = ()) -> Tokenizer:
        """The tokenizer in a model folder; UserError where there is none or it can't be read."""
        folder = Path(folder)
        settings = read_settings(folder)
        return cls(read_spec(folder, settings), settings, split_special_tokens=split_special_tokens, words=words)

    # The backends are made when first asked for: each takes a second for a large vocabulary.

    @cached_property
    def _backend(self) -> tokenizers.Tokenizer:
        return tokenizers.Tokenizer.from_str(json.dumps(self._spec))

    @cached_property
    def _plain(self) -> tokenizers.Tokenizer:
        """Knows no control tokens."""
        return tokenizers.Tokenizer.from_str(json.dumps(plain_spec(self._spec, self._words)))

    @cached_property
    def _tail(self) -> tokenizers.Tokenizer:
        """Like _plain, for text that goes on in the middle of a line."""
        if not self._prefix:
            return self._plain
        return tokenizers.Tokenizer.from_str(json.dumps(without_prefix(plain_spec(self._spec, self._words))))

    @cached_property
    def _ids(self) -> dict[str, int]:
        vocab = self._spec["model"].get("vocab", {})
        listed = {piece[0]: i for i, piece in enumerate(vocab)} if isinstance(vocab, list) else vocab
        return {**listed, **{token["content"]: token["id"] for token in self._spec.get("added_tokens", ())}}

    def release(self) -> None:
        """Let go of the backends, some 100 MB each for a large vocabulary; they are made again when asked for."""
        for name in ("_backend", "_plain", "_tail"):
            self.__dict__.pop(name, None)
        self._fast = None

    # What is known of it

    @property
    def control_tokens(self) -> Mapping[str, int]:
        return {token: control.id for token, control in self._control.items()}

    @cached_property
    def _control_names(self) -> dict[int, str]:
        return {control.id: token for token, control in self._control.items()}

    @property
    def control_pattern(self) -> re.Pattern[str]:
        return self._pattern

    @property
    def chat_template(self) -> str | None:
        return self._settings.get("chat_template")

    @property
    def bos_token(self) -> str | None:
        return self._settings.get("bos_token")

    @property
    def eos_token(self) -> str | None:
        return self._settings.get("eos_token")

    @property
    def named_tokens(self) -> dict[str, str]:
        """Special tokens by the names that chat templates use: bos_token, image_token …"""
        return {k: v for k, v in self._settings.items() if k.endswith("_token") and isinstance(v, str)}

    @property
    def bos_id(self) -> int | None:
        return self.id_of(self.bos_token)

    @property
    def eos_id(self) -> int | None:
        return self.id_of(self.eos_token)

    @property
    def pad_id(self) -> int | None:
        """The padding token's id; the end token's where there is none."""
        pad = self.id_of(self._settings.get("pad_token"))
        return self.eos_id if pad is None else pad

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """Every id that ends an answer by what the model's files say: the end token and generation_config.json's."""
        asked = self._settings.get("generation_eos")
        listed = [] if asked is None else [asked] if isinstance(asked, int) else list(asked)
        own = [self.eos_id] if self.eos_id is not None else []
        return tuple(dict.fromkeys(own + listed))

    @cached_property
    def vocab_size(self) -> int:
        """One more than the highest id."""
        return max(self._ids.values(), default=-1) + 1

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever the ids of any text could."""
        starts = self._settings.get("add_bos_token")
        facts = [self._spec, self.bos_token, self.eos_token, starts, self.split_special_tokens, self._words]
        text = json.dumps(facts)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def document_frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids put before and after a document in continued pre-training: what the model saw when it was made."""
        starts = self._settings.get("add_bos_token")
        if starts is None:
            starts = self.bos_id is not None and self._backend.encode("").ids[:1] == [self.bos_id]
        # Llama 3's chat models end turns with another token than the one that ends documents.
        end = self.id_of("<|end_of_text|>") if self.eos_token == "<|eot_id|>" else self.eos_id
        return (self.bos_id,) if starts and self.bos_id is not None else (), () if end is None else (end,)

    def id_of(self, token: str | None) -> int | None:
        return None if token is None else self._ids.get(token)

    def token_text(self, token_id: int) -> str:
        """One token as readable text; a lone piece of a character shows as the replacement character."""
        if token_id in self._control_names:
            return self._control_names[token_id]
        name = self._backend.id_to_token(token_id)
        if name is None:
            return f"<{token_id}?>"
        text = self._backend.decode([token_id], skip_special_tokens=False)
        return " " + text if name.startswith("▁") and not text.startswith(" ") else text

    def decode(self, ids: Iterable[int], *, skip_special_tokens: bool = False) -> str:
        return self._backend.decode([int(i) for i in ids], skip_special_tokens=skip_special_tokens)

    # Encoding

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """int32 ids of each text, control tokens parsed, nothing added."""
        ids, lengths = self.encode_cut([CutText(text) for text in texts])
        return np.split(ids, np.cumsum(lengths)[:-1]) if texts else []

    def encode_cut(self, texts: Sequence[CutText]) -> tuple[np.ndarray, np.ndarray]:
        """The pieces of all texts: ids end to end (int32) and the length of each piece (int64), in order.

        A text with n cuts has n + 1 pieces. A piece that goes on in the middle of a line does not get the space that
        some tokenizers put before a text.
        """
        texts = list(texts)
        whole = [self._goes_whole(cut) for cut in texts]
        if all(whole) and self._fast and texts:
            return self._fast.encode([piece for cut in texts for piece in _pieces(cut)], control=True)
        arrays: list[list[np.ndarray] | None] = [None] * len(texts)
        self._fill_whole(texts, whole, arrays)
        self._fill_by_segments(texts, whole, arrays)
        pieces = [array for of_text in arrays for array in of_text or ()]
        lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
        return (np.concatenate(pieces) if pieces else np.zeros(0, np.int32)), lengths

    def accelerate(self, samples: Sequence[str]) -> str | None:
        """Switch to a faster encoder if it gives the same ids on these texts; a sentence where it can't."""
        self._fast = None
        fast = self._candidate
        if fast is None:
            return "This tokenizer's kind has no faster encoder; its own is used."
        texts = [text for text in samples if fast.takes(text) and not self._pattern.search(text)]
        ids, lengths = fast.encode(texts, control=False)
        expected = self._plain.encode_batch_fast(texts, add_special_tokens=False)
        ends = np.cumsum(lengths).tolist()
        for start, end, encoding in zip([0, *ends], ends, expected, strict=False):
            if ids[start:end].tolist() != encoding.ids:
                return "The faster encoder splits some of this data differently; the tokenizer's own is used."
        self._fast = fast
        return None

    @cached_property
    def _candidate(self) -> FastBpe | None:
        """The faster encoder, not yet proven; None for tokenizers of a kind it can't imitate."""
        if split_pattern(self._spec) is None or self._ambiguous():
            return None
        try:
            return FastBpe(self._spec, self.control_tokens, self._words)
        except ValueError:
            return None

    @property
    def accelerated(self) -> bool:
        return self._fast is not None

    def _ambiguous(self) -> bool:
        """Whether one control token begins another, which the faster encoder may read as the shorter one."""
        ordered = sorted(self._control)
        return any(after.startswith(before) for before, after in pairwise(ordered))

    def _goes_whole(self, cut: CutText) -> bool:
        return self._fast is not None and not cut.literals and not self._flagged and self._fast.takes(cut.text)

    def _fill_whole(
        self, texts: Sequence[CutText], whole: Sequence[bool], arrays: list[list[np.ndarray] | None]
    ) -> None:
        chosen = [i for i, yes in enumerate(whole) if yes]
        if not chosen or not self._fast:
            return
        ids, lengths = self._fast.encode([piece for i in chosen for piece in _pieces(texts[i])], control=True)
        split = iter(np.split(ids, np.cumsum(lengths)[:-1]))
        for i in chosen:
            arrays[i] = [next(split) for _ in range(len(texts[i].cuts) + 1)]

    def _fill_by_segments(
        self, texts: Sequence[CutText], whole: Sequence[bool], arrays: list[list[np.ndarray] | None]
    ) -> None:
        plans = {i: [list(piece) for piece in self._segments(texts[i])] for i, yes in enumerate(whole) if not yes}
        wanted = dict.fromkeys(s for plan in plans.values() for piece in plan for s in piece if isinstance(s, tuple))
        known = self._encode_segments(list(wanted))
        for i, plan in plans.items():
            arrays[i] = [
                np.concatenate(
                    [
                        np.zeros(0, np.int32),
                        *(np.array([s], np.int32) if isinstance(s, int) else known[s] for s in piece),
                    ]
                )
                for piece in plan
            ]

    def _encode_segments(self, segments: Sequence[tuple[str, bool]]) -> dict[tuple[str, bool], np.ndarray]:
        fast = self._fast
        quick = [segment for segment in segments if fast and fast.spells(segment[0])]
        known: dict[tuple[str, bool], np.ndarray] = {}
        if fast and quick:
            ids, lengths = fast.encode([text for text, _ in quick], control=False)
            known = dict(zip(quick, np.split(ids, np.cumsum(lengths)[:-1]), strict=True))
        for goes_on in (False, True):
            rest = [segment for segment in segments if segment[1] == goes_on and segment not in known]
            if not rest:
                continue
            backend = self._tail if goes_on else self._plain
            encodings = backend.encode_batch_fast([text for text, _ in rest], add_special_tokens=False)
            known |= {s: np.array(e.ids, dtype=np.int32) for s, e in zip(rest, encodings, strict=True)}
        return known

    def _segments(self, cut: CutText) -> Iterator[list[int | tuple[str, bool]]]:
        """Per piece: control ids and (ordinary text, whether it goes on in the middle of a line)."""
        controls = self._controls_in(cut)
        fresh = True
        for start, end in zip((0, *cut.cuts), (*cut.cuts, len(cut.text)), strict=True):
            piece: list[int | tuple[str, bool]] = []
            at = start
            while controls and controls[0][0] < end:
                left, right, token_id = controls.pop(0)
                if left > at:
                    piece.append((cut.text[at:left], self._continues(fresh, at)))
                piece.append(token_id)
                at, fresh = min(right, end), True
            if at < end:
                piece.append((cut.text[at:end], self._continues(fresh, at)))
                fresh = False
            yield piece

    def _continues(self, fresh: bool, at: int) -> bool:
        """Whether text at this place lacks the space that the tokenizer puts before a text."""
        return bool(self._prefix) and not (fresh if self._prefix == "always" else at == 0)

    def _controls_in(self, cut: CutText) -> list[tuple[int, int, int]]:
        """(start, end, id) of control tokens that are meant, with the white space they swallow."""
        found: list[tuple[int, int, int]] = []
        text, at = cut.text, 0
        while match := self._pattern.search(text, at):
            start, end = match.span()
            inside = next((stop for begin, stop in cut.literals if begin < end and start < stop), None)
            control = self._control[match.group()]
            joined = control.single_word and bool(re.search(r"\w$", text[:start]) or re.match(r"\w", text[end:]))
            if inside is not None or joined:
                at = start + 1 if inside is None else max(start + 1, min(inside, end))
                continue
            left = len(text[:start].rstrip()) if control.lstrip else start
            right = len(text) - len(text[end:].lstrip()) if control.rstrip else end
            found.append((max(left, at), right, control.id))
            at = right
        return found


def _pieces(cut: CutText) -> Iterator[str]:
    start = 0
    for end in cut.cuts:
        yield cut.text[start:end]
        start = end
    yield cut.text[start:] if start else cut.text
