"""Uploading an exported model to the hub it is for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tunesmith.config.model import ModelConfig, use_modelscope
from tunesmith.errors import UserError
from tunesmith.export.target import MARKER

FIELD = "export_hub_model_id"
_LOG_IN = "Log in with `hf auth login`, or set hf_hub_token."
_MODELSCOPE_LOGIN = Path.home() / ".modelscope" / "credentials" / "session"
_OURS_ALONE = [MARKER, "export.yaml", ".*"]  # they name folders of this machine


def check_hub(repository: str, model: ModelConfig) -> str:
    """Where `push` will go and as whom, in a line. UserError where nobody is logged in or the name is none."""
    if use_modelscope(model.hub_name):
        _modelscope()
        if not (model.ms_hub_token or os.environ.get("MODELSCOPE_API_TOKEN") or _MODELSCOPE_LOGIN.exists()):
            raise _unknown(repository, "ModelScope", "Set ms_hub_token.")
        return f"ModelScope: {repository}"
    import httpx2
    from huggingface_hub import HfApi, errors, get_token
    from huggingface_hub.utils import validate_repo_id

    token = model.hf_hub_token or get_token()
    try:
        validate_repo_id(repository)
        if not token:
            raise _unknown(repository, "Hugging Face", _LOG_IN)
        who = HfApi(token=token).whoami()
    except errors.HFValidationError as error:
        hint = "Write it as owner/name, of letters, digits, -, _ and dots."
        raise UserError(f"{repository!r} is no name of a repository.", hint=hint, field=FIELD) from error
    except (errors.HfHubHTTPError, httpx2.HTTPError, OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{repository} can't be uploaded to: {reason}", hint=_LOG_IN, field=FIELD) from error
    return f"Hugging Face: {repository}, as {who.get('name')}"


def _unknown(repository: str, hub: str, hint: str) -> UserError:
    return UserError(f"{repository} is to be uploaded, and nobody is logged in to {hub} here.", hint=hint, field=FIELD)


def push(folder: Path, repository: str, model: ModelConfig) -> str:
    """Upload the folder to `owner/name`, made private if it is new; returns its address.

    The hub is the one that the job chose (`hub_name`). UserError where it does not take it.
    """
    if use_modelscope(model.hub_name):
        return _to_modelscope(folder, repository, model)
    import httpx2
    from huggingface_hub import HfApi, errors

    hub = HfApi(token=model.hf_hub_token)
    try:
        place = hub.create_repo(repository, exist_ok=True, private=True)
        hub.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Exported by Tunesmith", ignore_patterns=_OURS_ALONE
        )
    except (errors.HfHubHTTPError, errors.HFValidationError, httpx2.HTTPError, OSError, ValueError) as error:
        raise _refused(repository, folder, error, _LOG_IN) from error
    return str(place)


def _modelscope() -> Any:
    try:
        from modelscope.hub.api import HubApi
    except ImportError as error:
        raise UserError(
            "The modelscope package is not installed.", hint='pip install "tunesmith[modelscope]"', field=FIELD
        ) from error
    return HubApi()


def _to_modelscope(folder: Path, repository: str, model: ModelConfig) -> str:
    hub = _modelscope()
    try:
        if token := model.ms_hub_token or os.environ.get("MODELSCOPE_API_TOKEN"):
            hub.login(token)
        hub.create_model(repository, visibility=1, exist_ok=True)
        hub.upload_folder(
            repo_id=repository, folder_path=str(folder), commit_message="Exported by Tunesmith",
            ignore_patterns=_OURS_ALONE,
        )  # fmt: skip
    except Exception as error:  # its errors have no base of their own
        raise _refused(repository, folder, error, "Set ms_hub_token.") from error
    return f"https://modelscope.cn/models/{repository}"


def _refused(repository: str, folder: Path, error: Exception, hint: str) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(
        f"{repository} could not be uploaded: {reason}", hint=f"{hint} What was exported lies in {folder}.", field=FIELD
    )
