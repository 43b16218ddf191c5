"""What preparing the data found: counts per data set, refusals, and everything a user should be told."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.data.examples import Refusal

_PLAIN = ("utf-8", "utf-8-sig", "ascii", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReport:
    """One data set. rows: read, refused ones included. tokens, trained, truncated: of the samples made of it.

    refusals: the first ones in full; reasons: all, by reason. placeholders: name → how often it was left unfilled.
    encodings: file → encoding, where it is a text file. seconds: spent reading and tokenizing, 0 from the cache.
    """

    name: str
    format: str
    rows: int
    samples: int
    refused: int
    reasons: Mapping[str, int]
    refusals: tuple[Refusal, ...]
    truncated: int
    tokens: int
    trained: int
    placeholders: Mapping[str, int]
    encodings: Mapping[str, str]
    notes: tuple[str, ...]
    seconds: float
    cached: bool = False

    def to_json(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], **changed: Any) -> DatasetReport:
        refusals = tuple(Refusal(*refusal) for refusal in values["refusals"])
        return cls(**{**values, "refusals": refusals, "notes": tuple(values["notes"]), **changed})

    def lines(self) -> list[str]:
        """What is worth saying, one sentence a line; the data set's counts come first."""
        share = f"{100 * self.trained / self.tokens:.0f} %" if self.tokens else "0 %"
        counts = f"{self.samples:,} samples, {self.tokens:,} tokens, {share} of them trained"
        lines = [f"{self.name}: {counts} ({self.format})."]
        lines += [f"{file} is read as {name.upper()}." for file, name in self.encodings.items() if name not in _PLAIN]
        if self.refused:
            most = "; ".join(f"{count:,} × {reason}" for reason, count in list(self.reasons.items())[:3])
            lines.append(f"{self.refused:,} of {self.rows:,} rows can't be used: {most} (first: {self.refusals[0]}).")
        if self.truncated:
            part = f"{100 * self.truncated / max(1, self.samples):.1f} %"
            lines.append(f"{self.truncated:,} samples ({part}) were longer than cutoff_len and have been shortened.")
        if self.placeholders:
            lines.append(unfilled(self.placeholders))
        return lines + list(self.notes)


def unfilled(placeholders: Mapping[str, int]) -> str:
    """The sentence on placeholders that nothing was given for; the most frequent are named. Name → how often."""
    left = ", ".join(f"{{{{{name}}}}} {count:,} ×" for name, count in list(placeholders.items())[:5])
    first = next(iter(placeholders))
    return f"Placeholders are left in the text: {left}; fill them with `placeholders: {{{first}: …}}`."


@dataclass(frozen=True, slots=True)
class DataReport:
    """All data sets of a job. train_samples, eval_samples: after mixing, splitting and packing of documents."""

    datasets: tuple[DatasetReport, ...]
    notes: tuple[str, ...] = ()
    train_samples: int = 0
    eval_samples: int = 0

    @property
    def refused(self) -> int:
        return sum(one.refused for one in self.datasets)

    @property
    def refusals(self) -> list[Refusal]:
        return [refusal for one in self.datasets for refusal in one.refusals]

    def lines(self) -> list[str]:
        return [line for one in self.datasets for line in one.lines()] + list(self.notes)

    def to_json(self) -> dict[str, Any]:
        return {
            "datasets": [one.to_json() for one in self.datasets],
            "notes": list(self.notes),
            "train_samples": self.train_samples,
            "eval_samples": self.eval_samples,
        }
