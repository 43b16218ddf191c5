"""Which data a name stands for: dataset_info.json in LLaMA-Factory's form, a hub repository, or simply a path."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tunesmith.config.data import DataConfig
from tunesmith.config.model import Hub, use_modelscope
from tunesmith.data.encoding import decode_file
from tunesmith.data.entry import INFO, DatasetEntry, Place
from tunesmith.errors import UserError, did_you_mean
from tunesmith.text.formats import FORMATS, Columns, Tags

T = TypeVar("T", Columns, Tags)

_KEYS = {
    "file_name": str,
    "hf_hub_url": str,
    "ms_hub_url": str,
    "om_hub_url": str,
    "script_url": str,
    "cloud_file_name": str,
    "subset": str,
    "split": str,
    "folder": str,
    "num_samples": int,
    "formatting": str,
    "ranking": bool,
    "columns": dict,
    "tags": dict,
    "file_sha1": str,  # obsolete upstream, without effect
}


class Catalog:
    """The data sets that a dataset_info.json names. hub: which of the two that an entry may name is taken."""

    def __init__(
        self, where: str, info: Mapping[str, Any], folder: Path | None, hub_repo: str | None = None, hub: Hub = "auto"
    ) -> None:
        self.where = where
        self._hub = hub
        self._info = info
        self._folder = folder
        self._hub_repo = hub_repo

    @classmethod
    def load(cls, dataset_dir: str | Path, *, hub: Hub = "auto") -> Catalog:
        """From a folder that may hold a dataset_info.json, the path of such a file, or `REMOTE:owner/repo`."""
        text = str(dataset_dir)
        if text.startswith("REMOTE:"):
            from tunesmith.data.hub import download_file

            repo = text.removeprefix("REMOTE:")
            path = download_file(repo, INFO, field="dataset_dir")
            return cls(f"{INFO} of {repo}", _read_info(path), None, hub_repo=repo, hub=hub)
        path = Path(dataset_dir)
        if path.suffix == ".json":
            if not path.is_file():
                raise UserError(f"There is no file {path} (looked in {path.absolute().parent}).", field="dataset_dir")
            return cls(str(path), _read_info(path), path.parent, hub=hub)
        info = path / INFO
        return cls(str(info), _read_info(info) if info.is_file() else {}, path, hub=hub)

    def names(self) -> list[str]:
        return sorted(self._info)

    def ordered(self) -> list[str]:
        """Names in the order of the file."""
        return list(self._info)

    def raw(self, name: str) -> Mapping[str, Any]:
        """The entry in the file's own words; empty where there is none."""
        entry = self._info.get(name)
        return entry if isinstance(entry, dict) else {}

    def __contains__(self, name: str) -> bool:
        return name in self._info

    def entry(self, name: str) -> DatasetEntry:
        """The data set called name; UserError naming the entry and key when it is not well-formed."""
        raw = self._info[name]
        if not isinstance(raw, dict):
            raise UserError(f"{self.where}: entry {name!r} is not an object with keys.", field="dataset_dir")
        notes = _check_keys(f"{self.where}: entry {name!r}", raw, _KEYS)
        columns = _named(Columns, raw.get("columns"), f"{self.where}: entry {name!r}, columns")
        tags = _named(Tags, raw.get("tags"), f"{self.where}: entry {name!r}, tags")
        formatting = raw.get("formatting")
        if formatting is not None:
            FORMATS.get(formatting, field="dataset_dir")
        place, location, hub_repo = self._place(name, raw)
        return DatasetEntry(
            name=name,
            place=place,
            location=location,
            hub_repo=hub_repo,
            subset=raw.get("subset"),
            split=raw.get("split") or "train",
            folder=raw.get("folder"),
            num_samples=raw.get("num_samples"),
            formatting=formatting,
            ranking=bool(raw.get("ranking")),
            columns=columns,
            columns_given=bool(raw.get("columns")),
            tags=tags,
            notes=notes,
        )

    def _place(self, name: str, raw: Mapping[str, Any]) -> tuple[Place, str, str | None]:
        """Where the rows lie, by upstream's order: the hub that is switched on, a cloud file, a local file."""
        if raw.get("ms_hub_url") and (use_modelscope(self._hub) or not raw.get("hf_hub_url")):
            return "modelscope", raw["ms_hub_url"], None
        if raw.get("hf_hub_url"):
            return "hub", raw["hf_hub_url"], None
        if raw.get("script_url"):
            raise UserError(
                f"Data set {name!r} is a loading script ({raw['script_url']}), which would run code from elsewhere.",
                hint="Save its rows as jsonl or parquet and name that file as `file_name`.",
                field="dataset",
            )
        if raw.get("cloud_file_name"):
            return "cloud", raw["cloud_file_name"], None
        if raw.get("file_name"):
            if self._hub_repo is not None:
                return "file", raw["file_name"], self._hub_repo
            assert self._folder is not None
            return "file", str(self._folder / raw["file_name"]), None
        if raw.get("om_hub_url"):
            raise UserError(
                f"Data set {name!r} lies on the openMind hub alone, which is not supported.",
                hint="Give it a `hf_hub_url`, a `ms_hub_url` or a `file_name`.",
                field="dataset",
            )
        raise UserError(
            f"{self.where}: entry {name!r} does not say where its data is.",
            hint="Give it a `file_name`, `hf_hub_url`, `ms_hub_url` or `cloud_file_name`.",
            field="dataset_dir",
        )


def resolve(
    names: str | Sequence[str] | None, dataset_dir: str | Path, *, key: str = "dataset", hub: Hub = "auto"
) -> list[DatasetEntry]:
    """The data sets meant by a comma list or a list of names and paths; UserError for one that is not to be found."""
    if isinstance(names, str):
        is_path = Path(names).exists() or (Path(dataset_dir) / names).exists()
        names = [names] if "," in names and is_path else names.split(",")
    asked = list(names or ())
    asked = [name.strip() for name in asked if name.strip()]
    if str(dataset_dir) == "ONLINE":
        return [_online(name, hub) for name in asked]
    catalog = Catalog.load(dataset_dir, hub=hub)
    return [_resolve_one(name, catalog, Path(dataset_dir), key, alone=len(asked) == 1) for name in asked]


def missing_data(data: DataConfig, hub: Hub) -> UserError | None:
    """What is wrong with the names of a job's data sets, as far as it can be told without reading or fetching them."""
    if data.dataset_dir.startswith("REMOTE:"):  # that list lies on a hub
        return None
    try:
        if data.tokenized_path and _is_tokenized(Path(data.tokenized_path)):
            return None
        resolve(data.dataset, data.dataset_dir, hub=hub)
        resolve(data.eval_dataset, data.dataset_dir, key="eval_dataset", hub=hub)
    except UserError as error:
        return error
    return None


def _is_tokenized(folder: Path) -> bool:
    """Whether the data is there already as tokens, which are used as they are."""
    from tunesmith.data.saved import is_saved

    return is_saved(folder)


def _resolve_one(name: str, catalog: Catalog, folder: Path, key: str, *, alone: bool) -> DatasetEntry:
    if name in catalog:
        entry = catalog.entry(name)
        if entry.place == "file" and entry.hub_repo is None and not Path(entry.location).exists():
            raise UserError(
                f"Data set {name!r} should lie at {Path(entry.location).absolute()}, and there is nothing there.",
                hint=f"Correct its `file_name` in {catalog.where} (it counts from that file's folder).",
                field=key,
            )
        return entry
    for path in (Path(name), folder / name):
        if path.exists():
            return DatasetEntry(name=name, place="file", location=str(path))
    looks_like_path = any(mark in name for mark in "/\\") or bool(Path(name).suffix)
    looked = f"{Path(name).absolute()} and {(folder / name).absolute()}" if looks_like_path else catalog.where
    known = catalog.names()
    hint = did_you_mean(name, known) or _file_like(Path(name)) or (f"Known names: {', '.join(known)}." if known else "")
    if looks_like_path and not alone:
        hint = f'{hint} A path with a comma in it is given as a list: {key}: ["{name}, …"].'.lstrip()
    raise UserError(
        f"There is no data set or file called {name!r} (looked in {looked}).",
        hint=hint or f"Give a file's path, or the folder of your {INFO} as `dataset_dir`.",
        field=key,
    )


def _file_like(path: Path) -> str:
    """The files beside a missing one that are named like it, as a question."""
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    return did_you_mean(path.name, beside, lambda name: str(path.parent / name))


def _online(name: str, hub: Hub) -> DatasetEntry:
    return DatasetEntry(name=name, place="modelscope" if use_modelscope(hub) else "hub", location=name)


def _read_info(path: Path) -> dict[str, Any]:
    text, _ = decode_file(path)
    try:
        info = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path} is damaged at line {error.lineno}, column {error.colno}: {error.msg}.",
            hint="Often a comma too many or too few, or a quote that is missing.",
            field="dataset_dir",
        ) from None
    if not isinstance(info, dict):
        raise UserError(f"{path} holds a list; expected an object: name → entry.", field="dataset_dir")
    return info


def _check_keys(where: str, raw: Mapping[str, Any], known: Mapping[str, type]) -> tuple[str, ...]:
    """Notes on unknown keys; UserError for a known one of a wrong type."""
    notes = []
    for key, value in raw.items():
        if key not in known:
            notes.append(f"{where}: unknown key {key!r} is without effect. {did_you_mean(key, known)}".rstrip())
        elif value is not None and (not isinstance(value, known[key]) or (known[key] is int and value is True)):
            raise UserError(f"{where}: {key!r} is {value!r}, expected {known[key].__name__}.", field="dataset_dir")
    if (count := raw.get("num_samples")) is not None and count < 1:
        raise UserError(f"{where}: 'num_samples' is {count}, expected 1 or more.", field="dataset_dir")
    return tuple(notes)


def _named(kind: type[T], raw: Mapping[str, Any] | None, where: str) -> T:
    """Columns or Tags with what the entry names; what it does not name keeps its usual value, null switches off."""
    known = [one.name for one in dataclasses.fields(kind)]
    for key, value in (raw or {}).items():
        if key not in known:
            hint = did_you_mean(key, known) or f"Known: {', '.join(known)}."
            raise UserError(f"{where}: unknown key {key!r}.", hint=hint, field="dataset_dir")
        if value is not None and not isinstance(value, str):
            raise UserError(f"{where}: {key!r} is {value!r}, expected a column's name.", field="dataset_dir")
    return kind(**(raw or {}))
