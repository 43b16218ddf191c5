"""Models into a running Ollama over HTTP, and the proof that its prompts are those of the training."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import httpx2

from tunesmith.errors import UserError, did_you_mean
from tunesmith.export.modelfile import Modelfile, Parameter, checked_parameters
from tunesmith.finding import Finding
from tunesmith.text.conversation import Conversation, Message

Report = Callable[[str, int, int], None]
"""What is being done, how much of it is done, how much there is (0: not known)."""

CREATES_FROM_FILES = "0.5.5"
SHOWS_PROMPTS = "0.11.5"
_CHUNK = 1 << 20
# Loading a large model from a slow disk takes minutes, as does checking an uploaded file.
_TIMEOUT = httpx2.Timeout(10.0, read=1800.0, write=600.0)

# What a server says when something goes wrong, and what to do about it.
_HINTS = {
    "no space left|not enough space|disk quota": "The server's disk is full. Making a model takes twice the "
    "file's size for a while: free some space, or point OLLAMA_MODELS at another disk.",
    "digest mismatch": "The file changed while it was sent, or the connection damaged it. Run the same command again.",
    "adapters are no longer supported": "This server takes no adapters: export the merged model as GGUF.",
    "invalid model name": "Names are [namespace/]model[:tag] of plain letters, digits, dots and dashes.",
    "invalid option|unknown parameter|template error": "The server knows another set of options: update Ollama.",
    "unable to load|error loading|failed to load|unknown model arch|unsupported": "This server's engine can't run the "
    "file. Update Ollama; if that does not help, choose another quantization.",
}
_OTHERWISE = "Ollama's own log says more: where `ollama serve` runs, or server.log in its logs folder."


def host(value: str | None = None) -> str:
    """Where the server is, as a URL, from OLLAMA_HOST or a value of its kind.

    It may lack the scheme, the host or the port, and may be the address a server listens on (0.0.0.0), which is no
    address to call. UserError where it is none of these.
    """
    asked = (os.environ.get("OLLAMA_HOST", "") if value is None else value).strip().strip("\"'").strip()
    scheme, mark, rest = asked.partition("://")
    if not mark:
        scheme, rest = "http", asked
    place, slash, path = rest.partition("/")
    if place.isdigit():
        place = f":{place}"
    match = re.fullmatch(r"(\[[0-9a-fA-F:.%]+\]|[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*|[^:\s]*)(?::(\d+))?", place)
    port = int((match and match[2]) or {"http": 80, "https": 443}.get(scheme if mark else "", 11434))
    if not match or scheme not in ("http", "https") or port > 65535:
        raise UserError(
            f"OLLAMA_HOST is {asked!r}, which is no address.",
            hint="It looks like 127.0.0.1:11434 or https://ollama.example.com.",
            field="ollama_host",
        )
    name = match[1].strip("[]") or "127.0.0.1"
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)
    name = f"[{name}]" if ":" in name else name
    return f"{scheme}://{name}:{port}{(slash + path).rstrip('/')}"


class Ollama:
    """One server. Every method raises UserError where the server is not there or refuses, with its own words."""

    def __init__(self, address: str | None = None, *, by_hand: str = "ollama create NAME -f Modelfile") -> None:
        """address: as OLLAMA_HOST (its value by default). by_hand: the command that does the same without us."""
        self.address, self._by_hand = host(address), by_hand
        # A proxy of the environment is meant for the world outside, as Go's own client sees it.
        self._client = httpx2.Client(
            base_url=self.address, timeout=_TIMEOUT, trust_env=not _is_this_machine(httpx2.URL(self.address).host)
        )

    def __enter__(self) -> Ollama:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def version(self) -> str:
        return self._found(self._json("GET", "/api/version"), "version")

    def models(self) -> list[str]:
        return [str(model["name"]) for model in self._json("GET", "/api/tags").get("models") or []]

    def show(self, name: str) -> dict[str, Any]:
        """Template, parameters, capabilities and what the GGUF says of itself."""
        return self._json("POST", "/api/show", {"model": name})

    def delete(self, name: str) -> None:
        self._json("DELETE", "/api/delete", {"model": name})

    def has_blob(self, digest: str) -> bool:
        """Whether the server holds a file with this digest (`sha256:…`)."""
        with self._asked("HEAD", f"/api/blobs/{digest}") as answer:
            if answer.status_code not in (200, 404):
                raise _refused(f"The server at {self.address} answered {answer.status_code} when asked for a file.")
            return answer.status_code == 200

    def upload(self, path: Path, report: Report | None = None) -> str:
        """The file on the server, by its digest. A file that once arrived whole is not sent again."""
        size, sha = path.stat().st_size, hashlib.sha256()
        for chunk in _chunks(path, f"reading {path.name}", size, report):
            sha.update(chunk)
        digest = f"sha256:{sha.hexdigest()}"
        if not self.has_blob(digest):
            body = _chunks(path, f"uploading {path.name}", size, report)
            with self._asked("POST", f"/api/blobs/{digest}", content=body, length=size) as answer:
                self._checked(answer)
        return digest

    def create(
        self,
        name: str,
        *,
        files: Mapping[str, str] | None = None,
        from_: str = "",
        adapters: Mapping[str, str] | None = None,
        template: str = "",
        system: str = "",
        parameters: Mapping[str, Parameter] | None = None,
        license: str = "",
        requires: str = "",
        report: Report | None = None,
    ) -> None:
        """A model made of uploaded files (file name → digest) or of another model (from_), under a name.

        A template left out leaves the one in the GGUF; texts go as they are, which a Modelfile can't promise.
        """
        self.at_least(CREATES_FROM_FILES, "makes models from uploaded files")
        if requires:
            self.at_least(requires, "serves this model as it was trained")
        if from_:
            self.show(from_)  # the server would try to download a model that it has not
        asked: dict[str, Any] = {"files": dict(files or {}), "from": from_, "adapters": dict(adapters or {})}
        asked |= {"template": template, "system": system, "license": license, "requires": requires}
        asked |= {"parameters": checked_parameters(parameters or {})}
        asked = {key: value for key, value in asked.items() if value} | {"model": name, "stream": True}
        status = ""
        for line in self._lines("/api/create", asked):
            status = str(line.get("status", status))
            if report:
                report(status, int(line.get("completed", 0)), int(line.get("total", 0)))
        if status != "success":
            raise UserError(
                f"Ollama stopped in the middle of making {name} (the last it said: {status or 'nothing'}).",
                hint="Look into its log, and run the same command again; the file need not be sent again.",
            )

    def install(self, name: str, modelfile: Modelfile, folder: Path, report: Report | None = None) -> None:
        """What `ollama create NAME -f Modelfile` does with a Modelfile in this folder, without its parser's losses."""
        # What a Modelfile can't name, such as an unknown parameter, is told before gigabytes are sent; texts are free.
        replace(modelfile, system="", license="", template="").text()
        is_file = modelfile.source.endswith(".gguf")
        named = [each for each in ((modelfile.source if is_file else ""), modelfile.adapter) if each]
        digests = {each: self.upload(folder / each, report) for each in named}
        self.create(
            name,
            files={"model.gguf": digests[modelfile.source]} if is_file else None,
            from_="" if is_file else modelfile.source,
            adapters={"adapter.gguf": digests[modelfile.adapter]} if modelfile.adapter else None,
            template=modelfile.template,
            system=modelfile.system,
            parameters=modelfile.parameters,
            license=modelfile.license,
            requires=modelfile.requires,
            report=report,
        )

    def chat(
        self, name: str, messages: Sequence[Mapping[str, Any]], *, options: Mapping[str, Any] | None = None
    ) -> str:
        asked = {"model": name, "messages": list(messages), "options": dict(options or {}), "stream": False}
        return self._found(self._json("POST", "/api/chat", asked), "message", "content")

    def generate(self, name: str, prompt: str, *, raw: bool = False, options: Mapping[str, Any] | None = None) -> str:
        """raw: the prompt as it stands, no template around it."""
        asked = {"model": name, "prompt": prompt, "raw": raw, "options": dict(options or {}), "stream": False}
        return self._found(self._json("POST", "/api/generate", asked), "response")

    def rendered_prompt(
        self,
        name: str,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        think: bool | None = None,
    ) -> str:
        """The prompt that the server makes of a conversation, by whichever template it uses; nothing is generated."""
        self.at_least(SHOWS_PROMPTS, "shows its prompts")  # older ones ignore the wish and answer
        asked: dict[str, Any] = {"model": name, "messages": list(messages), "stream": False}
        asked |= {"_debug_render_only": True} | ({"tools": list(tools)} if tools else {})
        answer = self._json("POST", "/api/chat", asked | ({} if think is None else {"think": think}))
        return self._found(answer, "_debug_info", "rendered_template")

    def check_prompt(
        self,
        name: str,
        conversations: Sequence[Conversation],
        render: Callable[[Conversation], str],
        *,
        bos: str = "",
        think: bool | None = None,
    ) -> list[Finding]:
        """Whether the server's prompts are those of the training, byte for byte.

        render: our own prompt, ending where the answer begins. bos: the token that may stand before one of the two
        alone, because the engine puts it there when it reads the text.
        """
        if self._is_older(SHOWS_PROMPTS):
            older = f"Ollama {self.version()} does not show its prompts, so they were not compared"
            return [Finding("warn", "prompt", older, f"Ollama {SHOWS_PROMPTS} and newer do.")]
        wrong = []
        for number, conversation in enumerate(conversations, 1):
            ours = render(conversation).removeprefix(bos)
            messages = [_plain(message) for message in conversation.messages]
            asked = self.rendered_prompt(name, messages, tools=conversation.tools, think=think)
            if (theirs := asked.removeprefix(bos)) != ours:
                wrong.append(Finding("fail", f"prompt {number}", *_difference(ours, theirs)))
        return wrong or [
            Finding("pass", "prompt", f"Ollama {self.version()} writes {len(conversations)} conversations as trained")
        ]

    # The wire

    def at_least(self, oldest: str, does: str) -> None:
        """UserError where the server is older than a version, which `does` something."""
        if self._is_older(oldest):
            raise UserError(
                f"The server at {self.address} is Ollama {self.version()}; it takes {oldest} or newer, which {does}.",
                hint="Update Ollama: https://ollama.com/download",
            )

    def _is_older(self, oldest: str) -> bool:
        numbers = _numbers(self.version())
        return any(numbers) and numbers < _numbers(oldest)  # a build without a number calls itself 0.0.0

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        with self._asked(method, path, body) as answer:
            self._checked(answer)
            return self._object(answer.read())

    def _lines(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Objects of a stream. What goes wrong after its first byte comes as an object, under status 200."""
        with self._asked("POST", path, body) as answer:
            self._checked(answer)
            yield from map(self._object, filter(None, answer.iter_lines()))

    def _object(self, text: str | bytes) -> dict[str, Any]:
        try:
            found = json.loads(text or "{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._foreign()
        if "error" in found:
            raise self._told(str(found["error"]))
        return found

    def _found(self, answer: Any, *keys: str) -> str:
        for key in keys:
            answer = answer.get(key) if isinstance(answer, dict) else None
        if not isinstance(answer, str):
            raise self._foreign()
        return answer

    def _foreign(self) -> UserError:
        return _refused(
            f"What answers at {self.address} is not Ollama, or stands before it and changes its answers.",
            "OLLAMA_HOST says where Ollama is.",
        )

    @contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content: Iterator[bytes] | None = None,
        length: int = 0,
    ) -> Iterator[httpx2.Response]:
        headers = {"Content-Length": str(length)} if content else None
        try:
            with self._client.stream(method, path, json=body, content=content, headers=headers) as answer:
                yield answer
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise UserError(
                f"No Ollama server answers at {self.address}.",
                hint=f"Start it with `ollama serve` (OLLAMA_HOST says where it is), or do it by hand: {self._by_hand}",
            ) from error
        except httpx2.TransportError as error:
            raise UserError(
                f"The connection to Ollama at {self.address} broke: {error or type(error).__name__}.",
                hint="Run the same command again; what arrived whole is not sent again.",
            ) from error

    def _checked(self, answer: httpx2.Response) -> None:
        if answer.status_code < 400:
            return
        text = answer.read().decode("utf-8", "replace")
        try:
            said = str(json.loads(text)["error"])
        except (ValueError, KeyError, TypeError):
            said = text.strip()[:200] or f"status {answer.status_code}"
        raise self._told(said)

    def _told(self, said: str) -> UserError:
        """The server's words, with what to do about them."""
        missing = re.search(r"model ['\"]?([\w./:@-]+?)['\"]? not found", said)
        if missing:
            known = self.models()
            hint = did_you_mean(missing[1], known) or (f"It has: {', '.join(known)}." if known else "It has no models.")
            return _refused(f"Ollama: {said}.", hint)
        hints = (hint for pattern, hint in _HINTS.items() if re.search(pattern, said, re.IGNORECASE))
        return _refused(f"Ollama: {said.rstrip('.')}.", next(hints, _OTHERWISE))


def _refused(message: str, hint: str = "") -> UserError:
    return UserError(message, hint=hint)


def _is_this_machine(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", version)
    return tuple(int(number or 0) for number in match.groups()) if match else (0, 0, 0)


def _chunks(path: Path, what: str, size: int, report: Report | None) -> Iterator[bytes]:
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
            done += len(chunk)
            if report:
                report(what, done, size)


def _plain(message: Message) -> dict[str, Any]:
    """A message as Ollama's API has it."""
    plain: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking is not None:
        plain["thinking"] = message.thinking
    if message.tool_calls:
        plain["tool_calls"] = [{"function": {"name": c.name, "arguments": c.arguments}} for c in message.tool_calls]
    return plain


def _difference(ours: str, theirs: str) -> tuple[str, str]:
    """Where two prompts part, and what may be done."""
    at = next(i for i, (our, their) in enumerate(zip_longest(ours, theirs)) if our != their)
    near = max(at - 20, 0)
    return (
        f"the training wrote …{ours[near : at + 40]!r}, Ollama writes …{theirs[near : at + 40]!r}",
        "Answers will suffer. Ollama may have chosen a template by likeness: give it one with TEMPLATE, "
        "or let 0.30 or newer read the GGUF's own (OLLAMA_GO_TEMPLATE=0).",
    )
