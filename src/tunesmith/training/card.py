"""The model card: what was trained, on what, how, and how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Lineage:
    """base: hub id or folder. method: lora, freeze or full. datasets: names. settings: the keys that differ from their
    defaults. results: name → value. versions: package → version. sample: one question and the answer."""

    base: str
    method: str
    stage: str
    datasets: Sequence[str]
    rows: int
    trained_tokens: int
    settings: Mapping[str, Any]
    results: Mapping[str, float]
    versions: Mapping[str, str]


def model_card(name: str, lineage: Lineage) -> str:
    """README.md in the hub's form: YAML front matter, then prose and tables."""
    library = "peft" if lineage.method == "lora" else "transformers"
    front = [
        "---",
        f"base_model: {_quoted(lineage.base)}",
        f"library_name: {library}",
        "pipeline_tag: text-generation",
        "tags:",
        *(f"- {tag}" for tag in ("tunesmith", lineage.method, lineage.stage)),
        "---",
    ]
    body = [
        f"# {name}",
        "",
        f"`{lineage.base}` trained further with Tunesmith: {lineage.method}, stage {lineage.stage}, "
        f"{lineage.rows:,} rows ({lineage.trained_tokens:,} tokens that carried a loss) of "
        f"{', '.join(lineage.datasets) or 'no data'}.",
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
