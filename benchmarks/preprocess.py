"""From a data file to ids and labels, on one core: rows per second, memory, and whether both tools give equal ids."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import measure
import numpy as np
import settings

DRIVERS = Path(__file__).parent / "drivers"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
              "HF_HUB_OFFLINE": "1"}  # fmt: skip
IGNORED = -100


@dataclass(frozen=True)
class Tokens:
    """What a tool made of a data set, rows laid end to end: ids and labels int32[total], lengths int64[rows]."""

    ids: np.ndarray
    labels: np.ndarray
    lengths: np.ndarray

    @classmethod
    def load(cls, path: Path) -> "Tokens":
        with np.load(path) as saved:
            return cls(saved["ids"], saved["labels"], saved["lengths"])

    def trained(self) -> np.ndarray:
        """Positions that carry a loss, int64[rows]; a row's first token has no predecessor to be predicted from."""
        starts = np.cumsum(self.lengths) - self.lengths
        counted = (self.labels != IGNORED).astype(np.int64)
        counted[starts] = 0
        return np.add.reduceat(counted, starts)


@dataclass(frozen=True)
class ToolFigures:
    """Medians of one tool: seconds of the preprocessing call alone, and peak memory of its whole process in MiB."""

    wall: float
    cpu: float
    peak_mib: float
    rows: int
    tokens: int

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.wall

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.wall


@dataclass(frozen=True)
class PreprocessFigures:
    """Both tools on the same rows; `different` holds the numbers of rows whose ids or labels are not equal."""

    runs: int
    tools: dict[str, ToolFigures]
    different: list[int]

    def ratio(self) -> float:
        return self.tools["tunesmith"].rows_per_second / self.tools["llamafactory"].rows_per_second


def measure_preprocess(pythons: dict[str, Path], work: Path, dataset: str, *, runs: int) -> PreprocessFigures:
    """Preprocess a data set with each tool in turn, `runs` times, every time with empty caches."""
    seen: dict[str, list[dict]] = {tool: [] for tool in pythons}
    for _ in range(runs):
        for tool, python in pythons.items():
            seen[tool].append(tokenize(tool, python, work, dataset, cutoff=2048))
    tokens = {tool: Tokens.load(dump_of(work, tool, dataset)) for tool in pythons}
    tools = {tool: _figures(seen[tool], int(tokens[tool].lengths.sum())) for tool in pythons}
    return PreprocessFigures(runs, tools, different_rows(tokens["llamafactory"], tokens["tunesmith"]))


def tokenize(tool: str, python: Path, work: Path, dataset: str, *, cutoff: int) -> dict:
    """Run a tool's driver over a data set with empty caches; returns its figures and leaves its ids in `dump_of(…)`."""
    scratch = work / "scratch" / f"{tool}_{dataset}"
    shutil.rmtree(scratch, ignore_errors=True)
    asked = settings.token_settings(work, dataset, cutoff=cutoff, out=scratch / "out")
    config = settings.write(scratch / "settings.json", asked)
    output = work / "logs" / f"tokens_{tool}_{dataset}.txt"
    dump = dump_of(work, tool, dataset)
    dump.parent.mkdir(parents=True, exist_ok=True)
    command = [python, DRIVERS / f"{tool}_tokens.py", config, dump]
    environment = {**ONE_THREAD, "HF_HOME": str(scratch / "cache"), "TUNESMITH_CACHE": str(scratch / "cache")}
    measure.run(command, environment=environment, output=output, one_core=True)
    shutil.rmtree(scratch)
    return json.loads(output.read_text(encoding="utf-8", errors="replace").splitlines()[-1])


def dump_of(work: Path, tool: str, dataset: str) -> Path:
    return work / "tokens" / f"{tool}_{dataset}.npz"


def different_rows(one: Tokens, other: Tokens) -> list[int]:
    """Numbers of the rows whose ids or labels differ; rows that only one side has count as different."""
    shared = min(len(one.lengths), len(other.lengths))
    extra = list(range(shared, max(len(one.lengths), len(other.lengths))))
    ends = np.cumsum(one.lengths)[:shared], np.cumsum(other.lengths)[:shared]
    rows = zip(ends[0] - one.lengths[:shared], ends[0], ends[1] - other.lengths[:shared], ends[1], strict=True)
    return [number for number, (a, b, c, d) in enumerate(rows)
            if not (np.array_equal(one.ids[a:b], other.ids[c:d])
                    and np.array_equal(one.labels[a:b], other.labels[c:d]))] + extra  # fmt: skip


def _figures(seen: list[dict], tokens: int) -> ToolFigures:
    middle = {key: median(run[key] for run in seen) for key in ("wall", "cpu", "peak_mib")}
    return ToolFigures(**middle, rows=seen[0]["rows"], tokens=tokens)
