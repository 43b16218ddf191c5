"""Figures as Markdown: what is printed, and what is kept in results.md."""

import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from documents import DocumentFigures
from merge import PROCESS_MB, MergeFigures
from preprocess import PreprocessFigures
from quantize import Pace, QuantizeFigures
from start import StartFigures
from studio import StudioFigures
from train import Figures, largest_gap

NAMES = {"llamafactory": "LLaMA-Factory", "tunesmith": "Tunesmith"}
Peaks = dict[str, dict[int, float]]


def machine(other: str, packages: str) -> str:
    """What was measured, on what, and how busy it was. packages: the versions on the `other` side."""
    ours = ", ".join(f"{name} {version(name)}" for name in ("tunesmith", "torch", "transformers", "peft"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return "\n".join([
        f"- Date: {date.today().isoformat()}; load average at the start {os.getloadavg()[0]:.1f}",
        f"- Machine: {_cpu_name()}, {os.cpu_count()} cores, {_extensions()}, {memory:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        f"- Tunesmith side: {ours}",
        f"- {other} side: {packages}",
    ])  # fmt: skip


def start_section(figures: StartFigures) -> str:
    rows = [[NAMES[tool], f"{cost.wall:.3f}", f"{cost.cpu:.3f}", f"{cost.peak_mib:.0f}"]
            for tool, cost in figures.cost.items()]  # fmt: skip
    return "\n".join([
        "## Start of the command line",
        f"`llamafactory-cli version` and `tunesmith version` in turn, medians of {figures.runs} runs.\n",
        table(["", "wall s", "CPU s", "peak MiB"], rows),
        goal("starts faster", figures.ratio(), at_least=40),
    ])  # fmt: skip


def studio_section(figures: StudioFigures) -> str:
    theirs, ours, long = figures.tools["llamafactory"], figures.tools["tunesmith"], figures.long
    rows = [[NAMES[tool], f"{of.wall:.2f}", f"{of.cpu:.2f}", _or_dash(of.shown), f"{of.peak_mib:.0f}",
             f"{of.idle_mib:.0f}"] for tool, of in figures.tools.items()]  # fmt: skip
    looks = [[f"{long.reports:,} reports, {long.nbytes / 1e6:.0f} MB", f"{long.first:.2f}", f"{long.again:.3f}",
              _or_dash(long.drawn), f"{long.peak_mib:.0f}"]]  # fmt: skip
    usable = [goal("usable in a browser sooner", theirs.shown / ours.shown)] if theirs.shown and ours.shown else []
    return "\n".join([
        "## The studio",
        f"`llamafactory-cli webui` and `tunesmith webui` started in turn, medians of {figures.runs} run(s): until the "
        "start page is answered whole, and until it can be used in a browser; resident memory of the server at its "
        "highest and at rest after that.\n",
        table(["", "s until answered", "CPU s", "s until usable", "peak MiB", "idle MiB"], rows),
        goal("first page sooner", figures.ratio(lambda of: of.wall), at_least=15),
        goal("fewer CPU seconds until then", figures.ratio(lambda of: of.cpu)),
        *usable,
        goal("peak memory", ours.peak_mib / theirs.peak_mib, at_most=0.2),
        goal("idle memory", ours.idle_mib / theirs.idle_mib, at_most=0.2),
        "\n### Our page of a long run\n",
        table(["", "s, first answer", "s, asked again", "s until the curve is drawn", "peak MiB"], looks).rstrip(),
    ])  # fmt: skip


def preprocess_section(figures: PreprocessFigures) -> str:
    rows = [[NAMES[tool], f"{of.rows_per_second:,.0f}", f"{of.tokens_per_second:,.0f}", f"{of.wall:.2f}",
             f"{of.cpu:.2f}", f"{of.peak_mib:,.0f}"] for tool, of in figures.tools.items()]  # fmt: skip
    theirs, ours = figures.tools["llamafactory"], figures.tools["tunesmith"]
    count = len(figures.different)
    equal = ("ids and labels of every row are equal" if not count else
             f"**{count} of {theirs.rows} rows differ**, first {figures.different[:10]}")  # fmt: skip
    return "\n".join([
        "## Preprocessing",
        f"{theirs.rows:,} alpaca rows ({theirs.tokens:,} tokens, half English, half Chinese) to ids and labels, one "
        f"core, one worker, empty caches, medians of {figures.runs} run(s). The time is that of the data call alone; "
        "memory is that of its whole process.\n",
        table(["", "rows/s", "tokens/s", "wall s", "CPU s", "peak MiB"], rows),
        goal("rows per second", figures.ratio(), at_least=5),
        goal("rows per CPU second, which a busy machine bends less", theirs.cpu / ours.cpu, at_least=5),
        goal("peak memory", ours.peak_mib / theirs.peak_mib, at_most=1),
        f"- {equal}",
    ])  # fmt: skip


def train_section(figures: Sequence[Figures], exact: Sequence[Figures], peaks: Peaks, *, steps: int, runs: int) -> str:
    """`figures` and `exact` begin with llamafactory as written and tunesmith; `exact` holds their fp32 runs."""
    theirs, ours = figures[:2]
    fastest = max((one for one in figures if one.variant.tool == "llamafactory"), key=lambda f: f.tokens_per_second)
    spread = largest_gap(theirs.losses, exact[0].losses)
    return "\n".join([
        "## LoRA training",
        f"148.6 M parameters, vocabulary 151,936, cutoff 512, batch 4, bf16, {steps} steps, {runs} run(s) in turn; "
        "each tool with the thread count that suits it best. Tokens are non-padding tokens; the first two steps are "
        "left out.\n",
        table(["", "tokens/s (median)", "each run", "tokens/CPU-s", "useful GFLOP/s", "share of peak", "peak MiB",
               "s outside the timed steps"], [_train_row(one, peaks) for one in figures]),
        goal("tokens per second, same YAML", ours.tokens_per_second / theirs.tokens_per_second, at_least=4),
        goal("tokens per CPU second, same YAML", ours.tokens_per_cpu_second / theirs.tokens_per_cpu_second),
        goal("tokens per second against its fastest setting", ours.tokens_per_second / fastest.tokens_per_second),
        goal("peak memory, same YAML", ours.peak_mib / theirs.peak_mib, at_most=0.4),
        f"- Matrix product 2048³: {_peaks(peaks)}. The share is useful arithmetic (no padding, no recomputation, "
        "output layer at trained positions only) over the bf16 peak at that thread count.",
        "\n### Losses, step by step\n",
        _losses(theirs, ours, exact),
        f"- Largest gap between the tools: fp32 {largest_gap(exact[0].losses, exact[1].losses):.1e}, "
        f"bf16 {largest_gap(theirs.losses, ours.losses):.1e}; LLaMA-Factory's own bf16 against its fp32: {spread:.1e}.",
    ])  # fmt: skip


def merge_section(figures: Sequence[MergeFigures]) -> str:
    rows = [[f"{one.kind}, {one.nbytes / 1e9:.1f} GB", NAMES[tool], f"{of.wall:.1f}", f"{of.durable:.1f}",
             f"{of.cpu:.1f}", f"{of.peak_mib:,.0f}"] for one in figures for tool, of in one.tools.items()]  # fmt: skip
    return "\n".join([
        "## Merging an adapter",
        "LoRA, rank 8, all linear layers, into bf16 models with random weights; `llamafactory-cli export` and "
        f"`tunesmith export` in turn on the same YAML, medians of {figures[0].runs} run(s). Ours runs with "
        "export_verify=false, since verification is ours alone. Peak memory is the process's peak resident size, "
        "mapped files included, for both.\n",
        table(["model", "", "wall s", "s until on the disk", "CPU s", "peak MiB"], rows),
        *(line for one in figures for line in _merge_lines(one)),
    ])  # fmt: skip


def _merge_lines(one: MergeFigures) -> list[str]:
    name, agreement = f"{one.nbytes / 1e9:.1f} GB", one.agreement
    names = (f"; **{len(agreement.other_names)} tensors differ in name, shape or dtype**, first "
             f"{agreement.other_names[:5]}" if agreement.other_names else "")  # fmt: skip
    return [
        goal(f"{name}: faster", one.ratio(lambda of: of.wall)),
        goal(f"{name}: faster until the result is on the disk", one.ratio(lambda of: of.durable)),
        goal(f"{name}: fewer CPU seconds", one.ratio(lambda of: of.cpu)),
        goal(f"{name}: less memory", one.ratio(lambda of: of.peak_mib)),
        f"- {name}: our peak memory **{one.ours_mb:,.0f} MB** (goal ≤ {PROCESS_MB} MB + 2 × largest tensor = "
        f"{one.bound_mb:,.0f} MB: {'reached' if one.ours_mb <= one.bound_mb else 'not reached'})",
        f"- {name}: the results {'agree' if agreement.holds else '**do not agree**'}: largest gap in "
        f"{agreement.tensors} tensors {agreement.worst:g} spacings of bf16 (goal ≤ 1), {agreement.equal:.4%} of the "
        f"values equal; the adapter moved {agreement.moved:.0%} of the linear layers' values{names}",
    ]  # fmt: skip


def quantize_section(figures: QuantizeFigures) -> str:
    kinds = [[name, *_paces(of), f"{of.error:.5f}", *_weighted_paces(figures.weighted.get(name))]
             for name, of in figures.plain.items()]  # fmt: skip
    files = [[name, *_paces(of), f"{of.wall_theirs:,.0f}", f"{of.wall_ours:,.0f}",
              f"{of.wall_ours / of.wall_theirs:.2f}×"] for name, of in figures.files.items()]  # fmt: skip
    slowest = min(figures.plain, key=lambda name: figures.plain[name].ratio)
    worst = max(of.error for of in (*figures.plain.values(), *figures.weighted.values()))
    return "\n".join([
        "## Quantizing for GGUF",
        "MB of float32 weights per CPU second on one thread, llama.cpp's C code and ours (torch) in turn in one "
        f"process, medians of {figures.runs} run(s). The error is our root mean square error over theirs.\n",
        table(["rows alone", "llama.cpp", "Tunesmith", "ratio", "error", "llama.cpp, importance", "Tunesmith", "ratio",
               "error"], kinds),
        table(["a file of 45M weights to a file", "llama.cpp", "Tunesmith", "ratio", "llama.cpp, MB/s, all cores",
               "Tunesmith, MB/s, all cores", "ratio"], files),
        *(goal(f"{name}, rows alone, speed", figures.plain[name].ratio, at_least=1) for name in ("Q8_0", "Q4_0")),
        goal("q4_k_m on the whole, speed", figures.files["q4_k_m"].ratio, at_least=0.5),
        goal(f"slowest against llama.cpp: {slowest}", figures.plain[slowest].ratio),
        f"- largest error: {worst:.5f} of theirs (goal ≤ 1.001: {'reached' if worst <= 1.001 else 'not reached'})",
    ])  # fmt: skip


def documents_section(figures: DocumentFigures) -> str:
    cutting = figures.cutting
    rows = [
        ["semantic-text-splitter", f"{cutting.theirs:,.0f}", f"{cutting.filled_theirs:.0%}"],
        ["Tunesmith", f"{cutting.ours:,.0f}", f"{cutting.filled_ours:.0%}"],
        ["Tunesmith, tokens estimated", f"{cutting.estimated:,.0f}", ""],
    ]
    return "\n".join([
        "## Documents",
        f"A Chinese novel of {cutting.characters:,} characters read and cut into chunks of 2,048 tokens by Qwen3's "
        f"tokenizer, medians of {figures.runs} run(s). Filled: tokens of the median chunk.\n",
        table(["", "chunks/s", "filled"], rows),
        goal("reading and cutting", cutting.ours / cutting.theirs, at_least=1),
        goal("reading and cutting, tokens estimated", cutting.estimated / cutting.theirs),
        goal("requests on their way, of those allowed", figures.utilisation, at_least=0.95),
    ])  # fmt: skip


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def goal(what: str, ratio: float, *, at_least: float | None = None, at_most: float | None = None) -> str:
    """A ratio with its goal and whether it is reached."""
    if at_least is None and at_most is None:
        return f"- {what}: **{ratio:.2f}×**"
    reached = ratio >= at_least if at_least is not None else ratio <= (at_most or 0)
    bound = f"≥ {at_least:g}×" if at_least is not None else f"≤ {at_most:g}×"
    return f"- {what}: **{ratio:.2f}×** (goal {bound}: {'reached' if reached else 'not reached'})"


def _or_dash(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.2f}"


def _paces(of: Pace) -> list[str]:
    return [f"{of.theirs:,.0f}", f"{of.ours:,.0f}", f"{of.ratio:.2f}×"]


def _weighted_paces(of: Pace | None) -> list[str]:
    return [*_paces(of), f"{of.error:.5f}"] if of else ["–"] * 4


def _train_row(one: Figures, peaks: Peaks) -> list[str]:
    share = one.gflops / peaks["bf16"][one.variant.threads]
    runs = ", ".join(f"{speed:.0f}" for speed in one.speeds)
    threads = f"{one.variant.threads} thread{'s' * (one.variant.threads > 1)}"
    return [f"{NAMES[one.variant.tool]}, {one.variant.name}, {threads}", f"{one.tokens_per_second:.0f}", runs,
            f"{one.tokens_per_cpu_second:.0f}", f"{one.gflops:.0f}", f"{share:.0%}", f"{one.peak_mib:,.0f}",
            f"{one.start_seconds:.1f}"]  # fmt: skip


def _losses(theirs: Figures, ours: Figures, exact: Sequence[Figures]) -> str:
    columns = zip(theirs.losses, ours.losses, exact[0].losses, exact[1].losses, strict=True)
    rows = [[str(step), *(f"{value:.6f}" for value in (a, b)), f"{b - a:+.1e}", *(f"{v:.6f}" for v in (c, d)),
             f"{d - c:+.1e}"] for step, (a, b, c, d) in enumerate(columns, 1)]  # fmt: skip
    return table(
        ["step", "LLaMA-Factory bf16", "Tunesmith bf16", "gap", "LLaMA-Factory fp32", "Tunesmith fp32", "gap"], rows
    )


def _peaks(peaks: Peaks) -> str:
    return "; ".join(f"{name} " + ", ".join(f"{value:.0f} GFLOP/s with {count} thread{'s' * (count > 1)}"
                                            for count, value in by.items()) for name, by in peaks.items())  # fmt: skip


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _extensions() -> str:
    flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    return "/".join(known) or "no AVX"
