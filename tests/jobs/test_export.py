"""From a trained adapter to files that others run: the whole way on a tiny model, held against the trained one."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.export.ollama_double import OllamaDouble
from tests.export.test_go_template import rendered

from tunesmith.cli.main import main
from tunesmith.export.verify import Quality
from tunesmith.finding import Finding
from tunesmith.jobs.handles import TrainedRun
from tunesmith.jobs.opened import progress, terminal
from tunesmith.jobs.stages import Stages
from tunesmith.models.gguf import file
from tunesmith.models.gguf.file import open_gguf

ROWS = [{"instruction": f"Question {n}?", "output": f"Answer {n}, in a few words."} for n in range(8)]


@pytest.fixture(scope="module")
def trained(tiny_model_dir: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA run of two steps, its adapter far from zero."""
    folder = tmp_path_factory.mktemp("export")
    data = folder / "rows.json"
    data.write_text(json.dumps(ROWS), encoding="utf-8")
    keys = {
        "model_name_or_path": tiny_model_dir("qwen3"), "dataset": data, "output_dir": folder / "mine", "max_steps": 2,
        "learning_rate": 0.02, "warmup_steps": 0, "use_cpu": "true", "precision": "fp32", "save_strategy": "no",
        "report_to": "none", "val_size": 2,
    }  # fmt: skip
    assert main(["train", *(f"{key}={value}" for key, value in keys.items())]) == 0
    return folder / "mine"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OLLAMA_HOST", raising=False)


@pytest.fixture
def ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OllamaDouble]:
    with OllamaDouble(tmp_path / "store", go=lambda source, messages: rendered([(source, messages)])[0]) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        yield server


def test_a_run_becomes_gguf_files_that_answer_as_it_does(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(trained), "--quant", "f32,q8_0"]) == 0
    said = capsys.readouterr().out
    folder = Path("exports/mine")
    assert {"mine-f32.gguf", "mine-q8_0.gguf", "Modelfile", "README.md", "quality.png", "export.yaml"} <= {
        file.name for file in folder.iterdir()
    }
    exact = next(line for line in said.splitlines() if "mine-f32.gguf" in line and "pass" in line)
    assert "100%" in exact
    assert "0.0000" in exact
    modelfile = (folder / "Modelfile").read_text(encoding="utf-8")
    assert modelfile.startswith("FROM ./mine-q8_0.gguf\n")
    assert 'PARAMETER stop "<|im_end|>"' in modelfile
    assert "num_ctx 256" in modelfile  # what the model takes
    assert main(["verify", str(folder / "mine-f32.gguf")]) == 0


def test_merged_safetensors_are_the_default_and_are_verified(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(trained), "--export-dir", "merged"]) == 0
    assert Path("merged/model.safetensors").is_file()
    assert re.search(r"merged .*100%.*pass", capsys.readouterr().out)
    assert main(["export", str(trained), "--export-dir", "merged"]) == 0, "its own earlier export is replaced"


def test_a_dry_run_writes_nothing(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(trained), "--to", "gguf,safetensors", "--dry-run"]) == 0
    assert "mine-f16.gguf" in capsys.readouterr().out
    assert not Path("exports").exists()


def test_a_dry_run_reads_the_header_of_a_gguf_base_once(smollm2_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, read = list[Path](), file._open
    monkeypatch.setattr(file, "_open", lambda path: (opened.append(path), read(path))[1])
    asked = ["export", "--base", str(smollm2_gguf), "--to", "gguf", "--export-dir", "out", "--dry-run"]
    for times in (1, 2):  # the next one reads it anew: the file may be another
        assert main(asked) == 0 and len(opened) == times


def test_llama_factorys_keys_export_too(trained: Path) -> None:
    base = json.loads((trained / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    config = Path("merge.yaml")
    config.write_text(
        f"model_name_or_path: {base}\nadapter_name_or_path: {trained}\nfinetuning_type: lora\ntemplate: qwen\n"
        "export_dir: out\nexport_size: 2\nexport_device: cpu\nexport_legacy_format: false\n",
        encoding="utf-8",
    )
    assert main(["export", str(config)]) == 0
    assert Path("out/model.safetensors").is_file()


def test_the_adapter_alone_becomes_a_small_file(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(trained), "--to", "gguf-adapter"]) == 0
    assert (Path("exports/mine") / "mine-lora.gguf").stat().st_size < 1e6
    assert f"--lora {Path('exports/mine/mine-lora.gguf')}" in capsys.readouterr().out


def test_importance_is_measured_on_a_text(trained: Path) -> None:
    Path("text.txt").write_text("The quick brown fox jumps over the lazy dog. " * 20, encoding="utf-8")
    assert main(["export", str(trained), "--quant", "q8_0,q4_0", "export_importance_data=text.txt"]) in (0, 1)
    assert (Path("exports/mine") / "mine-q4_0.gguf").is_file()


def test_a_model_goes_to_ollama_and_its_prompts_are_read_back(
    trained: Path, ollama: OllamaDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(trained), "--quant", "q8_0", "--ollama", "小明"]) == 0
    said = capsys.readouterr().out
    assert "5 conversations as trained" in said
    assert len(ollama.store.names()) == 1


def test_without_a_server_nothing_is_begun_and_the_way_by_hand_is_told(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    for dry in ([], ["--dry-run"]):
        assert main(["export", str(trained), "--quant", "q8_0", "--ollama", "mine", *dry]) == 2
        told = capsys.readouterr().err
        assert f"ollama create mine -f {Path('exports/mine/Modelfile')}" in told
        assert not Path("exports").exists()


def test_an_adapter_alone_goes_on_top_of_a_base_that_the_server_has(
    trained: Path, ollama: OllamaDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    base = json.loads((trained / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    alone = ["export", str(trained), "--to", "gguf-adapter", "--ollama", "mine"]
    assert main(alone) == 2
    assert "--ollama-base" in capsys.readouterr().err
    assert main([*alone, "--ollama-base", "mybase"]) == 2
    assert "mybase" in capsys.readouterr().err
    assert not Path("exports").exists()
    asked = ["--base", base, "--to", "gguf", "--export-dir", "base", "--ollama", "mybase", "template=qwen"]
    assert main(["export", *asked, "export_verify=false"]) == 0
    assert main([*alone, "--ollama-base", "mybase"]) == 0
    assert "5 conversations as trained" in capsys.readouterr().out
    modelfile = Path("exports/mine/Modelfile").read_text(encoding="utf-8")
    assert modelfile.startswith("FROM mybase\nADAPTER ./mine-lora.gguf\n")
    kinds = [layer["mediaType"].rpartition(".")[2] for layer in ollama.store.layers("mine")]
    assert {"model", "adapter"} <= set(kinds)
    ollama.takes_adapters = False
    assert main([*alone, "--ollama-base", "mybase"]) == 2
    assert "export the merged model" in capsys.readouterr().err


def test_a_model_of_ollamas_gives_its_name_to_the_files(
    trained: Path, ollama: OllamaDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = json.loads((trained / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    quick = "export_verify=false"
    asked = ["--base", base, "--to", "gguf", "--export-dir", "base", "--ollama", "tiny:7b", "template=qwen", quick]
    assert main(["export", *asked]) == 0
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "store"))
    assert main(["export", "--base", "ollama:tiny:7b", "--quant", "q8_0", "template=qwen", quick]) == 0
    assert Path("exports/tiny-7b/tiny-7b-q8_0.gguf").is_file()


def test_what_a_modelfile_can_not_hold_is_told_before_anything_is_written(
    trained: Path, ollama: OllamaDouble, capsys: pytest.CaptureFixture[str]
) -> None:
    system = 'default_system=Say "hi"\nand "ho"""\n"'
    assert main(["export", str(trained), "--quant", "q8_0", system]) == 2
    assert "no way to write this system" in capsys.readouterr().err
    assert not Path("exports").exists()
    assert main(["export", str(trained), "--quant", "q8_0", system, "--ollama", "mine", "export_verify=false"]) == 0
    said = capsys.readouterr().out
    assert "None is written" in said
    assert not Path("exports/mine/Modelfile").exists()


def test_an_upload_without_a_login_is_told_before_anything_is_written(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert main(["export", str(trained), "--hub", "me/mine", "--dry-run"]) == 2
    assert "hf auth login" in capsys.readouterr().err
    assert main(["export", str(trained), "--hub", "me/mine"]) == 2
    assert not Path("exports").exists()


def test_the_plan_names_every_file(trained: Path, ollama: OllamaDouble, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--to", "gguf-adapter,safetensors,gguf", "export_legacy_format=true", "--ollama", "mine", "--compare"]
    assert main(["export", str(trained), *asked, "--dry-run"]) == 0
    said = capsys.readouterr().out
    for told in ("mine-lora.gguf", "pytorch_model.bin", "mine-q4_k_m.gguf", f"Ollama 0.33.0 at {ollama.url}: mine"):
        assert told in said


def test_an_adapter_that_gguf_can_not_hold_is_told_before_anything_is_written(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = tmp_path / "dora"
    shutil.copytree(trained, adapter)
    settings = adapter / "adapter_config.json"
    told = json.loads(settings.read_text(encoding="utf-8"))
    settings.write_text(json.dumps({**told, "bias": "all"}), encoding="utf-8")
    base = told["base_model_name_or_path"]
    asked = ["--base", base, "--adapter", str(adapter), "--to", "gguf,gguf-adapter", "--export-dir", "out"]
    assert main(["export", *asked, "template=qwen"]) == 2
    assert "a GGUF adapter can't say that" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_tokenizer_that_gguf_can_not_name_is_told_before_weights_are_merged(
    tiny_model_dir: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_model_dir("qwen3"), "base")
    file = Path("base/tokenizer.json")
    spec = json.loads(file.read_text(encoding="utf-8"))
    cut = {"type": "Split", "pattern": {"Regex": "[aeiou]"}, "behavior": "Isolated", "invert": False}
    spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [cut, spec["pre_tokenizer"]]}
    file.write_text(json.dumps(spec), encoding="utf-8")
    assert main(["export", "--base", "base", "--to", "safetensors,gguf", "--export-dir", "out", "template=qwen"]) == 2
    assert "gguf_pre" in capsys.readouterr().err
    assert not Path("out").exists()


def test_an_export_is_verified_from_anywhere(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("runs").mkdir()
    shutil.copytree(trained, "runs/mine")
    base = json.loads((trained / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    shutil.copytree(base, "base")
    shutil.copyfile(trained.parent / "rows.json", "rows.json")
    asked = ["--base", "base", "--adapter", "runs/mine", "--to", "gguf", "--export-dir", "out", "template=qwen"]
    assert main(["export", *asked, "dataset=rows.json", "export_verify=false"]) == 0
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert main(["verify", "../out"]) == 0


def test_files_of_an_earlier_export_are_told(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(trained), "--quant", "f16,f32"]) == 0
    assert Path("exports/mine/quality.png").is_file()
    capsys.readouterr()
    assert main(["export", str(trained), "--quant", "f16"]) == 0
    said = capsys.readouterr().out
    assert "of an earlier export: mine-f32.gguf" in said
    assert "replaces mine-f16.gguf of an earlier" in said and "keeps mine-f32.gguf of an earlier" in said
    rows = json.loads(Path("exports/mine/quality.json").read_text(encoding="utf-8"))["files"]
    assert sorted(row["file"] for row in rows) == ["mine-f16.gguf", "mine-f32.gguf"], "what stays keeps its verdict"
    assert not Path("exports/mine/quality.png").exists(), "it shows files as they were"


def test_progress_is_told_in_a_log_too(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 4.0, 12.0, 13.0, 30.0])
    with progress(terminal(), Stages("reading"), "writing x", clock=lambda: next(times)) as report:
        for done in (1, 3, 4, 9):
            report(done * 100_000_000, 1_000_000_000)
    assert capsys.readouterr().out.splitlines() == [
        "writing x  30%, 300 MB of 1.0 GB, about 28 s left",
        "writing x  90%, 900 MB of 1.0 GB, about 3 s left",
    ]


def test_a_file_of_another_model_does_not_pass(
    trained: Path, tiny_model_dir: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    other = tiny_model_dir("qwen3", hidden_size=32)
    assert main(["export", "--model", str(other), "--quant", "f16", "--export-dir", "other", "template=qwen"]) == 0
    capsys.readouterr()
    assert main(["verify", "other/other-f16.gguf", "--run", str(trained)]) == 1
    assert "fail" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--quant", "q4_k_n"], "q4_k_m"),
        (["--to", "ggfu"], "gguf"),
        (["--quant", "q8_0", "export_importance_data=nowhere.txt"], "no file nowhere.txt"),
    ],
)
def test_mistakes_are_told(trained: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(trained), *arguments]) == 2
    assert told in capsys.readouterr().err


def test_files_that_lie_beside_an_earlier_export_stay(trained: Path) -> None:
    quick = "export_verify=false"
    assert main(["export", str(trained), "--quant", "f16", quick]) == 0
    folder = Path("exports/mine")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert main(["export", str(trained), "export_size=0.0001", quick]) == 0
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert main(["export", str(trained), quick]) == 0
    assert [file.name for file in folder.glob("*.safetensors")] == ["model.safetensors"], "its own shards are replaced"
    assert (folder / "mine-f16.gguf").is_file()
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_file_that_is_cut_short_fails(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(trained), "--quant", "f16", "export_verify=false"]) == 0
    file = Path("exports/mine/mine-f16.gguf")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    capsys.readouterr()
    assert main(["verify", str(file)]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "mine-f16.gguf" in told and "it is cut short" in told and "Download or copy it again" in told


def test_what_does_not_answer_as_trained_goes_nowhere(
    trained: Path, ollama: OllamaDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Quality, "verdict", Finding("fail", "file", "worse"))
    assert main(["export", str(trained), "--quant", "q8_0", "--ollama", "mine"]) == 1
    assert ollama.store.names() == []


def test_an_old_server_serves_what_it_can_not_show(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OllamaDouble(tmp_path / "store", version="0.9.0") as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert main(["export", str(trained), "--quant", "q8_0", "--ollama", "mine"]) == 0
        assert len(server.store.names()) == 1


def test_a_default_system_message_is_part_of_the_exported_template(trained: Path) -> None:
    asked = ["default_system=你是小明。", "--to", "gguf,safetensors", "--export-dir", "both"]
    assert main(["export", str(trained), *asked]) == 0, "prompts without a system message are the training's"
    assert "你是小明。" in Path("both/chat_template.jinja").read_text(encoding="utf-8")
    assert "SYSTEM 你是小明。" in Path("both/Modelfile").read_text(encoding="utf-8")


def test_what_a_killed_export_left_is_cleared(trained: Path) -> None:
    folder = Path("exports/mine")
    assert main(["export", str(trained), "--quant", "f16", "export_verify=false"]) == 0
    (folder / ".mine-f16.gguf.999999999.part").write_bytes(b"half")
    assert main(["export", str(trained), "--quant", "f16", "export_verify=false"]) == 0
    assert list(folder.glob(".*")) == []


@pytest.mark.parametrize("form", ["gguf", "safetensors"])
def test_a_folder_of_other_files_is_left_alone(trained: Path, form: str) -> None:
    Path("mine").mkdir()
    Path("mine/README.md").write_text("my own", encoding="utf-8")
    assert main(["export", str(trained), "--to", form, "--export-dir", "mine"]) == 2
    assert [file.name for file in Path("mine").iterdir()] == ["README.md"]


def test_stretched_positions_are_in_the_export(trained: Path) -> None:
    asked = ["rope_scaling=linear", "cutoff_len=1024", "--export-dir", "long", "export_verify=false"]
    assert main(["export", str(trained), *asked]) == 0
    config = json.loads(Path("long/config.json").read_text(encoding="utf-8"))
    assert config["max_position_embeddings"] == 1024
    assert config["rope_parameters"]["rope_type"] == "linear"


def test_python_exports_a_run(trained: Path) -> None:
    folder = TrainedRun(trained).export(export_quant="f16")
    assert (folder / "mine-f16.gguf").is_file()


def test_verify_needs_to_know_the_trained_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    assert main(["verify", "a.gguf"]) == 2
    assert "--run RUN" in capsys.readouterr().err


def test_a_base_that_tells_little_still_ends_its_answers(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    """An end token that config.json alone knows, and no tokenizer_config.json for the template to stand in."""
    base = tmp_path / "base"
    shutil.copytree(tiny_model_dir("llama"), base)
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    first = config["eos_token_id"]
    (base / "config.json").write_text(json.dumps(config | {"eos_token_id": [first, 5]}), encoding="utf-8")
    (base / "generation_config.json").write_text('{"temperature": 0.5}', encoding="utf-8")
    (base / "tokenizer_config.json").unlink()
    asked = [f"model_name_or_path={base}", "template=chatml", "export_to=safetensors,gguf", "export_quant=f16"]
    assert main(["export", *asked, "export_dir=out", "export_verify=false"]) == 0
    generation = json.loads(Path("out/generation_config.json").read_text(encoding="utf-8"))
    assert {first, 5} <= set(generation["eos_token_id"])
    assert "<|im_start|>" in Path("out/chat_template.jinja").read_text(encoding="utf-8")
    tokenizer = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    text = next(word for word, number in tokenizer["model"]["vocab"].items() if number == 5)
    assert f'PARAMETER stop "{text}"' in Path("out/Modelfile").read_text(encoding="utf-8")
    (written,) = Path("out").glob("*.gguf")
    assert "im_start" in open_gguf(written).metadata["tokenizer.chat_template"]


def test_characters_that_ollama_drops_from_a_modelfile_are_told(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--to", "gguf", "--quant", "f16", "export_verify=false", "default_system=You\u3000are\u00a0Tuna."]
    assert main(["export", str(trained), *asked]) == 0
    assert "U+3000" in capsys.readouterr().out
