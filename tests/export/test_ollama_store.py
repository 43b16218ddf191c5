from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.export.ollama_double import KIND, Store

from tunesmith.errors import UserError
from tunesmith.export.ollama_store import store_folder, stored_model, stored_models

GGUF = b"GGUF" + bytes(60)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def put(store: Store, name: str, **layers: bytes | list[bytes]) -> None:
    """A model as `ollama pull` leaves it."""
    listed = [(kind, each) for kind, data in layers.items() for each in (data if isinstance(data, list) else [data])]
    entries = [{"mediaType": KIND + kind, "digest": store.keep(each), "size": len(each)} for kind, each in listed]
    path = store.manifest(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schemaVersion": 2, "config": {}, "layers": entries}), encoding="utf-8")


def refusal(asked: str, store: Store) -> UserError:
    with pytest.raises(UserError) as caught:
        stored_model(asked, store.root)
    return caught.value


def test_a_model_is_found_by_the_names_people_use(store: Store) -> None:
    put(store, "qwen2.5:7b", model=GGUF, system="你好".encode(), template=b"{{ .Prompt }}", params=b"{}")
    put(store, "ada/mine", model=GGUF + b"2")
    put(store, "hf.co/Qwen/Qwen3-0.6B-GGUF:Q8_0", model=GGUF + b"3")
    assert stored_models(store.root) == ["ada/mine:latest", "hf.co/Qwen/Qwen3-0.6B-GGUF:Q8_0", "qwen2.5:7b"]
    found = stored_model("ollama:qwen2.5:7b", store.root)
    assert (found.name, found.system, found.template) == ("qwen2.5:7b", "你好", "{{ .Prompt }}")
    assert found.path.read_bytes() == GGUF
    for asked in ("library/qwen2.5:7b", "registry.ollama.ai/library/qwen2.5:7b", "Qwen2.5:7B"):
        assert stored_model(asked, store.root) == found
    assert stored_model("ada/mine", store.root).path.read_bytes() == GGUF + b"2"
    assert stored_model("hf.co/qwen/qwen3-0.6b-gguf:q8_0", store.root).path.read_bytes() == GGUF + b"3"


def test_a_missing_model_is_told_with_what_there_is(store: Store) -> None:
    assert "ollama pull llama3:latest" in refusal("ollama:llama3", store).hint
    put(store, "qwen2.5:7b", model=GGUF)
    assert refusal("ollama:qwen2.5:7", store).hint == "Did you mean qwen2.5:7b?"
    assert "qwen2.5:7b" in refusal("ollama:zephyr", store).hint


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ({"model": [GGUF, GGUF + b"2"]}, "split into 2 files"),
        ({"model": GGUF, "projector": GGUF}, "images or sound"),
        ({"model": GGUF, "adapter": GGUF}, "adapter"),
        ({"tensor": [b"a", b"b"]}, "tensor by tensor"),
        ({"params": b"{}"}, "no weights here"),
        ({"model": b"PK\3\4"}, "not a GGUF file"),
    ],
)
def test_models_that_are_not_one_gguf_file(store: Store, layers: dict[str, bytes | list[bytes]], told: str) -> None:
    put(store, "odd", **layers)
    error = refusal("odd", store)
    assert told in error.message and error.hint and error.field == "model_name_or_path"


def test_damaged_stores(store: Store) -> None:
    put(store, "half", model=GGUF)
    stored_model("half", store.root).path.unlink()
    assert "missing" in refusal("half", store).message and "ollama pull half:latest" in refusal("half", store).hint
    store.manifest("half").write_text("{", encoding="utf-8")
    assert "can't be read" in refusal("half", store).message


def test_where_the_store_is(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", f'"{store.root}"')
    assert store_folder() == store.root
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"no models of Ollama's in .*nowhere"):
        store_folder()
    monkeypatch.delenv("OLLAMA_MODELS")
    home = tmp_path / "home"
    (home / ".ollama" / "models" / "manifests").mkdir(parents=True)
    monkeypatch.setattr(Path, "home", lambda: home)
    assert store_folder() == home / ".ollama" / "models"
