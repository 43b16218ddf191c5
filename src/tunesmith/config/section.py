"""What the sections of a job share: the base class and the limits their fields are annotated with."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, Lt

Count = Annotated[int, Ge(0)]
Positive = Annotated[int, Ge(1)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
"""A share of a whole, 0 … 1."""
Decay = Annotated[float, Ge(0), Lt(1)]
"""A factor of a moving average, 0 ≤ x < 1."""


class Section:
    """One part of a job: a frozen dataclass whose field names are the keys of a config file.

    The string below a field is its help. A field left out of `repr` (`field(repr=False)`) is a secret: it is never
    written to a file. A tuple field takes a list or a comma string; `null` for a field that can't be null means its
    default.
    """

    __slots__ = ()
    __pydantic_config__: ClassVar[dict[str, Any]] = {"coerce_numbers_to_str": True, "allow_inf_nan": False}
