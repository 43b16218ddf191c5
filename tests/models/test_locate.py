"""From what a user calls a model to a place on this machine, and what is said when there is none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tunesmith.config.model import ModelConfig
from tunesmith.errors import UserError
from tunesmith.models.locate import locate, missing_place

TinyModel = Callable[..., Path]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def refused(path: Path | str, **settings: object) -> UserError:
    with pytest.raises(UserError) as told:
        locate(ModelConfig(model_name_or_path=str(path), **settings))
    assert told.value.field == "model_name_or_path"
    return told.value


def copied(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))


def test_a_folder_and_a_gguf_file_are_found(tiny_model_dir: TinyModel, smollm2_gguf: Path) -> None:
    folder = tiny_model_dir("qwen3")
    found = locate(ModelConfig(model_name_or_path=str(folder)))
    assert (found.path, found.kind, found.name) == (folder, "folder", "tiny-qwen3")
    assert locate(ModelConfig(model_name_or_path=str(smollm2_gguf))).kind == "gguf"


def test_the_hub_cache_folder_leads_to_its_main_snapshot(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    cached = tmp_path / "models--acme--tiny"
    copied(tiny_model_dir(), cached / "snapshots" / "new")
    copied(tiny_model_dir(), cached / "snapshots" / "old")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("old", encoding="utf-8")
    for asked in (cached, cached / "snapshots"):
        found = locate(ModelConfig(model_name_or_path=str(asked)))
        assert found.path == cached / "snapshots" / "old" and found.name == "tiny"
    os.utime(cached / "snapshots" / "old", (1, 1))
    (cached / "refs" / "main").unlink()
    assert locate(ModelConfig(model_name_or_path=str(cached))).path.name == "new"


def test_a_missing_path_names_its_neighbours(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    copied(tiny_model_dir(), tmp_path / "qwen3-mine")
    assert f"Did you mean {tmp_path / 'qwen3-mine'}?" in refused(tmp_path / "qwen3-mien").hint
    assert str(tmp_path) in refused(tmp_path / "deep" / "deeper" / "model").hint
    assert "no file" in refused("./none.gguf").message


def test_what_looks_like_a_path_is_not_asked_of_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo" / "run").mkdir(parents=True)
    for file in ("Qwen/small/config.json", "mine/full/config.json", "mine/full/state.json"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    for asked in ("saves/a", "./a", "~/no-such-folder", "/no-such-folder", "demo/other", "mine/other", "demo/a/b"):
        told = missing_place(asked)
        assert told is not None and told.message == f"There is no folder {asked}." and told.hint, asked
    assert "Did you mean demo/run?" in refused("demo/ran").hint
    assert f"{tmp_path / 'demo'} holds run." in refused("demo/other").hint
    # A name alone, an owner that has no folder here, and one whose other models lie in a folder of his name.
    for asked in ("gpt2", "acme/tiny", "Qwen/large", "demo/run"):
        assert missing_place(asked) is None, asked


def test_an_adapter_given_as_the_model_says_its_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "acme/base"}', encoding="utf-8")
    told = refused(tmp_path)
    assert "is an adapter" in told.message and "acme/base" in told.message
    assert f"adapter_name_or_path: {tmp_path}" in told.hint


def test_pickled_weights_are_refused_with_the_way_to_convert(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    folder = copied(tiny_model_dir(), tmp_path / "old")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    told = refused(folder)
    assert "pickle" in told.message and "save_pretrained" in told.hint


def test_folders_that_hold_no_model_are_told_apart(
    tiny_model_dir: TinyModel, tmp_path: Path, smollm2_gguf: Path
) -> None:
    bare = copied(tiny_model_dir(), tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    assert "no weights" in refused(bare).message
    assert locate(ModelConfig(model_name_or_path=str(bare), train_from_scratch=True)).path == bare
    assert str(bare) in refused(tmp_path).hint  # the model is one folder further down
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(tmp_path / "empty").hint
    assert str(smollm2_gguf) in refused(smollm2_gguf.parent).hint
    assert "folder that holds it" in refused(tiny_model_dir() / "model.safetensors").hint


def test_incomplete_weights_are_told_before_loading(tiny_model_dir: TinyModel, tmp_path: Path) -> None:
    cut = copied(tiny_model_dir(), tmp_path / "cut")
    whole = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(whole[:-10])
    assert "cut short" in refused(cut).message
    (cut / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "git-lfs pointer" in refused(cut).message
    (cut / "model.safetensors").write_bytes(b"<html>" * 9)
    assert "not a safetensors file" in refused(cut).message
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (cut / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (cut / "model-00001-of-00002.safetensors").write_bytes(whole)
    assert "model-00002-of-00002.safetensors" in refused(cut).message
    (tmp_path / "fake.gguf").write_bytes(b"<!doctype html>")
    assert "not a GGUF file" in refused(tmp_path / "fake.gguf").message


def test_no_model_at_all_is_asked_for() -> None:
    assert "hub id" in refused("").hint


def test_modelscope_names_the_extra_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    assert "tunesmith[modelscope]" in refused("qwen/tiny").hint
    monkeypatch.delenv("USE_MODELSCOPE_HUB")
    assert "tunesmith[modelscope]" in refused("qwen/tiny", hub_name="modelscope").hint


def test_the_hub_of_a_job_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "tunesmith[modelscope]" not in refused("qwen/tiny", hub_name="huggingface").hint


class Hub(BaseHTTPRequestHandler):
    """The few answers of a model hub that a download needs."""

    files: dict[str, bytes]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if "acme/secret" in path:
            return self._answer(401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        if "acme/broken" in path:
            return self._answer(500, {})
        if path.startswith("/api/models/acme/tiny/revision/nowhere"):
            return self._answer(404, {"X-Error-Code": "RevisionNotFound"})
        if path.startswith("/api/models/acme/tiny/tree/"):
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": f"{i:040x}"}
                for i, (name, data) in enumerate(self.files.items())
            ]
            return self._answer(200, {}, json.dumps(entries).encode())
        if path.startswith("/api/models/acme/tiny"):
            siblings = [{"rfilename": name} for name in self.files]
            return self._answer(200, {}, json.dumps({"id": "acme/tiny", "sha": COMMIT, "siblings": siblings}).encode())
        name = path.partition(f"/acme/tiny/resolve/{COMMIT}/")[2]
        if name in self.files:
            tag = f'"{list(self.files).index(name):040x}"'
            return self._answer(200, {"ETag": tag, "X-Repo-Commit": COMMIT}, self.files[name])
        return self._answer(401, {"X-Error-Code": "RepoNotFound"})

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"{}") -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def hub(tiny_model_dir: TinyModel) -> Iterator[str]:
    Hub.files = {file.name: file.read_bytes() for file in tiny_model_dir("llama").iterdir()}
    Hub.files |= {"pytorch_model.bin": b"pickle", "onnx/model.safetensors": b"twin", "modeling_evil.py": b"code"}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def asked_of_hub(endpoint: str, cache: Path, name: str, **settings: str) -> str:
    """What a fresh process says that locates `name` there: the path, or the error with its field."""
    program = (
        "import sys; from tunesmith.config.model import ModelConfig; from tunesmith.errors import UserError\n"
        "from tunesmith.models.locate import locate\n"
        f"try: print(locate(ModelConfig(model_name_or_path={name!r}, cache_dir={str(cache)!r}, **{settings})).path)\n"
        "except UserError as error: print(error.field, error, error.code)\n"
        "print('torch' in sys.modules)\n"
    )
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "",
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120
    )
    assert done.returncode == 0, done.stderr
    answer, torch_loaded = done.stdout.strip().rsplit("\n", 1)
    assert torch_loaded == "False", "locating a model must not wait for torch"
    return answer


def test_a_hub_model_is_downloaded_once_and_only_what_is_needed(
    hub: str, tmp_path: Path, tiny_model_dir: TinyModel
) -> None:
    folder = Path(asked_of_hub(hub, tmp_path, "acme/tiny"))
    names = {file.name for file in folder.rglob("*") if file.is_file()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"}
    assert names.isdisjoint({"pytorch_model.bin", "modeling_evil.py"}) and not (folder / "onnx").exists()
    assert (folder / "model.safetensors").read_bytes() == (tiny_model_dir("llama") / "model.safetensors").read_bytes()
    # Nobody listens on port 9: the second time it comes out of the cache.
    assert asked_of_hub("http://127.0.0.1:9", tmp_path, "acme/tiny") == str(folder)


def test_what_a_hub_refuses_is_one_clear_sentence(hub: str, tmp_path: Path) -> None:
    gated = asked_of_hub(hub, tmp_path, "acme/secret")
    assert gated.startswith("model_name_or_path acme/secret is gated") and f"{hub}/acme/secret" in gated
    assert gated.endswith("login"), "the studio offers to give a token"
    missing = asked_of_hub(hub, tmp_path, "acme/tinny")
    assert f"{hub} has no acme/tinny, or it is private" in missing and "hf auth login" in missing
    assert missing.endswith("login")
    revision = asked_of_hub(hub, tmp_path, "acme/tiny", model_revision="nowhere")
    assert revision.startswith("model_revision acme/tiny has no revision 'nowhere'")
    down = asked_of_hub("http://127.0.0.1:9", tmp_path, "acme/other")
    assert "http://127.0.0.1:9 can't be reached" in down and "HF_ENDPOINT" in down


def test_offline_says_that_it_is_offline() -> None:
    assert "HF_HUB_OFFLINE is set" in refused("acme/never-seen").message
