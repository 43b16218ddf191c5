"""A stand-in for the Hugging Face hub: repositories made, files committed and read back by the real client."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_right"
COMMIT = "1" * 40


class HubDouble:
    """`with HubDouble() as hub:` → hub.url. files: what was committed, by repository and path."""

    def __init__(self) -> None:
        self.private: dict[str, bool] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        hub = self

        class Handler(_Handler):
            double = hub

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> HubDouble:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    double: HubDouble

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer({"error": "Invalid username or password."}, 401)
        path = self.path.partition("?")[0]
        if path.startswith("/api/whoami"):
            return self._answer({"type": "user", "name": "me", "orgs": []})
        if path.startswith("/datasets/"):
            name, _, file = path.removeprefix("/datasets/").partition("/resolve/")
            data = self.double.files[name].get(file.partition("/")[2])
            if data is None:
                return self._answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            tag = hashlib.sha1(data).hexdigest()  # the client keeps files by it
            return self._send(data, 200, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})
        name = path.removeprefix("/api/datasets/").removeprefix("/api/models/")
        if "/tree/" in name:
            files = self.double.files[name.partition("/tree/")[0]]
            listed = [{"type": "file", "path": path, "size": len(data), "oid": "o"} for path, data in files.items()]
            return self._answer(listed)
        siblings = [{"rfilename": path} for path in self.double.files.get(name, {})]
        return self._answer({"id": name, "sha": COMMIT, "siblings": siblings, "private": True, "tags": []})

    def do_POST(self) -> None:
        body = self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer({"error": "Invalid username or password."}, 401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            if name in self.double.files:
                return self._answer({"error": "You already created this repo", "url": f"{self.double.url}/{name}"}, 409)
            place = f"datasets/{name}" if asked.get("type") == "dataset" else name
            self.double.private[name] = bool(asked.get("private")) or asked.get("visibility") == "private"
            self.double.files[name] = {}
            return self._answer({"url": f"{self.double.url}/{place}", "name": name})
        if self.path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            return self._answer(
                {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in asked]}
            )
        name = self.path.removeprefix("/api/datasets/").removeprefix("/api/models/").partition("/commit/")[0]
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.double.files[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        place = f"datasets/{name}" if self.path.startswith("/api/datasets/") else name
        url = f"{self.double.url}/{place}/commit/{COMMIT}"
        return self._answer({"success": True, "commitOid": COMMIT, "commitUrl": url})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, record: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(record).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
