"""Tunesmith beside LLaMA-Factory on this machine: start, studio, preprocessing, training, merging, and beside
llama.cpp: quantizing, beside semantic-text-splitter: documents; prints ratios, writes results.md.

    python benchmarks/run.py [--only start|studio|preprocess|train|merge|quantize|documents] [--quick]
                             [--runs N] [--steps N] [--rows N] [--threads 1,2]

The first call installs LLaMA-Factory into an environment of its own under benchmarks/work (minutes, about 2 GB) and
makes the models and data sets. Linux only. A quick call uses small sizes and leaves results.md alone.
"""

import argparse
import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import baseline_env
import corpus
import report
import settings
import work_count
from documents import PEER, measure_documents
from measure import CommandFailed
from merge import measure_merge
from preprocess import Tokens, dump_of, measure_preprocess, tokenize
from quantize import LLAMA_CPP, measure_quantize
from start import measure_start
from studio import REPORTS, measure_studio
from train import Bench, Variant, step_work

import models

HERE = Path(__file__).parent
HEAD = "# Tunesmith beside LLaMA-Factory\n\nWritten by `make bench`; README.md says how it is measured.\n"
PARTS = ("start", "studio", "preprocess", "train", "merge", "quantize", "documents")
ALONE = ("quantize", "documents")  # parts that need no environment with LLaMA-Factory


@dataclass(frozen=True)
class Place:
    """Where things are: the working folder, and each tool's interpreter and command."""

    work: Path
    pythons: dict[str, Path]
    commands: dict[str, Path]


def main() -> None:
    options = arguments()
    wanted = [options.only] if options.only else PARTS
    lock, work = hold(HERE / "work"), HERE / "work"
    theirs = [part for part in wanted if part not in ALONE]
    if theirs:
        beside_llamafactory(prepare_place(work), theirs, options)
    if "quantize" in wanted:
        section = report.quantize_section(measure_quantize(work, runs=options.runs))
        finish(section, report.machine("llama.cpp", LLAMA_CPP), options.quick)
    if "documents" in wanted:
        section = report.documents_section(measure_documents(work, runs=options.runs, quick=options.quick))
        finish(section, report.machine("peer", PEER), options.quick)
    lock.close()


def beside_llamafactory(place: Place, wanted: Sequence[str], options: argparse.Namespace) -> None:
    parts: dict[str, Callable[[], str]] = {
        "start": lambda: report.start_section(measure_start(place.commands, place.work, runs=options.runs + 2)),
        "studio": lambda: report.studio_section(
            measure_studio(
                place.commands, place.work, runs=options.runs, reports=REPORTS // 10 if options.quick else REPORTS
            )
        ),
        "preprocess": lambda: preprocess(place, options.rows, options.runs),
        "train": lambda: train(place, options.steps, options.runs, options.threads),
        "merge": lambda: report.merge_section(
            measure_merge(place.commands, place.work, quick=options.quick, runs=options.runs)
        ),
    }
    machine = report.machine("LLaMA-Factory", installed_there(place))
    for part in wanted:
        finish(parts[part](), machine, options.quick)


def finish(text: str, machine: str, quick: bool) -> None:
    """Print a part's section, and keep it unless the sizes were small."""
    section = f"{text}\n\n{machine}\n"
    print(f"\n{section}", flush=True)
    if not quick:
        keep(HERE / "results.md", section)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Tunesmith beside LLaMA-Factory on this machine.")
    parser.add_argument("--only", choices=PARTS, help="run one part")
    parser.add_argument("--quick", action="store_true", help="small sizes, one run; results.md stays as it is")
    parser.add_argument("--runs", type=int, help="runs of each measurement (3; quick 1)")
    parser.add_argument("--steps", type=int, help="training steps (12; quick 6)")
    parser.add_argument("--rows", type=int, help="rows to preprocess (100000; quick 5000)")
    parser.add_argument("--threads", help="thread counts to try in training (1 and all cores)")
    options = parser.parse_args()
    if not sys.platform.startswith("linux"):
        parser.error("the figures are read from /proc, so the benchmark needs Linux")
    options.runs = options.runs or (1 if options.quick else 3)
    options.steps = options.steps or (6 if options.quick else 12)
    options.rows = options.rows or (5_000 if options.quick else 100_000)
    cores = os.cpu_count() or 1
    options.threads = sorted({int(n) for n in options.threads.split(",")} if options.threads else {1, cores})
    return options


def hold(work: Path) -> TextIO:
    """The lock on the working folder, held until it is closed."""
    work.mkdir(parents=True, exist_ok=True)
    lock = (work / "lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("another benchmark is running here; two at once would measure each other")
    return lock


def prepare_place(work: Path) -> Place:
    """Install, fetch and generate whatever is missing; everything made once stays."""
    baseline = baseline_env.ensure_baseline(work)
    ours = Path(sys.prefix)
    pythons = {"llamafactory": baseline_env.python_of(baseline), "tunesmith": baseline_env.python_of(ours)}
    commands = {"llamafactory": baseline_env.script_of(baseline, "llamafactory-cli"),
                "tunesmith": baseline_env.script_of(ours, "tunesmith")}  # fmt: skip
    return Place(work, pythons, commands)


def preprocess(place: Place, rows: int, runs: int) -> str:
    name = f"alpaca_{rows}"
    models.ensure_model(place.work, "q150m")
    corpus.write_rows(place.work / "data" / f"{name}.json", place.work, rows=rows, mean_length=128, spread=0.7, seed=1)
    settings.register(place.work / "data")
    return report.preprocess_section(measure_preprocess(place.pythons, place.work, name, runs=runs))


def train(place: Place, steps: int, runs: int, counts: Sequence[int]) -> str:
    """Choose each tool's threads, run in turn in bf16, and once in fp32 to compare the arithmetic."""
    bench = training_bench(place)
    written = [Variant("llamafactory", count) for count in counts]
    lean = [Variant("llamafactory", count, "no gradient checkpointing", settings.NO_CHECKPOINTING) for count in counts]
    ours = [Variant("tunesmith", count) for count in counts]
    short = min(steps, 6)
    chosen = [bench.best(variants, steps=short) for variants in (written, ours, lean)]
    figures = bench.in_turn(chosen, steps=steps, runs=runs)
    exact = [Variant(one.tool, one.threads, "fp32", settings.FP32[one.tool]) for one in chosen[:2]]
    return report.train_section(
        figures, bench.in_turn(exact, steps=steps, runs=1), work_count.matmul_peaks(counts), steps=steps, runs=runs
    )


def training_bench(place: Place) -> Bench:
    """The model, adapter and data of the training part. The rows' seed is one that brings a row as long as the cutoff
    within the first steps, since peak memory is that of the longest batch."""
    model = models.ensure_model(place.work, "q150m")
    models.ensure_adapter(place.work, model, rank=settings.RANK)
    data = place.work / "data"
    corpus.write_rows(data / "train_2k.json", place.work, rows=2_000, mean_length=60, spread=0.9, seed=9)
    settings.register(data)
    tokenize("llamafactory", place.pythons["llamafactory"], place.work, "train_2k", cutoff=512)
    tokens = Tokens.load(dump_of(place.work, "llamafactory", "train_2k"))
    shape = models.SHAPES["q150m"]
    work = step_work(
        tokens.lengths,
        tokens.trained(),
        batch=settings.BATCH,
        flops=lambda lengths, trained: work_count.step_flops(shape, lengths, trained, rank=settings.RANK),
    )
    return Bench(place.work, place.commands, work)


def installed_there(place: Place) -> str:
    """The versions in llamafactory's environment."""
    names = ("llamafactory", "torch", "transformers", "peft", "datasets", "tokenizers")
    code = f"from importlib.metadata import version as v; print(', '.join(f'{{n}} {{v(n)}}' for n in {names}))"
    return subprocess.run([place.pythons["llamafactory"], "-c", code], check=True, capture_output=True,
                          text=True, encoding="utf-8").stdout.strip()  # fmt: skip


def keep(results: Path, section: str) -> None:
    """Put a part's section into results.md in place of its older one; the others stay, each with its own date."""
    text = results.read_text(encoding="utf-8") if results.is_file() else HEAD
    head, *sections = re.split(r"(?m)^(?=## )", text)
    by_title = {each.partition("\n")[0]: each.rstrip() for each in [*sections, section]}
    results.write_text("\n\n".join([head.rstrip(), *by_title.values()]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except CommandFailed as failure:
        sys.exit(str(failure))
