"""Where the model answers and with which key: flags, the environment, a `.env` file, in this order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tunesmith.errors import UserError

_BASE_URL = ("TUNESMITH_BASE_URL", "OPENAI_BASE_URL", "OPENAI_API_BASE")
_API_KEY = ("TUNESMITH_API_KEY", "OPENAI_API_KEY")
_MODEL = ("TUNESMITH_MODEL", "OPENAI_MODEL")


@dataclass(frozen=True, slots=True)
class Connection:
    """An endpoint of the chat completions protocol. The key is in no representation of it."""

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """The address without what may be secret in it."""
        return without_credentials(self.base_url)

    def without_secrets(self, text: str) -> str:
        """A text of the server's with the key starred out."""
        parts = urlsplit(self.base_url)
        for secret in (self.api_key, parts.password, parts.query):
            if secret:
                text = text.replace(secret, "***")
        return text


def connection(
    base_url: str = "", model: str = "", *, key_variable: str = "", environment: Mapping[str, str] | None = None
) -> Connection:
    """What is given, completed from the environment and from `.env` in the present folder.

    key_variable: the variable that holds the key, where it is another than usual. UserError where a part is missing.
    """
    known = {**_dotenv(Path(".env")), **(os.environ if environment is None else environment)}
    base_url = base_url or _first(known, _BASE_URL)
    model = model or _first(known, _MODEL)
    if not base_url:
        raise UserError(
            "No model is named that could be asked.",
            hint="Give --base-url and --model, e.g. --base-url http://127.0.0.1:11434/v1 --model qwen3:8b for an "
            "Ollama here; or set TUNESMITH_BASE_URL, TUNESMITH_API_KEY and TUNESMITH_MODEL (in .env too); or give "
            "--model the folder of a local model.",
            field="base_url",
        )
    parts = urlsplit(base_url if "://" in base_url else f"http://{base_url}")
    # A bare word is more likely a slip than the name of a machine.
    bare = "://" not in base_url and not any(mark in base_url for mark in ".:/") and base_url != "localhost"
    if parts.scheme not in ("http", "https") or not parts.hostname or bare:
        raise UserError(
            f"The base URL is {base_url!r}, which is no address of a server.",
            hint="It looks like http://127.0.0.1:11434/v1 or https://api.example.com/v1.",
            field="base_url",
        )
    if not model:
        raise UserError("No model is named.", hint="Give --model, or set TUNESMITH_MODEL.", field="model")
    if key_variable and key_variable not in known:
        raise UserError(
            f"The variable {key_variable} is not set.", hint="Set it, or write it into .env.", field="api_key_env"
        )
    address = parts.geturl().rstrip("/").removesuffix("/chat/completions")
    return Connection(address, model, known[key_variable] if key_variable else _first(known, _API_KEY))


def without_credentials(url: str) -> str:
    """An address without user, password and query, where keys are found."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme and host else url.partition("?")[0]


def _first(known: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((known[name].strip() for name in names if known.get(name, "").strip()), "")


def _dotenv(path: Path) -> dict[str, str]:
    """The variables of a `.env` file; they are not put into this process's environment."""
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(path).items() if value is not None}
