"""One data set as a dataset_info.json names it: what everything that reads rows is handed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tunesmith.text.formats import Columns, Tags

INFO = "dataset_info.json"
Place = Literal["file", "hub", "modelscope", "cloud"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetEntry:
    """One data set: where it lies and how its rows are to be read.

    place, location: a path for `file`, a repository for `hub` and `modelscope`, a URI for `cloud`.
    hub_repo: set where a `file` lies in the hub repository that its dataset_info.json came from.
    formatting: None lets the first rows tell. columns_given: whether the entry names columns of its own.
    """

    name: str
    place: Place
    location: str
    hub_repo: str | None = None
    subset: str | None = None
    split: str = "train"
    folder: str | None = None
    num_samples: int | None = None
    formatting: str | None = None
    ranking: bool = False
    columns: Columns = field(default_factory=Columns)
    columns_given: bool = False
    tags: Tags = field(default_factory=Tags)
    notes: tuple[str, ...] = ()

    @property
    def preference(self) -> str | None:
        """The stage that this data is for, where it is not meant for pt or sft."""
        if self.columns.kto_tag is not None:
            return "kto"
        if self.ranking or self.columns.chosen is not None or self.columns.rejected is not None:
            return "dpo"
        return None
