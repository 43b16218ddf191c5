"""A stand-in for an Ollama server: its HTTP API over a store on disk in its layout, with llama.cpp as the engine.

Behaviour follows Ollama 0.33 as far as making, showing and asking models goes. A model without a TEMPLATE is rendered
by llama.cpp from the chat template in its GGUF, as Ollama does; one with a TEMPLATE by Go, where the test has it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any

from tests.export.llama_server import LlamaServer, serving

KIND = "application/vnd.ollama.image."
NOW = "2026-11-24T12:00:00Z"
NAME_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
RenderGo = Callable[[str, list[dict[str, str]]], str]


class Refusal(Exception):
    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class Store:
    """Blobs by digest, manifests by name."""

    def __init__(self, root: Path) -> None:
        self.root, self.blobs, self.manifests = root, root / "blobs", root / "manifests"
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.manifests.mkdir(exist_ok=True)

    def blob(self, digest: str) -> Path:
        if not re.fullmatch(r"sha256[:-][0-9a-fA-F]{64}", digest):
            raise Refusal("invalid digest format", 400)
        return self.blobs / digest.replace(":", "-")

    def keep(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blob(digest).write_bytes(data)
        return digest

    def manifest(self, name: str) -> Path:
        place, _, tag = name.partition(":") if ":" in name.rpartition("/")[2] else (name, "", "latest")
        parts = place.split("/")
        if not all(re.fullmatch(NAME_PART, part) for part in [*parts, tag]) or len(parts) > 3:
            raise Refusal("invalid model name", 400)
        full = [*("registry.ollama.ai", "library")[: 3 - len(parts)], *parts, tag]
        return self.manifests.joinpath(*full)

    def layers(self, name: str) -> list[dict[str, Any]]:
        path = self.manifest(name)
        if not path.is_file():
            raise Refusal(f"model '{name}' not found", 404)
        return list(json.loads(path.read_text(encoding="utf-8"))["layers"])

    def file(self, layers: list[dict[str, Any]], kind: str) -> Path | None:
        found = [self.blob(layer["digest"]) for layer in layers if layer["mediaType"] == KIND + kind]
        return found[-1] if found else None

    def text(self, layers: list[dict[str, Any]], kind: str) -> str:
        file = self.file(layers, kind)
        return file.read_text(encoding="utf-8") if file else ""

    def names(self) -> list[str]:
        paths = (path.relative_to(self.manifests).parts for path in self.manifests.glob("*/*/*/*"))
        return ["/".join([*(() if owner[1] == "library" else owner[1:]), f"{m}:{t}"]) for *owner, m, t in paths]


class OllamaDouble:
    """`with OllamaDouble(folder) as server:` → server.url. Attributes may be changed while it runs."""

    def __init__(self, root: Path, *, version: str = "0.33.0", go: RenderGo | None = None) -> None:
        self.store, self.version, self.go = Store(root), version, go
        self.takes_adapters = True
        self.disk_full = False
        self.received = 0
        """Bytes of files that came in."""
        self.pulled: list[str] = []
        self._engines, self._held = ExitStack(), dict[tuple[Path, Path | None], LlamaServer]()
        server = self

        class Handler(_Handler):
            ollama = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> OllamaDouble:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._held.clear()
        self._engines.close()

    # What the routes do

    def create(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Checks what makes for a status at once, then a stream whose errors are lines."""
        files, name = asked.get("files") or {}, asked.get("model") or asked.get("name") or ""
        for path, digest in [*files.items(), *(asked.get("adapters") or {}).items()]:
            if PurePosixPath(path).is_absolute() or ".." in path.split("/") or re.search(r"[\\:]", path):
                raise Refusal(f"file path must be relative: {path}", 400)
            if not self.store.blob(digest).is_file():
                raise Refusal(f"blob not found for {path} (digest {digest}): file does not exist", 400)
        if asked.get("adapters") and not self.takes_adapters:
            raise Refusal("LoRA adapters are no longer supported", 400)
        if asked.get("quantize"):
            raise Refusal("create-time quantization is only supported for safetensors imports", 400)
        target = self.store.manifest(name)
        return self._created(asked, files, target)

    def _created(self, asked: dict[str, Any], files: dict[str, str], target: Path) -> Iterator[dict[str, Any]]:
        try:
            layers: list[dict[str, Any]] = []
            if base := asked.get("from"):
                if not self.store.manifest(base).is_file():
                    self.pulled.append(base)
                    yield {"status": "pulling manifest"}
                    raise Refusal("pull model manifest: file does not exist")
                layers = self.store.layers(base)
            elif not files:
                raise Refusal("neither 'from' or 'files' was specified", 400)
            for kind, group in (("model", files), ("adapter", asked.get("adapters") or {})):
                for digest in group.values():
                    yield {"status": "parsing GGUF"}
                    facts(self.store.blob(digest))
                    layers.append(self._layer(kind, digest))
                    yield {"status": f"using existing layer {digest}"}
            for kind, data in self._told(asked):
                layers = [layer for layer in layers if layer["mediaType"] != KIND + kind]
                layers.append(self._layer(kind, self.store.keep(data)))
                yield {"status": f"creating new layer {layers[-1]['digest']}"}
            yield {"status": "writing manifest"}
            self._write(target, layers, asked)
            yield {"status": "success"}
        except Refusal as refusal:
            yield {"error": str(refusal), "status": refusal.status}

    def _told(self, asked: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
        if template := asked.get("template"):
            if template.count("{{") != template.count("}}"):
                raise Refusal("template error: template: :1: unclosed action", 400)
            yield "template", template.encode()
        if system := asked.get("system"):
            yield "system", system.encode()
        if license := asked.get("license"):
            yield "license", (license if isinstance(license, str) else "\n".join(license)).encode()
        if parameters := asked.get("parameters"):
            yield "params", json.dumps(parameters).encode()

    def _layer(self, kind: str, digest: str) -> dict[str, Any]:
        return {"mediaType": KIND + kind, "digest": digest, "size": self.store.blob(digest).stat().st_size}

    def _write(self, target: Path, layers: list[dict[str, Any]], asked: dict[str, Any]) -> None:
        config = {"model_format": "gguf", "requires": asked.get("requires", ""), "os": "linux", "architecture": "amd64"}
        digest = self.store.keep(json.dumps(config).encode())
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        about = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest, "size": 0}
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": about, "layers": layers}
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(manifest), encoding="utf-8")

    def show(self, name: str) -> dict[str, Any]:
        layers = self.store.layers(name)
        file = self.store.file(layers, "model")
        assert file, "a model has weights"
        known = facts(file)
        template = self.store.text(layers, "template")
        parameters = json.loads(self.store.text(layers, "params") or "{}")
        lines = [(key, each) for key, value in parameters.items() for each in _list(value)]
        return {
            "license": self.store.text(layers, "license"),
            "parameters": "\n".join(f"{key:<30} {json.dumps(each, ensure_ascii=False)}" for key, each in lines),
            "template": template or "{{ .Prompt }}",
            "system": self.store.text(layers, "system"),
            "details": {"format": "gguf", "family": known["architecture"]},
            "model_info": {"general.architecture": known["architecture"]},
            "capabilities": ["completion", *(["tools"] if "tools" in known["template"] else [])],
            "modified_at": NOW,
        }

    def tags(self) -> dict[str, Any]:
        return {
            "models": [
                {"name": name, "model": name, "modified_at": NOW, "size": 0, "digest": "0" * 64, "details": {}}
                for name in self.store.names()
            ]
        }

    def chat(self, asked: dict[str, Any]) -> dict[str, Any]:
        layers = self.store.layers(asked["model"])
        messages = list(asked.get("messages") or [])
        system = self.store.text(layers, "system")
        if system and messages and messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": system})
        prompt = self._prompt(layers, messages, asked.get("tools") or [])
        if asked.get("_debug_render_only"):
            return {"model": asked["model"], "created_at": NOW, "_debug_info": {"rendered_template": prompt}}
        message = {"role": "assistant", "content": self._complete(layers, prompt, asked)}
        return {"model": asked["model"], "created_at": NOW, "message": message, "done": True, "done_reason": "stop"}

    def generate(self, asked: dict[str, Any]) -> dict[str, Any]:
        layers = self.store.layers(asked["model"])
        prompt = asked.get("prompt", "")
        if not asked.get("raw"):
            system = asked.get("system") or self.store.text(layers, "system")
            head = [{"role": "system", "content": system}] if system else []
            prompt = self._prompt(layers, [*head, {"role": "user", "content": prompt}], [])
        answer = self._complete(layers, prompt, asked)
        return {"model": asked["model"], "created_at": NOW, "response": answer, "done": True, "done_reason": "stop"}

    def _prompt(self, layers: list[dict[str, Any]], messages: list[dict[str, Any]], tools: list[Any]) -> str:
        if template := self.store.text(layers, "template"):
            if tools and ".Tools" not in template:
                raise Refusal("model does not support tools", 400)
            assert self.go, "this test has no Go to render a TEMPLATE with"
            return self.go(template, messages)
        asked = {"messages": messages} | ({"tools": tools} if tools else {})
        return str(self._engine(layers).ask("/apply-template", **asked)["prompt"])

    def _complete(self, layers: list[dict[str, Any]], prompt: str, asked: dict[str, Any]) -> str:
        options = json.loads(self.store.text(layers, "params") or "{}") | (asked.get("options") or {})
        taken = ("temperature", "top_p", "top_k", "repeat_penalty", "seed", "stop")
        body = {key: options[key] for key in taken if key in options} | {"prompt": prompt}
        body |= {"n_predict": options.get("num_predict", 32)}
        return str(self._engine(layers).ask("/completion", **body)["content"])

    def _engine(self, layers: list[dict[str, Any]]) -> LlamaServer:
        files = self.store.file(layers, "model"), self.store.file(layers, "adapter")
        assert files[0], "a model has weights"
        if files not in self._held:
            held = serving(files[0], context=1024, adapter=files[1])
            self._held[files] = self._engines.enter_context(held)
        return self._held[files]

    def receive(self, digest: str, pieces: Iterator[bytes]) -> int:
        """Status of a file that comes in."""
        path, sha = self.store.blob(digest), hashlib.sha256()
        there = path.is_file()
        aside = path.with_name(f"{path.name}-partial-{threading.get_ident()}")
        with aside.open("wb") as file:
            for piece in pieces:
                self.received += len(piece)
                sha.update(piece)
                file.write(piece)
        found = f"sha256:{sha.hexdigest()}"
        if self.disk_full or found != digest:
            aside.unlink()
        if self.disk_full:
            raise Refusal(f"write {aside}: no space left on device", 500)
        if found != digest:
            raise Refusal(f'digest mismatch, expected "{digest}", got "{found}"', 400)
        os.replace(aside, path)
        return 200 if there else 201


class _Handler(BaseHTTPRequestHandler):
    """The routes."""

    ollama: OllamaDouble
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answered(self._read)

    def do_HEAD(self) -> None:
        self._answered(self._head)

    def do_POST(self) -> None:
        self._answered(self._write)

    def do_DELETE(self) -> None:
        self._answered(self._delete)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answered(self, route: Callable[[], None]) -> None:
        try:
            route()
        except Refusal as refusal:
            self._json({"error": str(refusal)}, refusal.status)

    def _read(self) -> None:
        known = {"/api/version": lambda: {"version": self.ollama.version}, "/api/tags": self.ollama.tags}
        if self.path == "/":
            return self._send(b"Ollama is running", 200, "text/plain")
        if self.path not in known:
            raise Refusal("404 page not found", 404)
        self._json(known[self.path]())

    def _head(self) -> None:
        there = not self.path.startswith("/api/blobs/") or self.ollama.store.blob(self._last()).is_file()
        self._send(b"", 200 if there else 404)

    def _write(self) -> None:
        if self.path.startswith("/api/blobs/"):
            return self._send(b"", self.ollama.receive(self._last(), self._pieces()))
        try:
            asked = json.loads(b"".join(self._pieces()))
        except ValueError:
            raise Refusal("missing request body", 400) from None
        if self.path == "/api/create":
            return self._created(asked)
        known = {"/api/chat": self.ollama.chat, "/api/generate": self.ollama.generate}
        if self.path in known:
            return self._streamed(known[self.path](asked), asked)
        if self.path == "/api/show":
            return self._json(self.ollama.show(asked.get("model") or asked.get("name")))
        if self.path == "/api/copy":
            source, target = (self.ollama.store.manifest(asked[key]) for key in ("source", "destination"))
            self.ollama.store.layers(asked["source"])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            return self._send(b"", 200)
        raise Refusal("404 page not found", 404)

    def _delete(self) -> None:
        name = json.loads(b"".join(self._pieces()))["model"]
        self.ollama.store.layers(name)
        self.ollama.store.manifest(name).unlink()
        self._send(b"", 200)

    def _created(self, asked: dict[str, Any]) -> None:
        lines = self.ollama.create(asked)
        if asked.get("stream") is False:
            *_, last = lines
            return self._json(last, last["status"] if "error" in last else 200)
        self._lines(lines)

    def _streamed(self, answer: dict[str, Any], asked: dict[str, Any]) -> None:
        """An answer in one piece, or in a stream: the text, then the end."""
        if asked.get("stream") is False or "_debug_info" in answer:
            return self._json(answer)
        empty = {"response": ""} if "response" in answer else {"message": {"role": "assistant", "content": ""}}
        self._lines(iter([answer | {"done": False}, answer | empty]))

    def _lines(self, lines: Iterator[dict[str, Any]]) -> None:
        self._send(b"".join(json.dumps(line).encode() + b"\n" for line in lines), 200, "application/x-ndjson")

    def _json(self, found: dict[str, Any], status: int = 200) -> None:
        self._send(json.dumps(found).encode(), status, "application/json; charset=utf-8")

    def _send(self, body: bytes, status: int, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _last(self) -> str:
        return self.path.rpartition("/")[2]

    def _pieces(self) -> Iterator[bytes]:
        """The body, whether its length is told or it comes in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.rfile.read(min(left, 1 << 20))
            left -= len(piece)
            yield piece


@cache
def facts(path: Path) -> dict[str, str]:
    """What a GGUF file says of itself; Refusal where it is none."""
    from gguf import GGUFReader

    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise Refusal("supplied file was not in GGUF format", 400)
    fields = GGUFReader(path).fields
    keys = {"architecture": "general.architecture", "template": "tokenizer.chat_template"}
    return {name: fields[key].contents() if key in fields else "" for name, key in keys.items()}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
