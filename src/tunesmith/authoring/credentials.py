"""Where the model answers and with which key: flags, the environment, a `.env` file, in this order."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

from tunesmith.data.encoding import decode_file
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

    def at(self, place: str) -> str:
        """The address of one of the protocol's requests; what stands behind a question mark stays behind it."""
        parts = urlsplit(self.base_url)
        return parts._replace(path=f"{parts.path}/{place}").geturl()

    def without_secrets(self, text: str) -> str:
        """A text of the server's, or a library's, with the key starred out: as it is, and as Python spells it."""
        parts = urlsplit(self.base_url)
        for secret in (self.api_key, parts.password, parts.query):
            for spelled in (secret, repr(secret)[1:-1]) if secret else ():
                text = text.replace(spelled, "***")
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
    address = _address(base_url)
    if not model:
        raise UserError("No model is named.", hint="Give --model, or set TUNESMITH_MODEL.", field="model")
    if key_variable and key_variable not in known:
        raise UserError(
            f"The variable {key_variable} is not set.", hint="Set it, or write it into .env.", field="api_key_env"
        )
    return Connection(address, model, _key(known, (key_variable,) if key_variable else _API_KEY))


def without_credentials(url: str) -> str:
    """An address without user, password and query, where keys are found."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme and host else url.partition("?")[0]


def _address(given: str) -> str:
    """The base URL in full. UserError where it is none."""
    # A bare word is more likely a slip than the name of a machine.
    bare = "://" not in given and not any(mark in given for mark in ".:/") and given != "localhost"
    try:
        parts = urlsplit(given if "://" in given else f"http://{given}")
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not bare
    except ValueError:  # brackets that don't close, a port beyond all ports
        fits = False
    if not fits:
        base_url = re.sub(r"//[^/]*@", "//", given.partition("?")[0])
        raise UserError(
            f"The base URL is {base_url!r}, which is no address of a server.",
            hint="It looks like http://127.0.0.1:11434/v1 or https://api.example.com/v1.",
            field="base_url",
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return parts._replace(path=path, fragment="").geturl()


def _key(known: Mapping[str, str], names: tuple[str, ...]) -> str:
    """The key, of which no more is told than where it is."""
    name = next((name for name in names if known.get(name, "").strip()), "")
    key = known[name].strip() if name else ""
    if not key.isascii() or not key.isprintable():
        raise UserError(
            f"The key in {name} holds a character that no key has: a line break, a curly quote or the like.",
            hint="Copy it anew, without quotation marks or anything else around it.",
            field="api_key_env",
        )
    return key


def _first(known: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((known[name].strip() for name in names if known.get(name, "").strip()), "")


def _dotenv(path: Path) -> dict[str, str]:
    """The variables of a `.env` file; they are not put into this process's environment."""
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    text, _ = decode_file(path)
    return {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value is not None}
