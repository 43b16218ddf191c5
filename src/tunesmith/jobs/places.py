"""What a user calls a model (a config file, a run, a checkpoint, an adapter, a hub id) as configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith.config.load import load_job
from tunesmith.config.reading import SUFFIXES
from tunesmith.errors import UserError
from tunesmith.models.hub import looks_like_hub_id
from tunesmith.models.locate import missing_place
from tunesmith.runs.files import read_json
from tunesmith.runs.layout import RunLayout, is_run
from tunesmith.runs.read import find_run, runs_named

Configuration = tuple[list[Path], dict[str, Any]]
"""Config files, and the keys laid over them."""


def configuration_of(model: str, adapter: str | None = None) -> Configuration:
    """The resolved file of a run where there is one, keys otherwise. A run may be named as `place_of` takes it.

    UserError for a folder that does not exist, and for a run that has no weights yet.
    """
    if adapter is None and model.lower().endswith(SUFFIXES):
        return [Path(model)], {}
    model = place_of(model)
    if error := missing_place(model) or (adapter and missing_place(adapter, field="adapter_name_or_path")):
        raise error
    if adapter is not None:
        return [], {"model_name_or_path": model, "adapter_name_or_path": [adapter]}
    folder = Path(model).expanduser()
    home = next((place for place in (folder, folder.parent) if is_run(place)), None)
    if home is not None:
        return _of_run(folder, RunLayout(home))
    facts = read_json(folder / "adapter_config.json")
    if facts is None:
        return [], {"model_name_or_path": model}
    base = facts.get("base_model_name_or_path")
    if not base:
        raise UserError(f"{folder} is an adapter that does not name its base model.", hint="Give the base model too.")
    return [], {"model_name_or_path": base, "adapter_name_or_path": [str(folder)]}


def place_of(model: str) -> str:
    """The folder of the run that is called so (`last`, or the end of its folder's path); all else as it is.

    What is here by that name comes first, and `owner/name` is always the hub's. UserError for a name of several runs.
    """
    if Path(model).expanduser().exists() or (model.count("/") == 1 and looks_like_hub_id(model)):
        return model
    return str(find_run(model).path) if model == "last" or runs_named(model) else model


def _of_run(folder: Path, layout: RunLayout) -> Configuration:
    """folder: the run itself or one of its checkpoints; without weights of its own, the last checkpoint's are taken."""
    candidates = [folder] if folder != layout.root else [folder, *(last.path for last in layout.checkpoints()[-1:])]
    for place in candidates:
        if (place / "adapter_config.json").is_file():
            return [layout.resolved], {"adapter_name_or_path": [*_merged(layout), str(place)]}
        if (place / "config.json").is_file():
            return [layout.resolved], {"model_name_or_path": str(place), "adapter_name_or_path": None}
    raise UserError(
        f"The run {folder} has not saved a model yet.",
        hint=f"Wait for its first checkpoint: tunesmith runs show {layout.root}",
    )


def _merged(layout: RunLayout) -> list[str]:
    """The adapters that the run merged into its base before it trained: its own adapter stands on them."""
    adapter = load_job([layout.resolved], {}, verb="chat").job.adapter
    given = list(adapter.adapter_name_or_path)
    return given if adapter.create_new_adapter else given[:-1]
