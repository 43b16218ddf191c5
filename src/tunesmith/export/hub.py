"""Uploading an exported model to the hub it is for."""

from __future__ import annotations

import os
from pathlib import Path

from tunesmith.config.model import ModelConfig
from tunesmith.errors import UserError
from tunesmith.export.target import MARKER

FIELD = "export_hub_model_id"
_OURS_ALONE = [MARKER, "export.yaml", ".*"]  # they name folders of this machine


def push(folder: Path, repository: str, model: ModelConfig) -> str:
    """Upload the folder to `owner/name`, made private if it is new; returns its address.

    The hub is ModelScope where USE_MODELSCOPE_HUB=1, Hugging Face's otherwise. UserError where it does not take it.
    """
    if os.environ.get("USE_MODELSCOPE_HUB", "").lower() in ("1", "true", "y", "yes"):
        return _to_modelscope(folder, repository, model)
    from huggingface_hub import HfApi, errors

    hub = HfApi(token=model.hf_hub_token)
    try:
        hub.create_repo(repository, exist_ok=True, private=True)
        hub.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Exported by Tunesmith", ignore_patterns=_OURS_ALONE
        )
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError, ValueError) as error:
        raise _refused(repository, folder, error, "Log in with `hf auth login`, or set hf_hub_token.") from error
    return f"https://huggingface.co/{repository}"


def _to_modelscope(folder: Path, repository: str, model: ModelConfig) -> str:
    try:
        from modelscope.hub.api import HubApi
    except ImportError as error:
        raise UserError(
            "The modelscope package is not installed.", hint='pip install "tunesmith[modelscope]"', field=FIELD
        ) from error
    hub = HubApi()
    try:
        if model.ms_hub_token:
            hub.login(model.ms_hub_token)
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
