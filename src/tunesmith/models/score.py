"""The primitive every objective stands on: a batch → the log-probability of each trained target."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tunesmith.batch import Batch, Scores
from tunesmith.models.logprob import Shape, target_logprobs

Layout = Literal["packed", "padded"]

# A block of logits in fp32. On a CPU it should fit the cache: at 420 rows × 152k columns blocks of 8 MB take 0.9 times
# the time of all logits at once, and 8 MB instead of 128.
CPU_LOGIT_BYTES = 8 << 20
GPU_LOGIT_BYTES = 256 << 20

# The probe: lengths of its rows, how many targets at the end of each it compares, the longest window it goes beyond.
_PROBE_ROWS = (11, 7)
_PROBE_TARGETS = 10
_PROBE_WINDOW = 600


class Scorer(nn.Module):
    """`scorer(batch) -> Scores`. Wraps the (adapted) model so that data parallelism sees one module with one forward.

    layout "packed": the rows lie end to end, attention stays within each (models/attention.py). "padded": the rows are
    padded to the longest and masked, for architectures that do not honour borders.
    """

    def __init__(self, model: nn.Module, layout: Layout = "packed") -> None:
        super().__init__()
        self.model = model
        self.layout = layout

    def forward(self, batch: Batch) -> Scores:
        causal = causal_model(self.model)
        picked = batch.weights.nonzero()[:, 0]
        hidden = (_packed_hidden if self.layout == "packed" else _padded_hidden)(causal.get_decoder(), batch)[picked]
        logprobs, correct = _apply_head(causal, hidden, batch.targets[picked])
        rows = torch.searchsorted(batch.cu_seqlens[1:], picked, right=True)
        return Scores(logprobs, batch.weights[picked], rows, correct)


def causal_model(model: nn.Module) -> PreTrainedModel:
    """The transformers model inside a peft wrapper, or the model itself."""
    inner: Any = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
    return inner


def check_layout(model: nn.Module, vocabulary: int) -> tuple[Layout, str | None]:
    """Score two rows together and each alone through the model's own full forward; choose the layout that agrees.

    Returns the layout and, where it is not "packed", one sentence that says why. Packed rows are silently wrong on
    architectures that ignore positions or keep state across tokens, so no table is trusted: the actual model is asked.

    The first row reaches beyond the sliding window where that is at most 600 tokens. Not checked: longer windows and
    positions, the backward pass, and the kernels that rows of other lengths may take.
    """
    causal = causal_model(model)
    device = next(causal.parameters()).device
    generator = torch.Generator().manual_seed(0)
    first, second = _PROBE_ROWS
    lengths = (max(first, _window(causal) + _PROBE_TARGETS + 1), second)
    rows = [torch.randint(0, vocabulary, (length,), generator=generator) for length in lengths]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            expected = torch.cat([_reference(causal, row.to(device)) for row in rows])
            try:
                found = Scorer(model, "packed")(_probe_batch(rows).to(device)).logprobs
            except (NotImplementedError, TypeError, ValueError, RuntimeError) as error:
                return "padded", f"rows are padded: this model can't take them end to end ({error})"
    finally:
        model.train(training)
    # Half precision rounds each logit to about 2^-8 of itself; contamination across rows is two orders larger.
    tolerance = 2e-3 if expected.dtype == torch.float32 and next(causal.parameters()).dtype == torch.float32 else 0.15
    gap = float((found - expected).abs().mean())
    if gap <= tolerance:
        return "packed", None
    return "padded", f"rows are padded: end to end this model scores them differently (by {gap:.3f} nats a token)"


def _window(causal: PreTrainedModel) -> int:
    """The sliding window, 0 where there is none or going beyond it would cost too much."""
    window = getattr(causal.config.get_text_config(), "sliding_window", None)
    if not isinstance(window, int) or window > _PROBE_WINDOW or not _takes_last_logits(causal):
        return 0
    return window


def _takes_last_logits(causal: PreTrainedModel) -> bool:
    return "logits_to_keep" in inspect.signature(causal.forward).parameters


def _reference(causal: PreTrainedModel, row: Tensor) -> Tensor:
    """log p of the last targets of one row by the model's own forward, float32."""
    count = min(_PROBE_TARGETS, len(row) - 1)
    last = {"logits_to_keep": count + 1} if _takes_last_logits(causal) else {}
    before = causal.config._attn_implementation
    causal.set_attn_implementation("eager")
    try:
        logits = causal(input_ids=row[None], use_cache=False, **last).logits[0, -count - 1 : -1].float()
    finally:
        causal.set_attn_implementation(before or "eager")
    return logits.log_softmax(dim=-1).gather(1, row[-count:, None])[:, 0]


def _probe_batch(rows: list[Tensor]) -> Batch:
    lengths = torch.tensor([len(row) for row in rows])
    ends = lengths.cumsum(0)
    weights = torch.cat([(torch.arange(len(row)) >= len(row) - 1 - _PROBE_TARGETS).float() for row in rows])
    weights[ends - 1] = 0
    flat = torch.cat(rows)
    return Batch(
        input_ids=flat,
        targets=torch.cat([flat[1:], flat.new_zeros(1)]),
        weights=weights,
        positions=torch.cat([torch.arange(len(row)) for row in rows]),
        cu_seqlens=torch.cat([lengths.new_zeros(1), ends]).to(torch.int32),
    )


def _packed_hidden(decoder: nn.Module, batch: Batch) -> Tensor:
    # use_cache and attention_mask must be off: with either, transformers takes packed rows for one long row.
    out = decoder(
        input_ids=batch.input_ids[None],
        position_ids=batch.positions[None],
        attention_mask=None,
        use_cache=False,
        cu_seq_lens_q=batch.cu_seqlens,
        cu_seq_lens_k=batch.cu_seqlens,
        max_length_q=(longest := int(batch.cu_seqlens.diff().max())),
        max_length_k=longest,
    )
    return out.last_hidden_state[0]


def _padded_hidden(decoder: nn.Module, batch: Batch) -> Tensor:
    lengths = batch.cu_seqlens.diff()
    mask = torch.arange(int(lengths.max()), device=lengths.device)[None] < lengths[:, None]
    ids = batch.input_ids.new_zeros(mask.shape).masked_scatter_(mask, batch.input_ids)
    out = decoder(input_ids=ids, attention_mask=mask.long(), use_cache=False)
    return out.last_hidden_state[mask]


def _apply_head(causal: PreTrainedModel, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    head = causal.get_output_embeddings()
    shape = logit_shape(causal.config)
    budget = GPU_LOGIT_BYTES if hidden.is_cuda else CPU_LOGIT_BYTES
    if type(head) is nn.Linear:
        return target_logprobs(hidden.to(head.weight.dtype), head.weight, head.bias, targets, shape, budget)
    # An adapted or quantized head is a module of its own kind: ask it, and pay for its logits.
    logits = head(hidden).float() * shape.scale
    if shape.softcap is not None:
        logits = torch.tanh(logits / shape.softcap) * shape.softcap
    return logits.log_softmax(dim=-1).gather(1, targets[:, None])[:, 0], logits.argmax(dim=-1) == targets


def logit_shape(config: Any) -> Shape:
    """Scale and soft cap between head and logits, by the names that transformers' configs give them."""
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    scale = 1.0
    if getattr(config, "logit_scale", None):  # Cohere
        scale *= config.logit_scale
    if getattr(config, "logits_scaling", None):  # Granite divides
        scale /= config.logits_scaling
    if getattr(config, "lm_head_multiplier", None):  # Falcon-H1
        scale *= config.lm_head_multiplier
    return Shape(scale, getattr(config, "final_logit_softcapping", None))
