"""Uploading a registered data set to a hub: its file, a card, and a dataset_info.json that names it there too."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.authoring.catalog_file import CatalogFile, info_path
from tunesmith.config.model import use_modelscope
from tunesmith.data.catalog import Catalog, resolve
from tunesmith.data.entry import INFO
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
    one = _Pushed(name, path, Catalog.load(info_path(dataset_dir)).raw(name))
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as before:
        send = _to_modelscope if modelscope or use_modelscope() else _to_hugging_face
        return send(one, Path(folder), Path(before), repository, public)


@dataclass(frozen=True, slots=True)
class _Pushed:
    """A data set on its way to a hub. raw: its entry as it stands here."""

    name: str
    path: Path
    raw: Mapping[str, Any]

    def stage(self, folder: Path, before: str, *, card: bool) -> None:
        """Its file, the list with its entry added, and a card where there is none. before: the list as it is there."""
        catalog = CatalogFile(folder / INFO, before)
        file_name = self._file_name(catalog)
        catalog.put(self.name, {**self.raw, "file_name": file_name})
        (folder / INFO).write_text(catalog.text, encoding="utf-8", newline="\n")
        # A link where the system has them: data sets are large.
        try:
            os.link(self.path, folder / file_name)
        except OSError:
            (folder / file_name).symlink_to(self.path.absolute())
        if card:
            (folder / "README.md").write_text(self._card(file_name), encoding="utf-8", newline="\n")

    def _file_name(self, catalog: CatalogFile) -> str:
        """Its own name, or the data set's where another data set has a file of that name there."""
        taken = {file.name for name, file in catalog.files.items() if name != self.name}
        found = [name for name in (self.path.name, f"{self.name}{self.path.suffix}") if name not in taken]
        if not found:
            raise UserError(
                f"The repository has files called {self.path.name} of other data sets.",
                hint="Push it under another name: tunesmith data rename", field="repository",
            )  # fmt: skip
        return found[0]

    def _card(self, file_name: str) -> str:
        return (
            f"---\nconfigs:\n- config_name: default\n  data_files: {file_name}\n---\n\n# {self.name}\n\n"
            f"`{INFO}` says how its columns are read. To train on it with Tunesmith or LLaMA-Factory:\n"
            f"`dataset: {self.name}`, `dataset_dir: REMOTE:<this repository>`.\n"
        )


def _to_hugging_face(one: _Pushed, staged: Path, fetched: Path, repository: str, public: bool) -> str:
    import httpx2
    from huggingface_hub import HfApi, errors

    hub = HfApi()
    try:
        hub.create_repo(repository, repo_type="dataset", exist_ok=True, private=not public)
        there = hub.list_repo_files(repository, repo_type="dataset")
        before = ""
        if INFO in there:
            listed = hub.hf_hub_download(repository, INFO, repo_type="dataset", local_dir=fetched)
            before = Path(listed).read_text(encoding="utf-8")
        one.stage(staged, before, card="README.md" not in there)
        hub.upload_folder(repo_id=repository, repo_type="dataset", folder_path=staged, commit_message=_MESSAGE)
    except (httpx2.TransportError, errors.OfflineModeIsEnabled) as error:
        raise _unreached(hub.endpoint, error, "HF_ENDPOINT") from error
    except (errors.HfHubHTTPError, errors.HFValidationError, httpx2.HTTPError, OSError, ValueError) as error:
        raise _refused(repository, error, "Log in with `hf auth login`, or set HF_TOKEN.") from error
    return f"{hub.endpoint}/datasets/{repository}"


def _to_modelscope(one: _Pushed, staged: Path, fetched: Path, repository: str, public: bool) -> str:
    try:
        from modelscope.hub.api import HubApi
        from modelscope.hub.file_download import dataset_file_download
    except ImportError as error:
        raise UserError(
            "The modelscope package is not installed.", hint='pip install "tunesmith[modelscope]"'
        ) from error
    hub = HubApi()

    def there(name: str) -> Path | None:
        try:
            return Path(dataset_file_download(repository, name, local_dir=str(fetched)))
        except Exception as error:
            if _is_missing(error):
                return None
            raise

    try:
        if token := os.environ.get("MODELSCOPE_API_TOKEN"):
            hub.login(token)
        hub.create_repo(repository, repo_type="dataset", exist_ok=True, visibility="public" if public else "private")
        listed = there(INFO)
        one.stage(staged, listed.read_text(encoding="utf-8") if listed else "", card=there("README.md") is None)
        hub.upload_folder(
            repo_id=repository, folder_path=str(staged), repo_type="dataset", commit_message=_MESSAGE,
        )  # fmt: skip
    except UserError:
        raise
    except Exception as error:  # its errors have no base of their own
        if isinstance(error, ConnectionError) or "Connect" in type(error).__name__:
            raise _unreached("ModelScope", error, "MODELSCOPE_DOMAIN") from error
        raise _refused(repository, error, "Set MODELSCOPE_API_TOKEN.") from error
    return f"https://modelscope.cn/datasets/{repository}"


def _is_missing(error: Exception) -> bool:
    """Whether ModelScope's client says that a file is not there: releases differ in what they raise."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status == 404 or type(error).__name__ == "NotExistError" or "not exist" in str(error).lower()


def _unreached(hub: str, error: Exception, variable: str) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(
        f"There is no connection to {hub}: {reason}",
        hint=f"Is this machine online? {variable} names another address of the hub.",
    )


def _refused(repository: str, error: Exception, hint: str) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(f"The data set could not be uploaded to {repository}: {reason}", hint=hint, field="repository")
