"""Downloading a repository from a model hub, with every way it can fail told in one sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tunesmith.config.model import ModelConfig, use_modelscope
from tunesmith.errors import UserError, code_of

_SMALL_FILES = ("*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken")
_WEIGHTS = "*.safetensors"
_CODE = "*.py"
_TWINS = ("*/*", "consolidated*")
"""Copies of the weights in other layouts (onnx/, original/ …), which would double the download."""


def looks_like_hub_id(asked: str) -> bool:
    """`name` or `owner/name` of letters, digits, `-`, `_` and `.`, and not the name of a file."""
    if asked.lower().endswith((".gguf", ".safetensors", ".bin")):
        return False
    return re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", asked, flags=re.ASCII) is not None


def download_model(repository: str, model: ModelConfig, *, near: str = "") -> Path:
    """The folder of the repository's snapshot: safetensors, configuration and tokenizer files only.

    near: a sentence on local names that resemble the id, told when the hub does not have it.
    """
    patterns = [*_SMALL_FILES]
    if model.trust_remote_code:
        patterns.append(_CODE)
    if not model.train_from_scratch:
        patterns.append(_WEIGHTS)
    return download(repository, model, patterns, ignore=_TWINS, field="model_name_or_path", near=near)


def download(
    repository: str,
    model: ModelConfig,
    patterns: Sequence[str],
    *,
    field: str,
    ignore: Sequence[str] = (),
    revision: str | None = None,
    near: str = "",
) -> Path:
    """The repository's files that match `patterns` and none of `ignore`, as a folder in the hub's cache.

    revision: left out, the model's. field: the config key that named the repository.
    """
    if use_modelscope(model.hub_name):
        return _from_modelscope(repository, model, patterns, ignore, field)
    from huggingface_hub import errors, snapshot_download

    revision = revision or model.model_revision
    try:
        folder = snapshot_download(
            repository,
            revision=revision,
            cache_dir=model.cache_dir,
            token=model.hf_hub_token,
            allow_patterns=list(patterns),
            ignore_patterns=list(ignore),
        )
    except (OSError, errors.HTTPError, errors.HFValidationError) as error:
        raise _explained(error, repository, revision, field, near) from error
    return Path(folder)


def _explained(error: Exception, repository: str, revision: str, field: str, near: str) -> UserError:
    """What a failed download means to the person who asked for it; the most special kinds come first."""
    from huggingface_hub import constants, errors

    endpoint, code = constants.ENDPOINT, code_of(error)
    match error:
        case errors.GatedRepoError():
            return UserError(
                f"{repository} is gated: its owner wants you to accept the terms first.",
                hint=f"Accept them at {endpoint}/{repository}, then log in with `hf auth login` or set HF_TOKEN.",
                field=field,
                code=code,
            )
        case errors.RevisionNotFoundError():
            return UserError(
                f"{repository} has no revision {revision!r}.",
                hint="Leave model_revision out for the newest, or give a branch, tag or commit of that repository.",
                field="model_revision",
            )
        case errors.RepositoryNotFoundError():  # the hub answers 401 to what is private and to what does not exist
            return UserError(
                f"{endpoint} has no {repository}, or it is private; and there is no such folder here.",
                hint=near or "Check the spelling; for a private model log in with `hf auth login` or set HF_TOKEN.",
                field=field,
                code=code,
            )
        case errors.HFValidationError():
            message = f"{repository} is neither a folder here nor a valid hub id: {_first_line(error)}"
            return UserError(message, hint=near, field=field)
        case errors.LocalEntryNotFoundError():
            return _unreachable(error, repository, endpoint, field, near)
        case errors.HfHubHTTPError():
            message, hint = f"{endpoint} refused the request for {repository}", "Try again later"
        case _:
            message, hint = f"{repository} could not be downloaded", "Check the network and the free disk space"
    return UserError(
        f"{message}: {_first_line(error)}", hint=f"{hint}; what arrived so far is kept.", field=field, code=code
    )


def _unreachable(error: Exception, repository: str, endpoint: str, field: str, near: str) -> UserError:
    """The hub gave no answer that helps, and the local cache has not (all of) the repository."""
    from huggingface_hub import errors, is_offline_mode

    partly = isinstance(error, getattr(errors, "IncompleteSnapshotError", ()))
    have = "is only partly" if partly else "is not"
    instead = "give a folder or a .gguf file that is on this machine."
    if is_offline_mode():
        why, hint = "HF_HUB_OFFLINE is set", f"Unset HF_HUB_OFFLINE, or {instead}"
    elif isinstance(error.__cause__, errors.HfHubHTTPError):
        why, hint = f"{endpoint} fails ({error.__cause__.response.status_code})", "Try again later."
    else:
        why, hint = f"{endpoint} can't be reached", f"Check the network, set HF_ENDPOINT to a mirror, or {instead}"
    return UserError(
        f"{repository} is no folder here, {have} in the local cache, and {why}.",
        hint=near or hint,
        field=field,
        code="hub_unreachable",
    )


def _from_modelscope(
    repository: str, model: ModelConfig, patterns: Sequence[str], ignore: Sequence[str], field: str
) -> Path:
    if find_spec("modelscope") is None:
        raise UserError(
            "ModelScope is the chosen hub, but the modelscope package is not installed.",
            hint='Install it with `pip install "tunesmith[modelscope]"`, or set hub_name: huggingface.',
            field=field,
            code="hub_unreachable",
        )
    from modelscope import HubApi, snapshot_download
    from requests import exceptions

    revision = "master" if model.model_revision == "main" else model.model_revision
    try:
        if token := model.ms_hub_token or os.environ.get("MODELSCOPE_API_TOKEN"):
            HubApi().login(token)
        folder = snapshot_download(
            repository,
            revision=revision,
            cache_dir=model.cache_dir,
            allow_file_pattern=list(patterns),
            ignore_file_pattern=list(ignore),
        )
    except Exception as error:  # its client raises whatever its transport does
        unreached = (ConnectionError, TimeoutError, exceptions.ConnectionError, exceptions.Timeout)
        raise UserError(
            f"{repository} could not be had from ModelScope: {type(error).__name__}: {_first_line(error)}",
            hint="Check the spelling and the network; for a private model set ms_hub_token.",
            field=field,
            code="hub_unreachable" if isinstance(error, unreached) else code_of(error),
        ) from error
    return Path(folder)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
