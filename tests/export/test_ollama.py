"""The client against a stand-in, and against a real server too where OLLAMA_HOST_LIVE says where one is."""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import ollama as official
import pytest
from gguf import GGUFWriter
from tests.assets import loaded_tokenizer
from tests.export.ollama_double import OllamaDouble

from tunesmith.errors import UserError
from tunesmith.export.modelfile import NATIVE_JINJA, Modelfile
from tunesmith.export.ollama import Ollama, host
from tunesmith.export.ollama_store import stored_model
from tunesmith.text.conversation import Conversation, Message
from tunesmith.text.template import ChatTemplate, choose_template

LIVE = os.environ.get("OLLAMA_HOST_LIVE", "")
SYSTEM = '　　你是小明。 Say "hi"\nor “hello”.\u00a0'
STOPS = ["<|im_end|>", "<|endoftext|>"]


@pytest.fixture(scope="session", params=["double", *(["live"] if LIVE else [])])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "live":
        yield LIVE
        return
    with OllamaDouble(tmp_path_factory.mktemp("ollama")) as double:
        yield double.url


@pytest.fixture
def server(address: str) -> Iterator[Ollama]:
    with Ollama(address) as client:
        yield client


@pytest.fixture
def name(server: Ollama) -> Iterator[str]:
    """A name of the test's own; the model goes when the test ends."""
    chosen = f"tunesmith-test-{uuid.uuid4().hex[:8]}"
    yield chosen
    if f"{chosen}:latest" in server.models():
        server.delete(chosen)


@pytest.fixture
def double(tmp_path: Path) -> Iterator[OllamaDouble]:
    with OllamaDouble(tmp_path / "models") as running:
        yield running


@pytest.fixture
def client(double: OllamaDouble) -> Iterator[Ollama]:
    with Ollama(double.url) as made:
        yield made


def write_gguf(path: Path, architecture: str = "llama") -> Path:
    """A file with a head and no weights, for what never runs it."""
    writer = GGUFWriter(path, architecture)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@cache
def smollm2() -> ChatTemplate:
    return choose_template(None, loaded_tokenizer("smollm2")).template


def prompt(conversation: Conversation) -> str:
    return smollm2().render(conversation, generation_prompt=True).text


def chat(*texts: str, system: str | None = None) -> Conversation:
    head = () if system is None else (Message("system", system),)
    return Conversation((*head, *(Message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts))))


def refusal(call: Any, *args: Any, **kwargs: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        call(*args, **kwargs)
    return caught.value


# A model's whole way, on the stand-in and on a real server


def test_a_model_from_its_file_to_its_answers(server: Ollama, name: str, smollm2_gguf: Path) -> None:
    told: list[tuple[str, int, int]] = []
    parameters = {"temperature": 0.0, "num_ctx": 512, "stop": STOPS}
    made = Modelfile(
        smollm2_gguf.name, system=SYSTEM, parameters=parameters, license="Apache-2.0", requires=NATIVE_JINJA
    )
    server.install(name, made, smollm2_gguf.parent, lambda *step: told.append(step))
    assert f"{name}:latest" in server.models()
    shown = server.show(name)
    assert shown["system"] == SYSTEM and shown["license"] == "Apache-2.0"
    assert {line.split()[0] for line in shown["parameters"].splitlines()} == set(parameters)
    assert told[-1][0] == "success" and any(done == total > 0 for _, done, total in told)
    with_system = prompt(chat("What is the capital of France?", system=SYSTEM))
    assert server.rendered_prompt(name, [{"role": "user", "content": "What is the capital of France?"}]) == with_system
    answer = server.chat(
        name, [{"role": "user", "content": "What is the capital of France?"}], options={"num_predict": 8}
    )
    assert answer.strip()
    assert "Paris" in server.generate(name, "The capital of France is", raw=True, options={"num_predict": 4})
    server.delete(name)
    assert f"{name}:latest" not in server.models()


CONVERSATIONS = [
    chat("hi"),
    chat("hi", "你好！", "再见 👋", system="你是小明。"),
    chat("a", "b", "c", "d", "e", system="  spaces  \n\n"),
    chat('"""\n{{ .System }} {% x %}', "　　全角\u00a0空格\t", "' \\n `"),
]


def test_prompts_are_those_of_the_training(server: Ollama, name: str, smollm2_gguf: Path) -> None:
    server.install(name, Modelfile(smollm2_gguf.name), smollm2_gguf.parent)
    (found,) = server.check_prompt(name, CONVERSATIONS, prompt)
    assert found.status == "pass" and "4 conversations" in found.detail
    assert server.check_prompt(name, CONVERSATIONS, lambda each: f"<s>{prompt(each)}", bos="<s>") == [found]
    wrong = server.check_prompt(name, CONVERSATIONS[:2], lambda each: prompt(each).replace("hi", "ho"))
    assert [finding.status for finding in wrong] == ["fail", "fail"]
    assert "ho" in wrong[0].detail and "hi" in wrong[0].detail and "0.30" in wrong[0].fix


def test_a_model_on_a_model(server: Ollama, name: str, smollm2_gguf: Path) -> None:
    server.install(name, Modelfile(smollm2_gguf.name, system="one"), smollm2_gguf.parent)
    server.install(f"{name}:second", Modelfile(name, system="two"), smollm2_gguf.parent)
    try:
        assert [server.show(each)["system"] for each in (name, f"{name}:second")] == ["one", "two"]
    finally:
        server.delete(f"{name}:second")


def test_the_official_client_reads_what_ours_made_and_ours_what_it_made(
    server: Ollama, name: str, smollm2_gguf: Path
) -> None:
    theirs = official.Client(server.address)
    digest = theirs.create_blob(smollm2_gguf)
    assert server.has_blob(digest) and server.upload(smollm2_gguf) == digest
    steps = list(
        theirs.create(name, files={"m.gguf": digest}, system="Be brief.", parameters={"stop": STOPS}, stream=True)
    )
    assert steps[-1].status == "success"
    assert server.show(name)["system"] == "Be brief."
    server.install(name, Modelfile(smollm2_gguf.name, system="Be long."), smollm2_gguf.parent)
    assert theirs.show(name).modelinfo and f"{name}:latest" in [model.model for model in theirs.list().models]
    asked = [{"role": "user", "content": "hi"}]
    answer = theirs.chat(name, messages=asked, options={"num_predict": 4, "temperature": 0})
    assert answer.message.content == server.chat(name, asked, options={"num_predict": 4, "temperature": 0})
    pieces = theirs.generate(name, "hi", stream=True, options={"num_predict": 4, "temperature": 0})
    assert "".join(piece.response for piece in pieces)
    theirs.copy(name, f"{name}:copy")
    assert server.show(f"{name}:copy")["system"] == "Be long."
    theirs.delete(f"{name}:copy")
    with pytest.raises(official.ResponseError, match="not found"):
        theirs.show(f"{name}:copy")


# What goes wrong


def test_a_file_that_is_there_is_not_sent_again(client: Ollama, double: OllamaDouble, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "小明.gguf")
    told: list[tuple[str, int, int]] = []
    digest = client.upload(path, lambda *step: told.append(step))
    size = path.stat().st_size
    assert digest == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert told == [("reading 小明.gguf", size, size), ("uploading 小明.gguf", size, size)]
    assert double.received == size and client.has_blob(digest)
    assert client.upload(path) == digest and double.received == size
    client.install("m", Modelfile("小明.gguf"), tmp_path)
    assert stored_model("ollama:m", double.store.root).path.read_bytes() == path.read_bytes()


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setenv("OLLAMA_HOST", f"0.0.0.0:{port}")
    error = refusal(Ollama(by_hand="ollama create tuna -f out/Modelfile").version)
    assert f"http://127.0.0.1:{port}" in error.message
    assert "ollama serve" in error.hint and error.hint.endswith("ollama create tuna -f out/Modelfile")


def test_a_file_that_changes_while_it_is_sent(client: Ollama, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf")

    def change(what: str, done: int, size: int) -> None:
        if what.startswith("reading"):
            path.write_bytes(b"FUGG" + path.read_bytes()[4:])

    error = refusal(client.upload, path, change)
    assert "digest mismatch" in error.message and "again" in error.hint


def test_a_full_disk(client: Ollama, double: OllamaDouble, tmp_path: Path) -> None:
    double.disk_full = True
    error = refusal(client.upload, write_gguf(tmp_path / "m.gguf"))
    assert "no space left" in error.message and "OLLAMA_MODELS" in error.hint


def test_a_connection_that_breaks(client: Ollama, double: OllamaDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang_up(self: Any) -> dict[str, Any]:
        raise ConnectionAbortedError

    monkeypatch.setattr(OllamaDouble, "tags", hang_up)
    monkeypatch.setattr("socketserver.BaseServer.handle_error", lambda *args: None)
    error = refusal(client.models)
    assert "broke" in error.message and "again" in error.hint


def test_servers_that_are_too_old(client: Ollama, double: OllamaDouble, tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf")
    double.version = "0.5.4"
    error = refusal(client.install, "m", Modelfile("m.gguf"), tmp_path)
    assert "0.5.4" in error.message and "0.5.5" in error.message and "ollama.com" in error.hint
    double.version = "0.29.1"
    assert "0.30.0 or newer" in refusal(client.install, "m", Modelfile("m.gguf", requires="0.30.0"), tmp_path).message
    client.install("m", Modelfile("m.gguf"), tmp_path)
    double.version = "0.11.4"
    assert "shows its prompts" in refusal(client.rendered_prompt, "m", []).message
    for version in ("0.30.0-rc2", "0.100.0", "1.0", "0.0.0", "v0.31.0"):
        double.version = version
        client.install("m", Modelfile("m.gguf", requires="0.30.0"), tmp_path)


def test_what_a_server_refuses_in_the_middle_of_a_stream(client: Ollama, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"PK\3\4")
    assert "not in GGUF format" in refusal(client.install, "m", Modelfile("m.gguf"), tmp_path).message
    write_gguf(tmp_path / "m.gguf")
    error = refusal(client.install, "m", Modelfile("m.gguf", template="{{ .System"), tmp_path)
    assert "template error" in error.message and client.models() == []
    assert "neither 'from' or 'files'" in refusal(client.create, "m").message


def test_a_stream_that_ends_early(client: Ollama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gguf(tmp_path / "m.gguf")
    monkeypatch.setattr(OllamaDouble, "_created", lambda *args: iter([{"status": "parsing GGUF"}]))
    assert "parsing GGUF" in refusal(client.install, "m", Modelfile("m.gguf"), tmp_path).message


def test_requests_that_a_server_refuses_at_once(client: Ollama, double: OllamaDouble, tmp_path: Path) -> None:
    digest = client.upload(write_gguf(tmp_path / "m.gguf"))
    assert "relative" in refusal(client.create, "m", files={"/m.gguf": digest}).message
    assert "blob not found" in refusal(client.create, "m", files={"m.gguf": f"sha256:{'0' * 64}"}).message
    assert "plain letters" in refusal(client.create, "小明", files={"m.gguf": digest}).hint
    double.takes_adapters = False
    error = refusal(client.create, "m", files={"m.gguf": digest}, adapters={"a.gguf": digest})
    assert "no longer supported" in error.message and "merged" in error.hint


def test_unknown_parameters_are_told_before_anything_is_sent(
    client: Ollama, double: OllamaDouble, tmp_path: Path
) -> None:
    write_gguf(tmp_path / "m.gguf")
    error = refusal(client.install, "m", Modelfile("m.gguf", parameters={"temprature": 1}), tmp_path)
    assert error.hint == "Did you mean temperature?" and double.received == 0


def test_a_base_that_the_server_lacks_is_not_downloaded(client: Ollama, double: OllamaDouble, tmp_path: Path) -> None:
    error = refusal(client.create, "m", from_="qwen2.5:7b")
    assert "'qwen2.5:7b' not found" in error.message and error.hint == "It has no models."
    write_gguf(tmp_path / "m.gguf")
    client.install("qwen2.5:0.5b", Modelfile("m.gguf"), tmp_path)
    assert refusal(client.create, "m", from_="qwen2.5:7b").hint == "Did you mean qwen2.5:0.5b?"
    assert double.pulled == []


def test_something_else_answers(client: Ollama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OllamaDouble, "tags", lambda self: ["no", "object"])
    monkeypatch.setattr(OllamaDouble, "chat", lambda self, asked: {"choices": []})
    for error in (refusal(client.models), refusal(client.rendered_prompt, "m", []), refusal(client.chat, "m", [])):
        assert "is not Ollama" in error.message and "OLLAMA_HOST" in error.hint


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("8080", "http://127.0.0.1:8080"),
        ("box", "http://box:11434"),
        ("box:8080/", "http://box:8080"),
        ("http://box", "http://box:80"),
        ("https://box", "https://box:443"),
        ("https://box:8443/ollama/", "https://box:8443/ollama"),
        ("[::]:8080", "http://[::1]:8080"),
        ("::1", "http://[::1]:11434"),
        ("[fe80::1]", "http://[fe80::1]:11434"),
        (' "192.168.1.5:1234" ', "http://192.168.1.5:1234"),
    ],
)
def test_hosts(value: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host(value) == url
    monkeypatch.setenv("OLLAMA_HOST", value)
    assert host() == url


@pytest.mark.parametrize("value", ["ftp://box", "box:port", "box:99999", "a b"])
def test_hosts_that_are_none(value: str) -> None:
    assert refusal(host, value).field == "ollama_host"


def test_a_proxy_is_not_asked_for_this_machine(double: OllamaDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Ollama(double.url) as client:
        assert client.version() == "0.33.0"
