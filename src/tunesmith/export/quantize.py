"""Quantized safetensors: merged aside, quantized by a library in its own process, measured, and then put in place.

The libraries ask for releases of torch and transformers that exclude each other, and crash in ways of their own. So
each runs in another process, in whichever Python has it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

import tunesmith
from tunesmith.errors import UserError
from tunesmith.export.checkpoint import write_checkpoint
from tunesmith.export.quantizers import QUANTIZERS, Quantizer
from tunesmith.export.quantizers.child import Request
from tunesmith.export.target import (
    MARKER,
    beside,
    check_target,
    clear_leftovers,
    put_in_place,
    sync,
    told_plainly,
    write_json,
)
from tunesmith.export.weights import Source
from tunesmith.runs.files import read_json

FIELD = "export_quantization_method"
PYTHON = "TUNESMITH_QUANTIZER_PYTHON"
"""Environment variable: Pythons that have such libraries, separated as in PATH."""
MOST_LOST = 1.0
"""Nats by which the loss of a result may rise."""

_LAST_LINES = 12  # of a library's own words, told when it fails
_OURS = ("config.json", "*.safetensors", "*.index.json")  # what the library writes anew; all else is kept
Report = Callable[[str], None]
Rows = Sequence[tuple[Iterable[int], Iterable[float]]]
"""Token ids and a weight for each."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A library that can do what is asked, and the Python that has it."""

    quantizer: Quantizer
    python: Path
    version: str

    @property
    def is_ours(self) -> bool:
        return self.python == Path(sys.executable)


@dataclass(frozen=True, slots=True)
class Quantized:
    """How a result compares on held-out rows; loss and reference_loss in nats per token."""

    library: str
    version: str
    loss: float
    reference_loss: float


def find_quantizer(method: str, bits: int) -> Installed:
    """A library for it: from our own environment if its pins fit there, else from that of TUNESMITH_QUANTIZER_PYTHON.

    UserError, with the commands that install one, where there is none; and where no library has those bits.
    """
    able = sorted((each for _, each in QUANTIZERS if each.can(method, bits)), key=lambda each: each.isolated)
    if not able:
        raise UserError(
            f"{method} has no {bits} bits.",
            hint=f"{method} is done in {', '.join(map(str, known_bits(method)))} bits.",
            field="export_quantization_bit",
        )
    asked = [Path(place).absolute() for place in os.environ.get(PYTHON, "").split(os.pathsep) if place]
    missing: list[str] = []
    for python in [Path(sys.executable), *asked]:
        found = installed(python, [each.package for each in able])
        for each in able:
            if each.package in found and found[each.package]["broken"]:
                missing.append(f"{each.package} in {python} does without {found[each.package]['broken']}")
            elif each.package in found:
                return Installed(each, python, found[each.package]["version"])
    because = f" ({'; '.join(missing)})" if missing else ""
    raise UserError(
        f"{method} in {bits} bits needs {' or '.join(each.package for each in able)}, which is not installed{because}.",
        hint=f"Install it once:\n{how_to_install(able[0])}",
        field=FIELD,
    )


def known_bits(method: str) -> list[int]:
    """The bits that some library does the method in."""
    return sorted({bits for _, each in QUANTIZERS for bits in each.does.get(method, ())}, reverse=True)


def how_to_install(quantizer: Quantizer) -> str:
    """Commands to be typed."""
    wanted = " ".join(f'"{requirement}"' for requirement in quantizer.installs)
    if not quantizer.isolated:
        return f"    {sys.executable} -m pip install {wanted}"
    home = Path.home() / ".tunesmith" / quantizer.package
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    name = "set" if os.name == "nt" else "export"
    return f"    {sys.executable} -m venv {home}\n    {python} -m pip install {wanted}\n    {name} {PYTHON}={python}"


# Runs in any Python, before anything else is known about it.
_PROBE = """
import importlib.metadata as metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        continue
    found[name] = {"version": distribution.version, "requires": distribution.requires or []}
versions = {each.metadata["Name"]: each.version for each in metadata.distributions() if each.metadata["Name"]}
print(json.dumps({"found": found, "versions": versions}))
"""


def installed(python: Path, packages: Sequence[str]) -> dict[str, dict[str, str]]:
    """package → its version and the first of its requirements that is `broken` there ('' if none).

    UserError where `python` does not run.
    """
    try:
        told = subprocess.run(
            [str(python), "-c", _PROBE, *packages], env=_environment(python), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", check=True,
        )  # fmt: skip
        answer = json.loads(told.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise UserError(f"{python} does not run: {error}.", hint=f"Correct {PYTHON}.", field=FIELD) from error
    versions = {name.lower().replace("_", "-"): version for name, version in answer["versions"].items()}
    return {
        name: {"version": each["version"], "broken": _broken(each["requires"], versions)}
        for name, each in answer["found"].items()
    }


def _broken(requirements: Sequence[str], versions: Mapping[str, str]) -> str:
    """Among those on torch and transformers, which libraries quarrel about; the rest is pip's business."""
    for each in map(Requirement, requirements):
        if each.name.lower() not in ("torch", "transformers") or (each.marker and not each.marker.evaluate()):
            continue
        there = versions.get(each.name.lower())
        if there is None or not each.specifier.contains(there, prereleases=True):
            return f"{each.name}{each.specifier}"
    return ""


def write_quantized(
    source: Source, folder: Path, *, method: str, bits: int, calibration: Sequence[Iterable[int]], held_out: Rows,
    device: str = "cpu", trust_remote_code: bool = False, report: Report = lambda stage: None,
    written: Callable[[int, int], None] = lambda done, total: None,
) -> Quantized:  # fmt: skip
    """Merge and quantize the model into `folder`, which is there as a whole at the end or as it was before.

    calibration, held_out: see `quantize_checkpoint`. written: called while merging, as `write_checkpoint` does.
    UserError where the result is not worth keeping.
    """
    found = find_quantizer(method, bits)
    check_target(folder)
    with told_plainly(folder):
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder)
    aside = beside(folder, "part")
    merged, target = aside / "merged", aside / "quantized"
    try:
        report("merging")
        write_checkpoint(source, merged, shard_bytes=5 << 30, report=written)
        result = quantize_checkpoint(
            merged, target, method=method, bits=bits, calibration=calibration, held_out=held_out, device=device,
            trust_remote_code=trust_remote_code, report=report, found=found,
        )  # fmt: skip
        refuse_if_broken(result, method, bits)
        with told_plainly(folder):
            _keep_side_files(merged, target, result)
            put_in_place(target, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return result


def refuse_if_broken(result: Quantized, method: str, bits: int) -> None:
    """UserError where the loss is no number or rose too far."""
    if not math.isfinite(result.loss) or result.loss - result.reference_loss > MOST_LOST:
        raise UserError(
            f"{method} in {bits} bits broke the model: its loss went from {result.reference_loss:.3f} to "
            f"{result.loss:.3f}. Nothing was written.",
            hint="Take more bits, or calibrate with more of your own texts: export_quantization_nsamples.",
            field="export_quantization_bit",
        )


def _keep_side_files(merged: Path, target: Path, result: Quantized) -> None:
    """Tokenizer, template, stop tokens and licence as the merged model has them, and how it was quantized."""
    for file in merged.iterdir():
        if file.is_file() and not any(file.match(pattern) for pattern in _OURS):
            shutil.copy2(file, target / file.name)
    lineage = read_json(target / MARKER) or {}
    lineage["quantization"] = asdict(result)
    write_json(target / MARKER, lineage)
    for file in [*filter(Path.is_file, target.iterdir()), target]:
        sync(file)


def quantize_checkpoint(
    merged: Path, target: Path, *, method: str, bits: int, calibration: Sequence[Iterable[int]], held_out: Rows,
    device: str = "cpu", trust_remote_code: bool = False, report: Report = lambda stage: None,
    found: Installed | None = None,
) -> Quantized:  # fmt: skip
    """Quantize the model in `merged` into the new folder `target`, load that again, and measure both.

    calibration: token ids of samples, for methods that look at how the model reads. held_out: rows to measure on.
    device: `cpu`, or `auto` for a GPU if there is one. report: told what is being done.

    The library runs in another process, which ends with this call, whatever ends it. UserError where it fails.
    """
    found = found or find_quantizer(method, bits)
    calibrated = method in found.quantizer.calibrated
    if calibrated and not calibration:
        raise UserError(
            f"{method} looks at how the model reads real text, and none is given.",
            hint="Set dataset to what it was trained on, or export_quantization_dataset to a text file.",
            field="export_quantization_dataset",
        )
    request = Request(
        merged=str(merged.absolute()), target=str(target.absolute()), method=method, bits=bits,
        calibration=[[int(token) for token in ids] for ids in calibration] if calibrated else [],
        held_out=[([int(token) for token in ids], [float(weight) for weight in kept]) for ids, kept in held_out],
        device=device, trust_remote_code=trust_remote_code,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tunesmith-quantize-") as scratch:
        answer = _run(found, request, Path(scratch), report)
    if not any(target.glob("*.safetensors")):
        raise UserError(f"{found.quantizer.package} {found.version} wrote no safetensors.", hint="Report this.")
    return Quantized(
        found.quantizer.package, str(answer["version"]), float(answer["loss"]), float(answer["reference_loss"])
    )


def _run(found: Installed, request: Request, scratch: Path, report: Report) -> dict[str, Any]:
    """The last thing that the library's process told."""
    request.write(scratch / "request.json")
    log = scratch / "log.txt"
    command = [str(found.python), "-m", found.quantizer.module, str(scratch / "request.json")]
    environment = _environment(found.python)
    if not found.is_ours:
        environment["PYTHONPATH"] = str(_alone(scratch))
    answer: dict[str, Any] = {}
    with (
        log.open("w", encoding="utf-8") as said,
        _process(command, scratch, environment, said) as process,
    ):
        for line in process.stdout:
            answer = json.loads(line)
            if "stage" in answer:
                report(str(answer["stage"]))
    if "error" in answer:
        raise UserError(str(answer["error"]), hint=str(answer["hint"]), field=FIELD)
    if process.returncode or "loss" not in answer:
        raise UserError(
            f"{found.quantizer.package} {found.version} failed (exit code {process.returncode}):\n{_end_of(log)}",
            hint="Where that names memory, a GPU helps: export_device: auto. Otherwise take another method.",
            field=FIELD,
        )
    return answer


@contextmanager
def _process(command: Sequence[str], folder: Path, environment: Mapping[str, str], said: Any) -> Iterator[Any]:
    """A process whose standard output is read here; it does not outlive the block."""
    with subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
        encoding="utf-8",
    ) as process:  # fmt: skip
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _environment(python: Path) -> dict[str, str]:
    """That of this process, without what leads another Python to our packages; no library goes online."""
    ours = python == Path(sys.executable)
    astray = () if ours else ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in astray} | {
        "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false", "PYTHONIOENCODING": "utf-8",
    }  # fmt: skip


def _alone(scratch: Path) -> Path:
    """A folder with Tunesmith and nothing else: beside ours lie packages that would go before the library's own."""
    folder = scratch / "packages"
    folder.mkdir()
    home = Path(tunesmith.__file__).parent
    try:
        (folder / "tunesmith").symlink_to(home, target_is_directory=True)
    except OSError:  # Windows asks for a right
        shutil.copytree(home, folder / "tunesmith", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _end_of(log: Path) -> str:
    with log.open(encoding="utf-8", errors="replace") as file:
        lines = deque((line.rstrip() for line in file if line.strip() and "it/s]" not in line), maxlen=_LAST_LINES)
    return "\n".join(f"    {line}" for line in lines)
