"""How answers are drawn from the model in chat."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.config.section import Count, NonNegative, Positive, PositiveFloat, Section, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationConfig(Section):
    """How answers are drawn from the model in chat."""

    do_sample: bool = True
    """Draw tokens at random by their probability; `false` always takes the likeliest."""
    temperature: NonNegative = 0.95
    """Below 1 sharpens the choice, above 1 loosens it; 0 always takes the likeliest."""
    top_p: Share = 0.7
    """Draw from the likeliest tokens that together reach this probability."""
    top_k: Count = 50
    """Draw from so many likeliest tokens; 0 from all."""
    max_new_tokens: Positive = 1024
    """Longest answer in tokens."""
    repetition_penalty: PositiveFloat = 1.0
    """Above 1 makes tokens that came before less likely."""
    skip_special_tokens: bool = True
    """Leave control tokens out of the text shown."""
