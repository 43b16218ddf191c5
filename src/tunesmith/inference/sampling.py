"""The next token, from the scores of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tunesmith.config import GenerationConfig
from tunesmith.errors import UserError


def next_token(scores: Tensor, so_far: Sequence[int], settings: GenerationConfig, generator: torch.Generator) -> int:
    """scores: logits [V] of any float dtype and device. so_far: prompt and answer up to here. generator: on the CPU.

    The draw is made on the CPU in float32, so that one seed means the same on every device. UserError where the scores
    are no numbers.
    """
    scores = scores.detach().to("cpu", torch.float32)
    if scores.isnan().any():
        raise UserError(
            "The model gives no numbers (NaN), so there is no next token.",
            hint="Set infer_dtype: float32; if that doesn't help, its weights are damaged or training went wrong.",
            field="infer_dtype",
        )
    scores = _penalized(scores, so_far, settings.repetition_penalty)
    if not settings.do_sample or settings.temperature == 0:
        return int(scores.argmax())
    return _drawn(scores, settings, generator)


def _penalized(scores: Tensor, so_far: Sequence[int], penalty: float) -> Tensor:
    """Tokens that came before made less likely (Keskar et al. 2019, CTRL, section 4.1)."""
    if penalty == 1:
        return scores
    seen = torch.tensor(sorted(set(so_far)), dtype=torch.long)
    seen = seen[seen < len(scores)]
    before = scores[seen]
    return scores.index_copy(0, seen, torch.where(before < 0, before * penalty, before / penalty))


def _drawn(scores: Tensor, settings: GenerationConfig, generator: torch.Generator) -> int:
    """Drawn among the top_k likeliest, and of those among the fewest that reach top_p together."""
    count = min(settings.top_k or len(scores), len(scores))
    scaled = (scores - scores.max()) / settings.temperature  # the shift keeps a tiny temperature from overflowing
    best, ids = scaled.topk(count)
    shares = best.softmax(dim=0)
    kept = shares.cumsum(0) - shares < settings.top_p
    kept[0] = True
    return int(ids[torch.multinomial(shares * kept, 1, generator=generator)])
