"""Uploading a registered data set to a hub: its file, a card, and a dataset_info.json that names it there too."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.authoring.catalog_file import CatalogFile, info_path
from tunesmith.config.model import use_modelscope
from tunesmith.data.catalog import INFO, Catalog, resolve
from tunesmith.errors import UserError

_MESSAGE = "Data set uploaded by Tunesmith"


def push(name: str, repository: str, dataset_dir: str | Path, *, public: bool = False, modelscope: bool = False) -> str:
    """Upload the data set to `owner/name`, made private if it is new; returns its address.

    The hub is ModelScope where asked for or USE_MODELSCOPE_HUB is set, Hugging Face's otherwise. Other entries of the
    repository's dataset_info.json stay. UserError where the hub does not take it.
    """
    (entry,) = resolve([name], dataset_dir)
    path = Path(entry.location)
    if entry.place != "file" or not path.is_file():
        raise UserError(f"{name!r} is no file on this machine ({entry.location}).", field="dataset")
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise UserError(f"{repository!r} is no repository of a hub.", hint="Expected owner/name.", field="repository")
    raw = {**Catalog.load(info_path(dataset_dir)).raw(name), "file_name": path.name}
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        # A link where the system has them: data sets are large.
        try:
            os.link(path, staged / path.name)
        except OSError:
            (staged / path.name).symlink_to(path.absolute())
        if modelscope or use_modelscope():
            return _to_modelscope(staged, name, repository, raw, public)
        return _to_hugging_face(staged, name, repository, raw, public)


def _to_hugging_face(staged: Path, name: str, repository: str, raw: Mapping[str, Any], public: bool) -> str:
    import httpx2
    from huggingface_hub import HfApi, errors

    hub = HfApi()
    try:
        hub.create_repo(repository, repo_type="dataset", exist_ok=True, private=not public)
        there = hub.list_repo_files(repository, repo_type="dataset")
        before = ""
        if INFO in there:
            fetched = hub.hf_hub_download(repository, INFO, repo_type="dataset", local_dir=staged / ".before")
            before = Path(fetched).read_text(encoding="utf-8")
        _write_beside(staged, name, raw, before, card="README.md" not in there)
        hub.upload_folder(
            repo_id=repository, repo_type="dataset", folder_path=staged, commit_message=_MESSAGE,
            ignore_patterns=[".*", ".*/**"],
        )  # fmt: skip
    except (errors.HfHubHTTPError, errors.HFValidationError, httpx2.HTTPError, OSError, ValueError) as error:
        raise _refused(repository, error, "Log in with `hf auth login`, or set HF_TOKEN.") from error
    return f"{hub.endpoint}/datasets/{repository}"


def _to_modelscope(staged: Path, name: str, repository: str, raw: Mapping[str, Any], public: bool) -> str:
    try:
        from modelscope.hub.api import HubApi
    except ImportError as error:
        raise UserError(
            "The modelscope package is not installed.", hint='pip install "tunesmith[modelscope]"'
        ) from error
    hub = HubApi()
    _write_beside(staged, name, raw, "", card=True)
    try:
        if token := os.environ.get("MODELSCOPE_API_TOKEN"):
            hub.login(token)
        hub.create_repo(repository, repo_type="dataset", exist_ok=True, visibility="public" if public else "private")
        hub.upload_folder(
            repo_id=repository, folder_path=str(staged), repo_type="dataset", commit_message=_MESSAGE,
        )  # fmt: skip
    except Exception as error:  # its errors have no base of their own
        raise _refused(repository, error, "Set MODELSCOPE_API_TOKEN.") from error
    return f"https://modelscope.cn/datasets/{repository}"


def _write_beside(staged: Path, name: str, raw: Mapping[str, Any], before: str, *, card: bool) -> None:
    """dataset_info.json with the entry added, and a card where there is none."""
    catalog = CatalogFile(staged / INFO, before)
    catalog.put(name, raw)
    (staged / INFO).write_text(catalog.text, encoding="utf-8", newline="\n")
    if card:
        text = (
            f"---\nconfigs:\n- config_name: default\n  data_files: {raw['file_name']}\n---\n\n# {name}\n\n"
            f"`{INFO}` says how its columns are read. To train on it with Tunesmith or LLaMA-Factory:\n"
            f"`dataset: {name}`, `dataset_dir: REMOTE:<this repository>`.\n"
        )
        (staged / "README.md").write_text(text, encoding="utf-8", newline="\n")


def _refused(repository: str, error: Exception, hint: str) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(f"The data set could not be uploaded to {repository}: {reason}", hint=hint, field="repository")
