"""The model card: what was trained, on what, how, and how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DONE = {"sft": "fine-tuned", "pt": "further pre-trained"}


@dataclass(frozen=True, slots=True)
class Lineage:
    """base: what the model is called. repository: its hub id, where it came from a hub. method: lora, freeze or full.
    from_scratch: whether training began at random weights. datasets: names. settings: the keys that differ from their
    defaults. results: name → value. versions: package → version."""

    base: str
    repository: str | None
    method: str
    stage: str
    from_scratch: bool
    datasets: Sequence[str]
    rows: int
    trained_tokens: int
    settings: Mapping[str, Any]
    results: Mapping[str, float]
    versions: Mapping[str, str]


def model_card(name: str, lineage: Lineage) -> str:
    """README.md in the hub's form: YAML front matter, then prose and tables.

    The hub refuses a base_model that is not one of its ids, so that a base of this machine is named in the text alone.
    """
    lora = lineage.method == "lora"
    done = "trained from scratch" if lineage.from_scratch else _DONE[lineage.stage]
    done += " with LoRA" if lora else ""
    base_on_hub = None if lineage.from_scratch else lineage.repository
    front = [
        "---",
        *([f"base_model: {_quoted(base_on_hub)}"] if base_on_hub else []),
        f"library_name: {'peft' if lora else 'transformers'}",
        "pipeline_tag: text-generation",
        "tags:",
        *(f"- {tag}" for tag in ("tunesmith", lineage.method, lineage.stage)),
        "---",
    ]
    body = [
        f"# {name}: {lineage.base} {done}",
        "",
        f"`{lineage.repository or lineage.base}`, {done} by Tunesmith on {lineage.rows:,} rows of "
        f"{', '.join(lineage.datasets) or 'no data'}; {lineage.trained_tokens:,} tokens carried a loss.",
        "",
        "## Results",
        "",
        *_table("value", {key: f"{value:.4g}" for key, value in lineage.results.items()}),
        "",
        "## Settings",
        "",
        *_table("setting", lineage.settings),
        "",
        "## Made with",
        "",
        *_table("version", lineage.versions),
        "",
    ]
    return "\n".join([*front, "", *body])


def _table(title: str, values: Mapping[str, Any]) -> list[str]:
    rows = [f"| {key} | {str(value).replace('|', chr(92) + '|')} |" for key, value in values.items()]
    return [f"| name | {title} |", "|---|---|", *rows] if rows else ["(none)"]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
