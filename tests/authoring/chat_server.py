"""A server that speaks the chat completions protocol, and misbehaves as a test wants it to."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the server sends. content: the model's text; raw: the whole body instead. drop: close half-way."""

    content: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: str | None = None
    finish: str = "stop"
    wait: float = 0.0
    drop: bool = False

    def body(self) -> str:
        if self.raw is not None:
            return self.raw
        return json.dumps(
            {
                "object": "chat.completion",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": self.content},
                        "finish_reason": self.finish,
                    }
                ],
                "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
            },
            ensure_ascii=False,
        )


def error(status: int, message: str, **headers: str) -> Answer:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=told, raw=json.dumps({"error": {"message": message}}))


class ChatServer:
    """Answers with what `answer(body, number)` returns; number counts requests from 1."""

    def __init__(self, answer: Callable[[Body, int], Answer]) -> None:
        self.answer = answer
        self.requests: list[Body] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.times: list[float] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer._lock:
                    outer.requests.append(body)
                    outer.paths.append(self.path)
                    outer.keys.append(self.headers.get("Authorization"))
                    outer.times.append(time.monotonic())
                    number = len(outer.requests)
                    outer.at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer.at_once)
                try:
                    if self.path.partition("?")[0] == "/v1/chat/completions":
                        self._send(outer.answer(body, number))
                    else:
                        self._send(error(404, "not found"))
                finally:
                    with outer._lock:
                        outer.at_once -= 1

            def do_GET(self) -> None:
                self._send(Answer(raw=json.dumps({"data": [{"id": "tester"}, {"id": "other"}]})))

            def _send(self, answer: Answer) -> None:
                time.sleep(answer.wait)
                data = answer.body().encode("utf-8")
                try:
                    self.send_response(answer.status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    if answer.drop:
                        self.wfile.write(data[: len(data) // 2])
                        self.wfile.flush()
                        self.close_connection = True
                        return
                    self.wfile.write(data)
                except OSError:  # the other side has gone, as a killed process does
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def prompts(self) -> list[str]:
        """The last message of each request."""
        return [request["messages"][-1]["content"] for request in self.requests]


@contextmanager
def serving(answer: Callable[[Body, int], Answer]) -> Iterator[ChatServer]:
    server = ChatServer(answer)
    thread = threading.Thread(target=server._server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server._server.shutdown()
        server._server.server_close()


def entries_about(body: Body) -> list[dict[str, str]]:
    """What a diligent model writes: one entry for each kind of question, out of sentences of the text."""
    prompt = body["messages"][-1]["content"]
    found = re.search(r"<text>\n(.*?)\n</text>", prompt, re.DOTALL)
    assert found is not None, prompt
    sentences = [each.strip() for each in re.split(r"(?<=[.!?。！？])\s*", found[1]) if len(each.strip()) > 6]
    count = len(re.findall(r"^\d+\. ", prompt[found.end() :], re.MULTILINE))
    chosen = [sentences[at % len(sentences)] for at in range(count)]
    chinese = any("一" <= char <= "鿿" for char in found[1])
    asked = "关于“{}”，情况是怎样的？" if chinese else "Why does it hold that {}?"
    return [{"question": asked.format(each.rstrip(".。！？!?")), "answer": each, "evidence": each} for each in chosen]


def diligent(body: Body, number: int) -> Answer:
    """Answers every kind of question as a good model does."""
    prompt = body["messages"][-1]["content"]
    if "<question>" in prompt:
        return Answer(json.dumps({"verdict": [{"reason": "supported", "score": 5}]}))
    return Answer(json.dumps({"entries": entries_about(body)}, ensure_ascii=False))
