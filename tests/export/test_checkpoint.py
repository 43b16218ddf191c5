"""Checkpoints written weight by weight: whole or not there, loaded by transformers, in little memory."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from tunesmith.errors import UserError
from tunesmith.export import checkpoint
from tunesmith.export.checkpoint import MARKER, plan_shards, preflight, write_checkpoint
from tunesmith.export.merge import open_source
from tunesmith.export.weights import Source, Weight
from tunesmith.models.locate import LocalModel

MB = 1 << 20
write = partial(write_checkpoint, shard_bytes=5 << 30)


@pytest.fixture
def base(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    shutil.copytree(tiny_model_dir("qwen3"), folder)
    return folder


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=2, target_modules=["q_proj", "up_proj"])
    )
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.normal_(std=0.1)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def opened(base: Path, *adapters: Path, **options: Any) -> Source:
    return open_source(LocalModel(base, "folder", base.name), base, adapters, **options)


def nothing_but(folder: Path, *names: str) -> bool:
    return {entry.name for entry in folder.iterdir()} == set(names)


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("shard_bytes", [5 << 30, 100_000, 1])
def test_transformers_answers_as_with_the_adapter(base: Path, adapter: Path, tmp_path: Path, shard_bytes: int) -> None:
    out = tmp_path / "out" / "deeper"
    told: list[tuple[int, int]] = []
    files = write(opened(base, adapter), out, shard_bytes=shard_bytes, report=lambda *bytes: told.append(bytes))
    assert sorted(out.iterdir()) == files
    shards = [file for file in files if file.suffix == ".safetensors"]
    assert (len(shards) > 1) is (out / "model.safetensors.index.json").is_file() is (shard_bytes < 1 << 30)
    assert told == sorted(told) and told[-1] == (opened(base, adapter).nbytes,) * 2
    ids = AutoTokenizer.from_pretrained(out)("What is the capital of France?", return_tensors="pt").input_ids
    ours = AutoModelForCausalLM.from_pretrained(out)
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    with torch.no_grad():
        torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, atol=2e-5, rtol=1e-4)
    lineage = read(out / MARKER)
    assert lineage["base"] == str(base) and lineage["adapters"] == [str(adapter)]
    assert nothing_but(out.parent, "deeper")


def test_every_number_format_is_aligned(tmp_path: Path, base: Path) -> None:
    tensors = {
        "odd": torch.ones(3, dtype=torch.uint8), "half": torch.randn(5).bfloat16(), "flag": torch.tensor([True]),
        "single": torch.randn(2, 3), "scalar": torch.tensor(2.5), "long": torch.arange(3), "empty": torch.ones(0, 4),
    }  # fmt: skip
    weights = [
        Weight(name, tuple(each.shape), each.dtype, partial(torch.clone, each)) for name, each in tensors.items()
    ]
    write(Source(weights, read(base / "config.json"), base, str(base)), tmp_path / "out")
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], each) for name, each in tensors.items())
    raw = (tmp_path / "out" / "model.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    for name, each in tensors.items():
        assert header[name]["data_offsets"][0] % each.element_size() == 0


def test_shards_hold_no_more_than_asked() -> None:
    weights = [Weight(str(i), (size,), torch.uint8, lambda: torch.empty(0)) for i, size in enumerate([3, 3, 9, 1, 2])]
    assert [[weight.nbytes for weight in shard] for shard in plan_shards(weights, 6)] == [[3, 3], [9], [1, 2]]


def test_legacy_files(base: Path, adapter: Path, tmp_path: Path) -> None:
    files = write(opened(base, adapter), tmp_path / "out", shard_bytes=100_000, legacy=True)
    pickled = [file for file in files if file.suffix == ".bin"]
    assert len(pickled) > 1 and not list((tmp_path / "out").glob("*.safetensors*"))
    index = read(tmp_path / "out" / "pytorch_model.bin.index.json")["weight_map"]
    found = {name: each for file in pickled for name, each in torch.load(file, weights_only=True).items()}
    assert found.keys() == index.keys()
    assert all(torch.equal(found[weight.name], weight.read()) for weight in opened(base, adapter).weights)


# What lies beside the weights


def test_configuration_and_stop_tokens_agree(base: Path, adapter: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    end, other = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    for name in ("config.json", "generation_config.json"):  # a base model: answers don't end as the template says
        written = read(base / name) if (base / name).is_file() else {}
        (base / name).write_text(json.dumps({**written, "eos_token_id": other, "temperature": 0.6}), encoding="utf-8")
    write(opened(base, adapter, dtype=torch.bfloat16), tmp_path / "out")
    config = read(tmp_path / "out" / "config.json")
    assert config["dtype"] == "bfloat16" and config["architectures"] == ["Qwen3ForCausalLM"]
    assert config["eos_token_id"] == [end, other]
    generation = GenerationConfig.from_pretrained(tmp_path / "out")
    assert generation.eos_token_id == [end, other] and generation.temperature == 0.6


def test_the_template_of_the_training_goes_along(base: Path, adapter: Path, tmp_path: Path) -> None:
    template = (
        "{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}<|endoftext|>{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    (adapter / "chat_template.jinja").write_text(template, encoding="utf-8")
    write(opened(base, adapter), tmp_path / "out")
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == template
    assert read(tmp_path / "out" / "tokenizer_config.json")["chat_template"] == template
    stop = AutoTokenizer.from_pretrained(base).convert_tokens_to_ids("<|endoftext|>")
    assert read(tmp_path / "out" / "config.json")["eos_token_id"][0] == stop


def test_licence_and_sentencepiece_come_from_the_base(base: Path, adapter: Path, tmp_path: Path) -> None:
    (base / "LICENSE").write_text("Apache 2.0", encoding="utf-8")
    (base / "tokenizer.model").write_bytes(b"pieces")
    vocabulary = tmp_path / "vocabulary"
    shutil.copytree(base, vocabulary, ignore=shutil.ignore_patterns("*.safetensors", "LICENSE", "tokenizer.model"))
    place = LocalModel(base, "folder", "base")
    write(open_source(place, vocabulary, [adapter]), tmp_path / "out")
    assert (tmp_path / "out" / "LICENSE").read_text(encoding="utf-8") == "Apache 2.0"
    assert (tmp_path / "out" / "tokenizer.model").read_bytes() == b"pieces"
    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(vocabulary)
    write(open_source(place, vocabulary, []), tmp_path / "grown")
    assert not (tmp_path / "grown" / "tokenizer.model").exists()


# Never half


def failing(source: Source, error: BaseException) -> Source:
    """Its third weight can't be read."""

    def fail() -> torch.Tensor:
        raise error

    weights = list(source.weights)
    weights[2] = Weight(weights[2].name, weights[2].shape, weights[2].dtype, fail)
    return Source(weights, source.config, source.folder, source.base)


def test_ctrl_c_leaves_nothing(base: Path, tmp_path: Path) -> None:
    place = tmp_path / "exports"
    with pytest.raises(KeyboardInterrupt):
        write(failing(opened(base), KeyboardInterrupt()), place / "out")
    assert nothing_but(place)


def test_a_full_disk(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Any, data: Any) -> None:
        if len(data) > 20_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.write(data)

    monkeypatch.setattr(checkpoint, "_write_all", full)
    with pytest.raises(UserError, match="No space left") as told:
        write(opened(base), tmp_path / "exports" / "out")
    assert "free some space" in told.value.hint and told.value.field == "export_dir"
    assert nothing_but(tmp_path / "exports")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_may_not_grow(base: Path, tmp_path: Path, legacy: bool) -> None:
    script = f"""
import resource, signal, sys
from pathlib import Path
sys.path[:0] = {sys.path!r}
from tunesmith.errors import UserError
from tunesmith.export.checkpoint import write_checkpoint
from tunesmith.export.merge import open_source
from tunesmith.models.locate import LocalModel
base = Path({str(base)!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
try:
    write_checkpoint(open_source(LocalModel(base, "folder", "base"), base, []), Path({str(tmp_path / "x" / "out")!r}),
                     shard_bytes=1 << 30, legacy={legacy})
except UserError as error:
    print("told:", error)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8")
    assert "told: Can't write" in ran.stdout, ran.stderr
    assert nothing_but(tmp_path / "x")


def test_sigkill_leaves_nothing_under_the_name_and_the_next_export_clears_up(base: Path, tmp_path: Path) -> None:
    place = tmp_path / "exports"
    script = f"""
import sys, time
from pathlib import Path
sys.path[:0] = {sys.path!r}
from tunesmith.export.checkpoint import write_checkpoint
from tunesmith.export.merge import open_source
from tunesmith.models.locate import LocalModel
base = Path({str(base)!r})
def report(done, total):
    print(done, flush=True)
    if done > total // 2:
        time.sleep(60)
write_checkpoint(open_source(LocalModel(base, "folder", "base"), base, []), Path({str(place / "out")!r}),
                 shard_bytes=60_000, report=report)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    half = opened(base).nbytes // 2
    while int(process.stdout.readline()) <= half:
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (place / "out").exists() and len(list(place.iterdir())) == 1
    write(opened(base), place / "out")
    assert nothing_but(place, "out")


def test_an_earlier_export_is_replaced_as_a_whole(base: Path, adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "exports" / "out"
    write(opened(base), out, shard_bytes=50_000)
    with pytest.raises(ZeroDivisionError):
        write(failing(opened(base, adapter), ZeroDivisionError()), out)
    assert len(list(out.glob("*.safetensors"))) > 1
    write(opened(base, adapter), out)
    assert [file.name for file in out.glob("*.safetensors*")] == ["model.safetensors"]
    assert read(out / MARKER)["adapters"] == [str(adapter)]
    assert nothing_but(tmp_path / "exports", "out")


def test_an_export_that_was_being_replaced_comes_back(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "exports" / "out"
    write(opened(base), out)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    out.rename(out.with_name(f".out.{dead.pid}.old"))  # killed between the two renames
    with pytest.raises(ZeroDivisionError):
        write(failing(opened(base), ZeroDivisionError()), out)
    assert nothing_but(tmp_path / "exports", "out") and (out / "model.safetensors").is_file()


def test_a_folder_that_is_no_export_is_left_alone(base: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    for run in (write, preflight):
        with pytest.raises(UserError, match="no earlier export"):
            run(opened(base), tmp_path / "mine")
    assert nothing_but(tmp_path / "mine", "thesis.txt")
    (tmp_path / "empty").mkdir()
    write(opened(base), tmp_path / "empty")


# What it takes


def test_preflight(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(base)
    needs = preflight(source, tmp_path / "a" / "b")
    assert needs.disk > source.nbytes and needs.memory > 2 * source.largest
    assert preflight(source, tmp_path / "a", shard_bytes=1 << 30, legacy=True).memory > needs.memory
    free = shutil.disk_usage(tmp_path)._replace(free=source.nbytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: free)
    with pytest.raises(UserError, match=r"needs \d+ MB and its disk has"):
        preflight(source, tmp_path / "a")


def test_memory_is_that_of_one_weight(base: Path, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    weights = [
        Weight(f"layer.{i}", (1024, 4096), torch.float32, partial(torch.zeros, 1024, 4096)) for i in range(24)
    ]  # 16 MiB each, 384 MiB in all
    write(Source(weights, read(base / "config.json"), base, str(base)), tmp_path / "out")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < 80 * MB
