"""The score primitive on real architectures: rows end to end score as each row alone by transformers' own forward."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from tunesmith.batch import Batch
from tunesmith.models import attention
from tunesmith.models.score import Scorer, check_layout

ARCHITECTURES = ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3"]
LENGTHS = (9, 1, 5, 30)


def tiny(architecture: str, window: int = 8) -> PreTrainedModel:
    """A random model of two layers; sliding windows are shorter than the longest row."""
    from transformers import CONFIG_MAPPING

    settings = {
        "vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 96, "head_dim": 16, "sliding_window": window, "pad_token_id": 0,
        "query_pre_attn_scalar": 16,
    }  # fmt: skip
    config = CONFIG_MAPPING[architecture](**settings)
    if hasattr(config, "layer_types") and architecture in ("gemma2", "gemma3_text"):
        config.layer_types = ["sliding_attention", "full_attention"]
    torch.manual_seed(0)
    attention.register()
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention.ATTENTION_NAME).eval()


def batch_of(rows: list[torch.Tensor], prompt: int = 2) -> Batch:
    """Rows end to end; the first `prompt` targets of each row carry no weight."""
    weights, targets, positions, borders = [], [], [], [0]
    for row in rows:
        w = torch.ones(len(row))
        w[:prompt] = 0
        w[-1] = 0
        weights.append(w)
        targets.append(torch.cat([row[1:], row.new_zeros(1)]))
        positions.append(torch.arange(len(row)))
        borders.append(borders[-1] + len(row))
    flat = [torch.cat(parts) for parts in (rows, targets, weights, positions)]
    return Batch(*flat, cu_seqlens=torch.tensor(borders, dtype=torch.int32))


def alone(model: PreTrainedModel, rows: list[torch.Tensor], prompt: int = 2) -> torch.Tensor:
    model.set_attn_implementation("eager")
    scores = []
    for row in rows:
        logits = model(input_ids=row[None], use_cache=False).logits[0, :-1]
        scores.append(logits.float().log_softmax(-1).gather(1, row[1:, None])[prompt:, 0])
    model.set_attn_implementation(attention.ATTENTION_NAME)
    return torch.cat(scores)


@pytest.mark.parametrize("layout", ["packed", "padded"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_and_gradients_equal_each_row_alone(architecture: str, layout: str) -> None:
    model = tiny(architecture)
    rows = [torch.randint(1, 300, (length,)) for length in LENGTHS]

    scores = Scorer(model, layout)(batch_of(rows))
    (scores.logprobs * scores.weights).sum().backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    expected = alone(model, rows)
    expected.sum().backward()

    torch.testing.assert_close(scores.logprobs, expected, rtol=1e-4, atol=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-3, atol=1e-4, msg=name)
    counts = [max(length - 3, 0) for length in LENGTHS]
    assert scores.rows.tolist() == [row for row, count in enumerate(counts) for _ in range(count)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_probe_takes_packed_rows_where_they_are_right(architecture: str) -> None:
    assert check_layout(tiny(architecture), 300) == ("packed", None)


def test_probe_falls_back_to_padding_where_rows_leak_into_each_other() -> None:
    model = tiny("llama")
    for layer in model.model.layers:  # a model whose attention ignores the row borders
        forward = layer.self_attn.forward
        layer.self_attn.forward = lambda *a, _f=forward, **k: _f(*a, **{**k, "cu_seq_lens_q": None})
    layout, reason = check_layout(model, 300)
    assert layout == "padded"
    assert reason and "padded" in reason


@pytest.mark.parametrize(("window", "layout"), [(40, "padded"), (601, "packed")])
def test_probe_reaches_beyond_a_window_that_is_not_too_long(window: int, layout: str) -> None:
    model = tiny("mistral", window)
    for layer in model.model.layers:  # a model whose window is lost on rows that are end to end
        attend = layer.self_attn
        attend.forward = lambda *a, _f=attend.forward, _m=attend, **k: _without_window(_f, _m, *a, **k)
        attend.v_proj.weight.data *= 30  # attention counts
        attend.o_proj.weight.data *= 30
    assert check_layout(model, 300)[0] == layout


def _without_window(forward: Callable[..., Any], module: Any, *arguments: Any, **options: Any) -> Any:
    window = module.config.sliding_window
    if options.get("cu_seq_lens_q") is not None:
        module.config.sliding_window = None
    try:
        return forward(*arguments, **options)
    finally:
        module.config.sliding_window = window


def test_probe_leaves_the_model_as_it_was() -> None:
    model = tiny("qwen3").train()
    check_layout(model, 300)
    assert model.training
    assert model.config._attn_implementation == attention.ATTENTION_NAME


def test_score_under_lora_matches_the_adapted_models_own_forward(tiny_model_dir: Callable[..., Path]) -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(tiny("llama"), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)).eval()
    rows = [torch.randint(1, 300, (length,)) for length in LENGTHS]
    with torch.no_grad():
        tuned = Scorer(model)(batch_of(rows)).logprobs
        torch.testing.assert_close(tuned, alone(model.get_base_model(), rows), rtol=1e-4, atol=1e-5)
        with model.disable_adapter():
            assert not torch.allclose(Scorer(model)(batch_of(rows)).logprobs, tuned, atol=1e-3)
