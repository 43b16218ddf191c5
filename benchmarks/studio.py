"""The studio beside LLaMA Board: from the command to the first page, and memory; and the page of a million reports.

The seconds that a browser takes are measured where playwright and a Chromium are there.
"""

import http.client
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from math import exp
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from drivers.spawn import cpu_seconds
from measure import CommandFailed

from tunesmith.runs.layout import RunLayout
from tunesmith.runs.run import Run

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BUILD_PAGE = Path(__file__).parents[1] / "setup" / "page.py"
REPORTS = 1_000_000
RUN = "saves/long"
PATIENCE = 180
REST_SECONDS = 3
# The same for both; gradio neither counts its users nor looks for its newest version, no browser is opened, and
# Python keeps what it compiled: pip did so for LLaMA-Factory; for Tunesmith, installed editable, the first start does.
ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "BROWSER": "true",
    "PYTHONDONTWRITEBYTECODE": "",
}
# A start page can be used once what the server answered stands in it.
USABLE = {
    "llamafactory": "() => [...document.querySelectorAll('button')].some(b => b.innerText.trim() === 'Start') "
                    "&& performance.now()",
    "tunesmith": "() => document.body.innerText.includes('Nothing has run yet') && performance.now()",
}  # fmt: skip
DRAWN = """last => {
    const canvas = document.querySelector('figure.curve canvas');
    const legend = document.querySelector('.curve-legend strong');
    if (!canvas || !canvas.width || !legend || legend.textContent !== last) return false;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.some(value => value) && performance.now();
}"""


@dataclass(frozen=True)
class Opening:
    """Seconds of wall and CPU until the first page is answered, and in a browser until it can be used; MiB of memory.

    peak_mib: the highest until it rests. idle_mib: resident when it rests.
    """

    wall: float
    cpu: float
    shown: float | None
    peak_mib: float
    idle_mib: float


@dataclass(frozen=True)
class LongRun:
    """Seconds for the page of a run with `reports` reports, and the server's peak of memory in MiB.

    first, again: the server's answer with the curves, newly started and asked again. drawn: from the address to the
    curve in a browser, with a newly started server.
    """

    reports: int
    nbytes: int
    first: float
    again: float
    drawn: float | None
    peak_mib: float


@dataclass(frozen=True)
class StudioFigures:
    """Medians over all runs."""

    runs: int
    tools: dict[str, Opening]
    long: LongRun

    def ratio(self, cost: Callable[[Opening], float]) -> float:
        """LLaMA-Factory's cost over ours."""
        return cost(self.tools["llamafactory"]) / cost(self.tools["tunesmith"])


class Server:
    """A tool's web page, started in a folder of its own; `port` is its own too."""

    def __init__(self, tool: str, command: Path, folder: Path, log: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self.log = log
        own = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(self.port)}
        arguments = ["--port", str(self.port)] if tool == "tunesmith" else []
        with log.open("wb") as sink:
            self.started = time.perf_counter()
            self.process = subprocess.Popen(
                [command, "webui", *arguments], cwd=folder, env={**os.environ, **ENVIRONMENT, **own},
                stdout=sink, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def first_page(self) -> tuple[float, float]:
        """Wait for the whole start page; seconds of wall and CPU since the start."""
        while True:
            try:
                self.get("/")
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - self.started > PATIENCE:
                    told = self.log.read_text(encoding="utf-8", errors="replace")[-3000:]
                    raise CommandFailed(f"{self.process.args} answered nothing:\n{told}") from None
                time.sleep(0.01)
                continue
            return time.perf_counter() - self.started, cpu_seconds(self.process.pid)

    def get(self, path: str) -> bytes:
        """The body of an answer; CommandFailed where it is none with status 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise CommandFailed(f"GET {path} was answered with {answer.status}: {body[:500].decode(errors='replace')}")
        return body

    def memory(self) -> tuple[float, float]:
        """(peak, present) resident MiB of the server and its children."""
        seen = [_memory(pid) for pid in _family(self.process.pid)]
        return sum(peak for peak, _ in seen), sum(now for _, now in seen)

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def measure_studio(commands: Mapping[str, Path], work: Path, *, runs: int, reports: int = REPORTS) -> StudioFigures:
    """Open both in turn, `runs` times each, after one unmeasured start of both; then our page of a long run."""
    if subprocess.run([sys.executable, BUILD_PAGE, "--if-needed"]).returncode:
        raise CommandFailed("the studio's page could not be built")
    place = work / "studio"
    shutil.rmtree(place, ignore_errors=True)
    seen: dict[str, list[Opening]] = {tool: [] for tool in commands}
    with _browser() as browser:
        for number in range(runs + 1):
            for tool, command in commands.items():
                opening = _open(tool, command, place / tool, work / "logs" / f"studio_{tool}.txt", browser)
                if number:
                    seen[tool].append(opening)
        size = _write_run(place / "long" / RUN, reports)
        long = [_look(commands["tunesmith"], place / "long", work / "logs" / "studio_long.txt", browser, reports, size)
                for _ in range(runs)]  # fmt: skip
    shutil.rmtree(place)
    return StudioFigures(runs, {tool: _middle(each) for tool, each in seen.items()}, _middle_look(long))


def _open(tool: str, command: Path, folder: Path, log: Path, browser: "Browser | None") -> Opening:
    with _served(tool, command, folder, log) as server:
        wall, cpu = server.first_page()
        shown = _until(browser, f"http://127.0.0.1:{server.port}/", USABLE[tool]) if browser else None
        time.sleep(REST_SECONDS)
        peak, idle = server.memory()
    return Opening(wall, cpu, None if shown is None else wall + shown, peak, idle)


def _look(command: Path, folder: Path, log: Path, browser: "Browser | None", reports: int, size: int) -> LongRun:
    with _served("tunesmith", command, folder, log) as server:
        server.first_page()
        first, again = (_seconds(lambda: server.get(f"/api/runs/{RUN}/metrics?points=2000")) for _ in range(2))
        peak, _ = server.memory()
    if not browser:
        return LongRun(reports, size, first, again, None, peak)
    with _served("tunesmith", command, folder, log) as server:
        server.first_page()
        drawn = _until(browser, f"http://127.0.0.1:{server.port}/#/runs/{RUN}", DRAWN, f"{reports:,}")
    return LongRun(reports, size, first, again, drawn, peak)


@contextmanager
def _served(tool: str, command: Path, folder: Path, log: Path) -> Iterator[Server]:
    server = Server(tool, command, folder, log)
    try:
        yield server
    finally:
        server.end()


def _browser() -> "AbstractContextManager[Browser | None]":
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium or importlib.util.find_spec("playwright") is None:
        print("without playwright and chromium: what a browser shows is not measured", flush=True)
        return nullcontext()
    return _chromium(chromium)


@contextmanager
def _chromium(program: str) -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    # Fonts and scripts that a page fetches from elsewhere fail at once, whatever the network does.
    offline = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", offline])
        yield browser
        browser.close()


def _until(browser: "Browser", url: str, condition: str, argument: object = None) -> float:
    """Seconds, by the page's own clock, from going to the address until the condition holds; no cache from before."""
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
    try:
        page = context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(url, wait_until="commit")
        return page.wait_for_function(condition, arg=argument).json_value() / 1000
    finally:
        context.close()


def _write_run(folder: Path, reports: int) -> int:
    """A finished run that reported every step as a training does; bytes of its metrics file."""
    run = Run.create(folder, {}, {"model_name_or_path": "long", "stage": "sft"})
    run.begin_attempt()
    layout = RunLayout(folder)
    with layout.metrics.open("w", encoding="utf-8") as file:
        for step in range(1, reports + 1):
            loss = 1 + 2 * exp(-5 * step / reports) + step * 7919 % 1000 / 5000
            file.write(
                f'{{"step": {step}, "attempt": 1, "time": {1.7e9 + step / 4:.3f}, "loss": {loss:.6f}, '
                f'"learning_rate": {1e-4 * (1 - step / reports):.6e}, "grad_norm": {loss / 3:.6f}, '
                f'"epoch": {3 * step / reports:.6f}, "tokens": {step * 2048}, "tokens_per_second": 8192.0}}\n'
            )
    run.update(step=reports)
    run.finish("finished")
    return layout.metrics.stat().st_size


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
                for child in (task / "children").read_text(encoding="utf-8").split()]  # fmt: skip
    return [pid, *(each for child in children for each in _family(child))]


def _memory(pid: int) -> tuple[float, float]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)
           if name in ("VmHWM", "VmRSS")}  # fmt: skip
    return kib["VmHWM"] / 1024, kib["VmRSS"] / 1024


def _middle(seen: list[Opening]) -> Opening:
    shown = [one.shown for one in seen if one.shown is not None]
    return Opening(
        median(one.wall for one in seen), median(one.cpu for one in seen), median(shown) if shown else None,
        median(one.peak_mib for one in seen), median(one.idle_mib for one in seen),
    )  # fmt: skip


def _middle_look(seen: list[LongRun]) -> LongRun:
    drawn = [one.drawn for one in seen if one.drawn is not None]
    return LongRun(
        seen[0].reports, seen[0].nbytes, median(one.first for one in seen), median(one.again for one in seen),
        median(drawn) if drawn else None, median(one.peak_mib for one in seen),
    )  # fmt: skip
