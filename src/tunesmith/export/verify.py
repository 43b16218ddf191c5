"""Does the exported file answer as the trained model does? Asked of both, the same things, and told in numbers.

The trained model is asked once; then each file, in the real llama.cpp: does its own template write the same prompts,
does its tokenizer give the same ids, and how far are its next-token distributions from those of the trained model along
the trained model's own answers. What a quantization costs on held-out rows is measured on the file's own weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tunesmith.finding import Finding
from tunesmith.models.gguf.runtime import Likely, Runtime
from tunesmith.text.conversation import Conversation, Message
from tunesmith.text.rows import RowError
from tunesmith.text.template import ChatTemplate
from tunesmith.text.tokenizer import CutText, Tokenizer

PROBED = 100
"""Candidates that are compared at each position; the rest of the distribution counts as one."""

_TIE = 0.05  # nats between the two likeliest tokens: closer than that, rounding decides
_EXACT_KL, _CLOSE_KL, _FAR_KL = 0.01, 0.1, 0.5  # nats per token

_ASK = Message("user", "What is the capital of France?")
CONVERSATIONS = (
    Conversation((_ASK,)),
    Conversation((Message("system", "Answer in one short sentence."), Message("user", "Why is the sky blue?"))),
    Conversation((_ASK, Message("assistant", "Paris."), Message("user", "And of Italy?"))),
    Conversation((Message("user", "请用一句话介绍一下你自己。"),)),
    Conversation((Message("user", '  Complete: "{{ name }}" and {"key": [1, 2]} 🙂\n\n'),)),
)
"""Without and with a system message, several turns, Chinese, quotes, braces, spaces at the ends."""


@dataclass(frozen=True, slots=True)
class Case:
    """One conversation as the trained model sees and continues it.

    prompt: its text. ids: of the prompt. answer: the likeliest tokens, one after the other. logprobs: float32
    [len(answer), V], the model's own at each of them.
    """

    conversation: Conversation
    prompt: str
    ids: tuple[int, ...]
    answer: tuple[int, ...]
    logprobs: Tensor


@dataclass(frozen=True, slots=True)
class Quality:
    """How one file compares. prompts, ids: how many of `cases` are equal; agreement: share of positions with the same
    likeliest token, near ties left out; divergence: Kullback-Leibler from the trained model, nats per token; loss,
    reference_loss: on held-out rows, nats per token, None where there are none."""

    file: Path
    kind: str
    size: int
    cases: int
    prompts: int
    ids: int
    agreement: float
    divergence: float
    loss: float | None = None
    reference_loss: float | None = None

    @property
    def exact(self) -> bool:
        """Whether nothing was quantized, so that only rounding may differ."""
        return self.kind.lower() in ("f32", "f16", "bf16")

    @property
    def verdict(self) -> Finding:
        """In one plain line."""
        status, words, fix = self._judged()
        agreement, divergence = f"{self.agreement:.0%}", f"{self.divergence:.4f}"
        detail = f"{words} ({agreement} same next token, KL {divergence})"
        if self.loss is not None and self.reference_loss is not None:
            before, after = f"{self.reference_loss:.3f}", f"{self.loss:.3f}"
            detail = f"{words} ({agreement} same next token, KL {divergence}, loss {before} → {after})"
        return Finding(status, self.file.name, detail, fix)

    def _judged(self) -> tuple[Literal["pass", "warn", "fail"], str, str]:
        if self.prompts < self.cases:
            wrong = self.cases - self.prompts
            return "fail", f"{wrong} of {self.cases} prompts are written differently", "Report this."
        if self.ids < self.cases:
            return "fail", f"{self.cases - self.ids} of {self.cases} prompts have other tokens", "Set gguf_pre."
        if self.exact and (self.divergence > _EXACT_KL or self.agreement < 1):
            return "fail", "the same prompts, but other answers", "Report this: nothing was quantized."
        if self.divergence > _FAR_KL:
            return "fail", "answers are far from the trained model's", "Take more bits: q5_k_m, q6_k or q8_0."
        if self.divergence > _CLOSE_KL:
            return "warn", "answers differ noticeably", "Take more bits: q5_k_m, q6_k or q8_0."
        return "pass", "answers as the trained model does" if self.exact else "answers closely as trained", ""


@torch.inference_mode()
def ask_trained(
    model: Any, tokenizer: Tokenizer, template: ChatTemplate, *, thinking: bool | None, ends: Sequence[int],
    length: int = 16, conversations: Sequence[Conversation] = CONVERSATIONS,
) -> list[Case]:  # fmt: skip
    """What the trained model makes of the conversations; those that its template can't write are left out.

    ends: ids that end an answer. length: most tokens of an answer.
    """
    cases = []
    for conversation in conversations:
        try:
            rendered = template.render(conversation, generation_prompt=True, thinking=thinking)
        except RowError:
            continue
        ids, _ = tokenizer.encode_cut([CutText(rendered.text, (), rendered.literals)])
        answer, rows = _greedy(model, ids.tolist(), length, frozenset(ends))
        cases.append(Case(conversation, rendered.text, tuple(ids.tolist()), tuple(answer), torch.stack(rows)))
    return cases


def _greedy(model: Any, prompt: list[int], length: int, ends: frozenset[int]) -> tuple[list[int], list[Tensor]]:
    answer: list[int] = []
    rows: list[Tensor] = []
    for _ in range(length):  # without a cache: a few short passes, and its name changes between releases
        out = model(input_ids=torch.tensor([[*prompt, *answer]], device=model.device), use_cache=False)
        rows.append(out.logits[0, -1].float().log_softmax(dim=-1).cpu())
        answer.append(int(rows[-1].argmax()))
        if answer[-1] in ends:
            break
    return answer, rows


@torch.inference_mode()
def held_out_loss(model: Any, rows: Sequence[tuple[np.ndarray, np.ndarray]]) -> float | None:
    """Mean loss of the trained tokens, nats. rows: int32 ids [T] and float32 weights [T], on the token itself."""
    total = count = 0.0
    for ids, weights in rows:
        tokens = torch.from_numpy(ids.astype(np.int64)).to(model.device)
        kept = torch.from_numpy(weights.astype(np.float32)).to(model.device)[1:]
        logits = model(input_ids=tokens[None], use_cache=False).logits[0, :-1].float()
        losses = torch.nn.functional.cross_entropy(logits, tokens[1:], reduction="none")
        total, count = total + float((losses * kept).sum()), count + float(kept.sum())
    return total / count if count else None


def compare(
    runtime: Runtime, cases: Sequence[Case], *, bos: str, thinking: bool | None
) -> tuple[int, int, float, float]:
    """(prompts equal, ids equal, agreement, divergence) of a running file.

    bos: llama.cpp writes it before the tokens and not into the prompt, so that one at the start is passed over.
    """
    prompts = ids = 0
    same: list[bool] = []
    divergences: list[float] = []
    for case in cases:
        shown = _render(runtime, case.conversation, thinking).removeprefix(bos)
        prompts += shown == case.prompt.removeprefix(bos)
        ids += tuple(runtime.tokenize(case.prompt)) == case.ids
        for at, row in enumerate(case.logprobs):
            theirs = runtime.next_tokens([*case.ids, *case.answer[:at]], PROBED)
            first, second = row.topk(2).values.tolist()
            if first - second > _TIE:
                same.append(theirs[0].token == int(row.argmax()))
            divergences.append(divergence(row, theirs))
    return prompts, ids, float(np.mean(same)) if same else 1.0, float(np.mean(divergences)) if divergences else 0.0


def divergence(ours: Tensor, theirs: Sequence[Likely]) -> float:
    """KL(ours ‖ theirs) in nats over their candidates, all other tokens taken together. ours: log p, float32 [V]."""
    tokens = [each.token for each in theirs if each.token < len(ours)]
    p = ours[tokens].double()
    q = torch.tensor([each.logprob for each in theirs if each.token < len(ours)], dtype=torch.float64)
    total = float((p.exp() * (p - q)).sum())
    rest, other = (max(1e-9, 1.0 - float(each.exp().sum())) for each in (p, q))
    return max(0.0, total + rest * math.log(rest / other))


@torch.inference_mode()
def compare_model(model: Any, cases: Sequence[Case]) -> tuple[float, float]:
    """(agreement, divergence) of another model in memory, asked for the same tokens."""
    same: list[bool] = []
    divergences: list[float] = []
    for case in cases:
        ids = torch.tensor([[*case.ids, *case.answer[:-1]]], device=model.device)
        logits = model(input_ids=ids, use_cache=False).logits[0, len(case.ids) - 1 :]
        theirs = logits.float().log_softmax(dim=-1).cpu()
        first = case.logprobs.topk(2, dim=-1)
        clear = (first.values[:, 0] - first.values[:, 1]) > _TIE
        same += (theirs.argmax(dim=-1) == first.indices[:, 0])[clear].tolist()
        divergences += (case.logprobs.exp() * (case.logprobs - theirs)).sum(dim=-1).clamp_min(0).tolist()
    return float(np.mean(same)) if same else 1.0, float(np.mean(divergences)) if divergences else 0.0


def _render(runtime: Runtime, conversation: Conversation, thinking: bool | None) -> str:
    messages = [{"role": message.role, "content": message.content} for message in conversation.messages]
    told = {} if thinking is None else {"chat_template_kwargs": {"enable_thinking": thinking}}
    return runtime.render(messages, **told)
