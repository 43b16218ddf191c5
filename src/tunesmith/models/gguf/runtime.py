"""A GGUF file in the real llama.cpp (the `xllamacpp` package): what its users' programs will make of it.

The engine is llama.cpp's own server in this process, spoken to over HTTP on the loopback.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.errors import UserError

_TIMEOUT = 600  # seconds for one answer; a long prompt on a slow machine takes minutes


class Likely(NamedTuple):
    """A candidate for the next token."""

    token: int
    logprob: float


def is_installed() -> bool:
    """Whether the runtime is there; it is an extra."""
    return find_spec("xllamacpp") is not None


@contextmanager
def running(path: Path, *, context: int, gpu_layers: int = 0, threads: int | None = None) -> Iterator[Runtime]:
    """The file loaded; freed at the end. context: most tokens of a conversation.

    UserError where the package is missing or llama.cpp refuses the file.
    """
    if not is_installed():
        raise UserError("The llama.cpp runtime is not installed.", hint='Install it: pip install "tunesmith[llamacpp]"')
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.n_gpu_layers = context, 1, gpu_layers
    params.verbosity, params.port, params.use_jinja, params.warmup = -1, 0, True, False
    params.ui = False
    if threads is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    try:
        server = xllamacpp.Server(params)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"llama.cpp can't load {path}: {error}.", hint="Export it again.") from error
    try:
        yield Runtime(server, server.listening_address)
    finally:
        del server


@dataclass(frozen=True, slots=True)
class Runtime:
    """A loaded file. The server lives as long as this object is held."""

    server: Any
    address: str

    def tokenize(self, text: str) -> list[int]:
        """Ids of a text as it stands: control tokens are read, nothing is put before it."""
        found = self._ask("/tokenize", {"content": text, "add_special": False, "parse_special": True})
        return [int(each) for each in found["tokens"]]

    def render(self, messages: Sequence[dict[str, Any]], **more: Any) -> str:
        """The prompt that llama.cpp makes of a conversation by the file's own template."""
        return str(self._ask("/apply-template", {"messages": list(messages), **more})["prompt"])

    def next_tokens(self, ids: Sequence[int], count: int) -> list[Likely]:
        """The likeliest next tokens after a prompt, likeliest first."""
        # llama.cpp tells no candidates where an answer ends or a character is not whole yet. Those it tells are of
        # before any bias, so that a plain letter is made to come.
        letter = self.tokenize("a")[-1]
        asked = {"prompt": list(ids), "n_predict": 1, "n_probs": count, "temperature": -1.0, "cache_prompt": True,
                 "logit_bias": [[letter, 1000.0]]}  # fmt: skip
        found = self._ask("/completion", asked)["completion_probabilities"][0]["top_logprobs"]
        return [Likely(int(each["id"]), float(each["logprob"])) for each in found]

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """Up to `count` tokens, the likeliest each time; fewer where the model ends its answer."""
        asked = {"prompt": list(ids), "n_predict": count, "temperature": 0.0, "return_tokens": True, "top_k": 1}
        return [int(each) for each in self._ask("/completion", asked)["tokens"]]

    def stream(self, prompt: Sequence[int] | str, **settings: Any) -> Iterator[dict[str, Any]]:
        """Pieces of an answer as llama.cpp's /completion streams them. prompt: ids, or text as `render` makes it."""
        prompt = prompt if isinstance(prompt, str) else list(prompt)
        body = json.dumps({"prompt": prompt, "stream": True, "return_tokens": True, **settings}).encode()
        with self._open("/completion", body) as answer:
            for line in answer:
                if line.startswith(b"data: ") and line.strip() != b"data: [DONE]":
                    yield json.loads(line[6:])

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with self._open(path, json.dumps(body).encode()) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def _open(self, path: str, body: bytes) -> Any:
        request = urllib.request.Request(self.address + path, body, {"Content-Type": "application/json"})
        # The address is the engine's own on the loopback: no proxy of the environment is meant.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            return opener.open(request, timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            told = error.read().decode("utf-8", "replace")
            raise UserError(f"llama.cpp could not answer: {_message(told)}.") from error


def _message(told: str) -> str:
    try:
        return str(json.loads(told)["error"]["message"]).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return told[:200]
