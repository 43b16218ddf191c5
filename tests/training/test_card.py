"""The model card: what the hub reads at its head, and what a person reads first."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from tunesmith.training.card import Lineage, model_card

LORA = Lineage(
    base="Qwen3-0.6B",
    repository="Qwen/Qwen3-0.6B",
    method="lora",
    stage="sft",
    from_scratch=False,
    datasets=["mine.jsonl"],
    rows=1200,
    trained_tokens=34567,
    settings={"learning_rate": 1e-4},
    results={"train_loss": 0.5},
    versions={"tunesmith": "0.1.0"},
)


@pytest.mark.parametrize(
    ("lineage", "base", "library", "title"),
    [
        (LORA, "Qwen/Qwen3-0.6B", "peft", "mine: Qwen3-0.6B fine-tuned with LoRA"),
        (replace(LORA, method="full"), "Qwen/Qwen3-0.6B", "transformers", "mine: Qwen3-0.6B fine-tuned"),
        (replace(LORA, stage="pt"), "Qwen/Qwen3-0.6B", "peft", "mine: Qwen3-0.6B further pre-trained with LoRA"),
        (replace(LORA, repository=None), None, "peft", "mine: Qwen3-0.6B fine-tuned with LoRA"),
        (replace(LORA, from_scratch=True), None, "peft", "mine: Qwen3-0.6B trained from scratch with LoRA"),
    ],
)
def test_head_and_title(lineage: Lineage, base: str | None, library: str, title: str) -> None:
    _, head, text = model_card("mine", lineage).split("---\n", 2)
    facts = yaml.safe_load(head)
    assert facts.get("base_model") == base and facts["library_name"] == library
    assert facts["tags"] == ["tunesmith", lineage.method, lineage.stage] and "license" not in facts
    assert text.strip().splitlines()[0] == f"# {title}"
    assert "1,200 rows of mine.jsonl; 34,567 tokens" in text and "| learning_rate | 0.0001 |" in text
