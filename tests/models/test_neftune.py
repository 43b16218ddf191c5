"""Noise on the embeddings: of the right size, in training only, gone afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from tunesmith.models.neftune import embedding_noise

TinyModel = Callable[..., Path]


def test_noise_is_bounded_per_row_and_only_in_training(tiny_model_dir: TinyModel) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir())
    embeddings = model.get_input_embeddings()
    seen: list[torch.Tensor] = []
    ids = torch.arange(40)[None]
    clean = embeddings(ids).detach()

    def run(**borders: torch.Tensor) -> torch.Tensor:
        watch = embeddings.register_forward_hook(lambda _, __, output: seen.append(output.detach()))
        with torch.no_grad():
            model.get_decoder()(input_ids=ids, use_cache=False, **borders)
        watch.remove()
        return (seen.pop() - clean).abs().squeeze(0)

    model.train()
    with embedding_noise(model, 5.0):
        whole = run()
        rows = run(cu_seq_lens_q=torch.tensor([0, 4, 40], dtype=torch.int32))
        model.eval()
        assert run().max() == 0
        model.train()
    assert run().max() == 0
    for noise, length in [(whole, 40), (rows[:4], 4), (rows[4:], 36)]:
        bound = 5.0 / (length * 64) ** 0.5
        assert 0.95 * bound < float(noise.max()) <= bound * 1.0001
    with embedding_noise(model, None):
        assert run().max() == 0
