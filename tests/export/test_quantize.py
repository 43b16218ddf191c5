"""Quantized safetensors: real libraries where they are installed, and every way a library can fail."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tests.export.adapted_models import adapter_of, load, opened

from tunesmith.config.export import ExportConfig
from tunesmith.config.load import load_job
from tunesmith.errors import UserError
from tunesmith.export import quantize
from tunesmith.export.checkpoint import MARKER, write_checkpoint
from tunesmith.export.quantize import Quantized, find_quantizer, how_to_install, write_quantized
from tunesmith.export.quantizers import QUANTIZERS
from tunesmith.export.verify import held_out_loss
from tunesmith.export.weights import Source
from tunesmith.jobs.opened import Opened
from tunesmith.jobs.quantized import asked_quantization, export_quantized, quantization_line
from tunesmith.jobs.stages import Stages
from tunesmith.text.template import template_for
from tunesmith.text.tokenizer import Tokenizer

rng = random.Random(5)
ROWS = [([rng.randrange(3, 300) for _ in range(40)], [0.0] * 10 + [1.0] * 30) for _ in range(6)]

# Stands for a Python with gptqmodel: answers the probe, and plays a quantization as `PLAY` tells.
DOUBLE = """#!{python}
import json, os, pathlib, sys, time
if sys.argv[1] == "-c":
    found = {{"gptqmodel": {{"version": "7.7.0", "requires": {requires}}}}}
    print(json.dumps({{"found": found, "versions": {{"torch": "2.14.1"}}}}))
    sys.exit()
assert sys.argv[1:3] == ["-m", "tunesmith.export.quantizers.gptqmodel"]
request = json.loads(pathlib.Path(sys.argv[3]).read_text(encoding="utf-8"))
def tell(**facts):
    print(json.dumps(facts), flush=True)
pathlib.Path({seen!r}).write_text(json.dumps({{**request, "pid": os.getpid(), "path": os.environ["PYTHONPATH"],
    "beside": os.listdir(os.environ["PYTHONPATH"])}}), encoding="utf-8")
tell(stage="quantizing")
target = pathlib.Path(request["target"])
def write():
    target.mkdir()
    (target / "model.safetensors").write_bytes(b"weights")
    (target / "config.json").write_text("{{}}", encoding="utf-8")
{play}
"""
GOOD = 'write(); tell(version="7.7.0", loss=2.1, reference_loss=2.0)'


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """`pretended(play)` → the file in which the pretended library leaves its request."""
    if os.name == "nt":
        pytest.skip("the double is a script")

    def make(play: str, requires: list[str] | None = None) -> Path:
        script, seen = tmp_path / "python-double", tmp_path / "seen.json"
        text = DOUBLE.format(python=sys.executable, play=play, seen=str(seen), requires=requires or [])
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
        monkeypatch.setenv(quantize.PYTHON, str(script))
        return seen

    return make


@pytest.fixture
def source(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> Source:
    base = tmp_path / "base"
    shutil.copytree(tiny_model_dir("llama"), base)
    return opened(base, adapter_of(base, tmp_path / "adapter"))


def gptq(source: Source, folder: Path, **options: Any) -> Quantized:
    asked: dict[str, Any] = {"method": "gptq", "bits": 4, "calibration": [ROWS[0][0]], "held_out": ROWS, **options}
    return write_quantized(source, folder, **asked)


def left_beside(folder: Path) -> list[str]:
    return [entry.name for entry in folder.parent.iterdir() if entry.name.startswith(".")]


@pytest.mark.parametrize("method", ["int8", "fp8"])
def test_torchao_writes_a_model_that_loads_and_reads_as_before(method: str, source: Source, tmp_path: Path) -> None:
    folder, merged = tmp_path / "out", tmp_path / "merged"
    stages: list[str] = []

    result = write_quantized(source, folder, method=method, bits=8, calibration=[], held_out=ROWS, report=stages.append)

    write_checkpoint(source, merged, shard_bytes=1 << 30)
    rows = [(np.array(ids, np.int32), np.array(kept, np.float32)) for ids, kept in ROWS]
    assert result.library == "torchao"
    assert result.reference_loss == pytest.approx(held_out_loss(load(merged), rows), abs=1e-4)
    assert result.loss == pytest.approx(held_out_loss(load(folder), rows), abs=1e-4)
    assert 0 < abs(result.loss - result.reference_loss) < 0.2
    assert "Tensor" in type(load(folder).model.layers[0].mlp.up_proj.weight).__name__
    sizes = [(place / "model.safetensors").stat().st_size for place in (folder, merged)]
    assert sizes[0] < 0.75 * sizes[1]  # the embeddings stay, and are half of a tiny model
    for name in ("tokenizer.json", "generation_config.json", "chat_template.jinja"):
        if (merged / name).exists():
            assert (folder / name).read_bytes() == (merged / name).read_bytes()
    assert json.loads((folder / MARKER).read_text(encoding="utf-8"))["quantization"]["library"] == "torchao"
    assert stages == ["merging", "measuring the merged model", f"quantizing with {result.library}",
                      "measuring the quantized model"]  # fmt: skip
    assert left_beside(folder) == []


def test_a_library_in_another_python_is_asked(pretended: Callable[..., Path], source: Source, tmp_path: Path) -> None:
    seen = pretended(GOOD)
    folder = tmp_path / "out"
    (tmp_path / ".out.999999999.part" / "merged").mkdir(parents=True)  # of an export that was killed
    result = gptq(source, folder, bits=3)
    asked = json.loads(seen.read_text(encoding="utf-8"))
    assert (asked["method"], asked["bits"], asked["calibration"]) == ("gptq", 3, [ROWS[0][0]])
    assert asked["beside"] == ["tunesmith"]  # and none of the packages that lie beside it
    assert result == Quantized("gptqmodel", "7.7.0", 2.1, 2.0)
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert (folder / "tokenizer.json").is_file()
    assert left_beside(folder) == []


@pytest.mark.parametrize(
    ("play", "words"),
    [
        ('write(); tell(version="7.7.0", loss=3.5, reference_loss=2.0)', "from 2.000 to 3.500"),
        ('write(); tell(version="7.7.0", loss=float("nan"), reference_loss=2.0)', "nan"),
        ('write(); print("no room left", file=sys.stderr); sys.exit(1)', "no room left"),
        ("os.kill(os.getpid(), 9)", "exit code -9"),
        ('tell(error="The layers are odd.", hint="Take int8."); sys.exit(1)', "layers are odd"),
        ('tell(version="7.7.0", loss=2.0, reference_loss=2.0)', "no safetensors"),
    ],
)
def test_a_failed_quantization_leaves_what_was_there(
    play: str, words: str, pretended: Callable[..., Path], source: Source, tmp_path: Path
) -> None:
    pretended(play)
    folder = tmp_path / "out"
    with pytest.raises(UserError, match=words):
        gptq(source, folder)
    assert not folder.exists() and left_beside(folder) == []

    write_checkpoint(source, folder, shard_bytes=1 << 30)
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match=words):
        gptq(source, folder)
    assert (folder / "model.safetensors").read_bytes() == before and left_beside(folder) == []


def test_an_interrupt_ends_the_library_and_leaves_nothing(
    pretended: Callable[..., Path], source: Source, tmp_path: Path
) -> None:
    seen = pretended("write(); time.sleep(60)")

    def interrupt(stage: str) -> None:
        if stage == "quantizing":
            raise KeyboardInterrupt

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        gptq(source, tmp_path / "out", report=interrupt)
    assert time.monotonic() - begin < 30
    with pytest.raises(ProcessLookupError):
        os.kill(json.loads(seen.read_text(encoding="utf-8"))["pid"], 0)
    assert not (tmp_path / "out").exists() and left_beside(tmp_path / "out") == []


def test_a_missing_library_is_told_with_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(quantize.PYTHON, raising=False)
    monkeypatch.setattr(quantize, "installed", lambda python, packages: {})
    with pytest.raises(UserError) as error:
        find_quantizer("awq", 4)
    for words in ("-m venv", 'pip install "llmcompressor', quantize.PYTHON):
        assert words in error.value.hint
    with pytest.raises(UserError, match="torchao or llmcompressor") as error:
        find_quantizer("fp8", 8)
    assert f'{sys.executable} -m pip install "torchao' in error.value.hint
    assert "venv " not in how_to_install(QUANTIZERS.get("torchao"))


def test_a_library_whose_pins_do_not_fit_is_passed_over(pretended: Callable[..., Path]) -> None:
    pretended(GOOD, requires=["torch<2.10", 'transformers<1; extra == "old"'])
    with pytest.raises(UserError, match=r"without torch<2\.10"):
        find_quantizer("gptq", 2)
    pretended(GOOD, requires=["torch>=2.14.1", 'transformers<1; extra == "old"'])
    assert find_quantizer("gptq", 2).version == "7.7.0"


def test_bits_that_nobody_does_and_a_python_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="awq has no 3 bits") as error:
        find_quantizer("awq", 3)
    assert error.value.field == "export_quantization_bit"
    monkeypatch.setenv(quantize.PYTHON, "/no/such/python")
    with pytest.raises(UserError, match="does not run"):
        find_quantizer("gptq", 3)


def test_gptq_asks_for_texts(pretended: Callable[..., Path], source: Source, tmp_path: Path) -> None:
    pretended(GOOD)
    with pytest.raises(UserError, match="looks at how the model reads"):
        gptq(source, tmp_path / "out", calibration=[])


def test_the_libraries_modules_need_the_standard_library_alone(tmp_path: Path) -> None:
    """They run in Pythons that have none of our dependencies."""
    program = "import sys, importlib\nfor n in sys.argv[1:]: importlib.import_module(n)\nprint(*sys.modules)"
    names = [each.module for _, each in QUANTIZERS]
    told = subprocess.run([sys.executable, "-c", program, *names], stdout=subprocess.PIPE, encoding="utf-8", check=True)
    roots = {name.split(".")[0] for name in told.stdout.split()}
    assert not roots & {"numpy", "torch", "transformers", "pydantic", "packaging", "yaml", "rich"}


@pytest.mark.parametrize(
    ("method", "bits", "meant"),
    [("auto", None, None), ("auto", 3, ("gptq", 3)), ("fp8", None, ("fp8", 8)), ("awq", None, ("awq", 4))],
)
def test_what_is_asked(method: Any, bits: Any, meant: tuple[str, int] | None) -> None:
    export = ExportConfig(export_quantization_method=method, export_quantization_bit=bits)
    assert asked_quantization(export) == meant


def model_and_job(source: Source, tmp_path: Path, **keys: Any) -> tuple[Any, Opened, Console]:
    asked = {"model_name_or_path": source.base, "export_quantization_bit": 4, "export_dir": str(tmp_path / "out"),
             "template": "chatml", **keys}  # fmt: skip
    job = load_job([], asked, verb="export").job
    tokenizer = Tokenizer.load(Path(source.base))
    model = Opened(
        source,
        source,
        tokenizer,
        template_for(job.data, tokenizer).template,
        "tiny",
        tmp_path / "out",
        Stages("reading"),
    )
    return job, model, Console(file=StringIO(), width=200)


def test_a_job_calibrates_with_a_text_and_measures_on_another_part(
    pretended: Callable[..., Path], source: Source, tmp_path: Path
) -> None:
    seen = pretended(GOOD)
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"Line {n}: the capital of France is Paris." for n in range(200)), encoding="utf-8")
    job, model, console = model_and_job(
        source, tmp_path, export_quantization_dataset=str(text), export_quantization_nsamples=7,
        export_quantization_maxlen=32,
    )  # fmt: skip
    line, _ = quantization_line(job, model)
    assert "gptq" in line and "gptqmodel 7.7.0" in line
    assert export_quantized(job, model, console) == tmp_path / "out"
    asked = json.loads(seen.read_text(encoding="utf-8"))
    assert [len(ids) for ids in asked["calibration"]] == [32] * 7
    held = [ids for ids, _ in asked["held_out"]]
    assert held and not any(ids in held for ids in asked["calibration"])
    assert "loss 2.000 → 2.100" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_job_calibrates_with_its_own_data(pretended: Callable[..., Path], source: Source, tmp_path: Path) -> None:
    seen = pretended(GOOD)
    data = tmp_path / "data.jsonl"
    rows = [{"instruction": f"What is {n} and {n}?", "output": f"It is {2 * n}."} for n in range(12)]
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    job, model, console = model_and_job(source, tmp_path, dataset=str(data), dataset_dir=str(tmp_path))
    export_quantized(job, model, console)
    asked = json.loads(seen.read_text(encoding="utf-8"))
    assert (len(asked["calibration"]), len(asked["held_out"])) == (9, 3)
    assert all(0 < sum(kept) < len(ids) for ids, kept in asked["held_out"])  # answers alone are measured


def test_a_job_without_data_measures_on_questions(
    pretended: Callable[..., Path], source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretended(GOOD)
    job, model, console = model_and_job(source, tmp_path, dataset="d")
    job = replace(job, data=replace(job.data, dataset=()))
    with pytest.raises(UserError, match="none is given"):
        export_quantized(job, model, console)
    taken: dict[str, Any] = {}
    monkeypatch.setattr(quantize, "find_quantizer", lambda *asked: replace(found, quantizer=QUANTIZERS.get("torchao")))
    monkeypatch.setattr(
        quantize, "write_quantized", lambda *_, **given: taken.update(given) or Quantized("torchao", "0.18", 2.0, 2.0)
    )
    found = quantize.Installed(QUANTIZERS.get("torchao"), Path(sys.executable), "0.18")
    job = replace(job, export=replace(job.export, export_quantization_method="int8", export_quantization_bit=8))
    export_quantized(job, model, console)
    assert len(taken["held_out"]) >= 4 and taken["calibration"] == []
