"""Data that lies elsewhere: Hugging Face's hub, ModelScope, cloud storage. Everything becomes local files first."""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tunesmith.errors import UserError, code_of

if TYPE_CHECKING:
    from tunesmith.data.entry import DatasetEntry

SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".arrow", ".txt", ".xlsx")
_SPLITS = ("train", "test", "validation", "valid", "val", "dev", "eval")
_NOT_DATA = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "requirements.txt"}


def fetch(entry: DatasetEntry, cache_dir: Path) -> list[Path]:
    """The local files of a data set that is not a local one."""
    if entry.hub_repo is not None:
        return [download_file(entry.hub_repo, entry.location, field="dataset")]
    if entry.place == "cloud":
        return [_cloud_file(entry.location, cache_dir)]
    if entry.place == "modelscope":
        return [_modelscope(entry, cache_dir)]
    return _hub(entry, cache_dir)


def download_file(repo: str, path: str, *, field: str) -> Path:
    """One file of a data set repository on the hub."""
    from huggingface_hub import hf_hub_download

    try:
        with _quiet():
            return Path(hf_hub_download(repo_id=repo, filename=path, repo_type="dataset"))
    except Exception as error:
        raise _unreachable(repo, error, field) from error


def _hub(entry: DatasetEntry, cache_dir: Path) -> list[Path]:
    """The files themselves where it is plain which are meant; what needs a loader goes through `datasets`."""
    from huggingface_hub import list_repo_files

    repo = entry.location
    try:
        with _quiet():
            listed = list_repo_files(repo, repo_type="dataset")
    except Exception as error:
        raise _unreachable(repo, error, "dataset") from error
    files = choose_files(listed, split=entry.split, subset=entry.subset, folder=entry.folder)
    if files:
        return [download_file(repo, name, field="dataset") for name in files]
    datasets = _optional("datasets", "hub-datasets", f"Which files of {repo} make up its split {entry.split!r}")
    try:
        with _quiet():
            rows = datasets.load_dataset(repo, entry.subset, data_dir=entry.folder, split=entry.split)
    except Exception as error:
        raise _unreachable(repo, error, "dataset") from error
    return [_as_parquet(rows, entry, cache_dir)]


def choose_files(names: Sequence[str], *, split: str, subset: str | None, folder: str | None) -> list[str]:
    """The data files of one split of a repository, by their paths; empty where that is not plain from the names."""
    paths = [PurePosixPath(name) for name in names]
    data = [path for path in paths if path.suffix.lower() in SUFFIXES and path.name not in _NOT_DATA]
    if folder:
        data = [path for path in data if PurePosixPath(folder) in path.parents]
    if subset and subset != "default":
        data = [path for path in data if subset in path.parts or re.match(rf"{re.escape(subset)}\b", path.name)]
    named = {path: {word for word in re.split(r"[^a-z0-9]+", str(path).lower()) if word in _SPLITS} for path in data}
    if any(named.values()):
        data = [path for path in data if split in named[path]]
    elif split != "train":
        return []
    if len({path.suffix.lower() for path in data}) != 1:
        return []
    return sorted(map(str, data))


def _modelscope(entry: DatasetEntry, cache_dir: Path) -> Path:
    modelscope = _optional("modelscope.msdatasets", "modelscope", f"The data set {entry.location} lies on ModelScope")
    try:
        rows = modelscope.MsDataset.load(
            entry.location, subset_name=entry.subset, data_dir=entry.folder, split=entry.split
        )
    except Exception as error:
        raise _unreachable(entry.location, error, "dataset") from error
    return _as_parquet(rows.to_hf_dataset() if hasattr(rows, "to_hf_dataset") else rows, entry, cache_dir)


def _as_parquet(rows: Any, entry: DatasetEntry, cache_dir: Path) -> Path:
    name = re.sub(r"[^\w.-]+", "--", f"{entry.location} {entry.subset or 'default'} {entry.split}")
    path = cache_dir / "downloads" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    rows.to_parquet(str(partial))
    os.replace(partial, path)
    return path


def _cloud_file(uri: str, cache_dir: Path) -> Path:
    """A copy of s3://… or gs://…, fetched anew each time: what lies there may have changed."""
    from pyarrow import fs

    path = cache_dir / "downloads" / re.sub(r"[^\w.-]+", "--", uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        system, inner = fs.FileSystem.from_uri(uri)
        with system.open_input_stream(inner) as source, partial.open("wb") as target:
            while block := source.read(1 << 20):
                target.write(block)
    except Exception as error:
        partial.unlink(missing_ok=True)
        raise _unreachable(uri, error, "dataset") from error
    os.replace(partial, path)
    return path


def _optional(module: str, extra: str, why: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        name = module.split(".")[0]
        raise UserError(
            f"{why}, and the package {name!r} that can tell is not installed.",
            hint=f"pip install 'tunesmith[{extra}]', or download the data and give the file's path.",
            field="dataset",
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the hub's own lines on each retry back: how it ends is told in one sentence."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _unreachable(what: str, error: Exception, field: str) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(
        f"Can't fetch the data set {what}: {type(error).__name__}: {reason}",
        hint="Check the name and the connection (HF_ENDPOINT sets a mirror, HF_TOKEN a login, hub_name: modelscope the"
        " other hub), or download the data and give the file's path.",
        field=field,
        code=code_of(error),
    )
