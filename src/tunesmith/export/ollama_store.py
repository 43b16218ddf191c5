"""Models out of Ollama's own store: what `ollama pull` has fetched is a GGUF file that can be trained on."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import UserError, did_you_mean

FIELD = "model_name_or_path"
PREFIX = "ollama:"
LIBRARY = ("registry.ollama.ai", "library")
_KIND = "application/vnd.ollama.image."
_SERVICE = Path("/usr/share/ollama/.ollama/models")
"""Where Ollama keeps its models when Linux runs it as a service."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """name: as `ollama list` shows it. path: its GGUF file. system, template: what Ollama puts around it."""

    name: str
    path: Path
    system: str = ""
    template: str = ""


def store_folder() -> Path:
    """Where Ollama keeps models: OLLAMA_MODELS, else the user's, else the service's. UserError where there is none."""
    named = os.environ.get("OLLAMA_MODELS", "").strip().strip("\"'")
    places = [Path(named).expanduser()] if named else [Path.home() / ".ollama" / "models", _SERVICE]
    for place in places:
        try:
            if (place / "manifests").is_dir():
                return place
        except PermissionError as error:
            raise _unreadable(place) from error
    raise UserError(
        f"There are no models of Ollama's in {' or '.join(map(str, places))}.",
        hint="Fetch one with `ollama pull`, or say in OLLAMA_MODELS where they are.",
        field=FIELD,
    )


def stored_models(store: Path | None = None) -> list[str]:
    """The names of all models in the store, as `ollama list` shows them."""
    return sorted(_manifests(store or store_folder()))


def stored_model(asked: str, store: Path | None = None) -> StoredModel:
    """The model that `ollama:name[:tag]` means. UserError where it is not there, or is not one whole GGUF file."""
    store = store or store_folder()
    manifests = _manifests(store)
    name = _full_name(asked.removeprefix(PREFIX).strip())
    name = next((known for known in manifests if known.lower() == name.lower()), name)
    if name not in manifests:
        hint = did_you_mean(name, manifests) or (f"It holds {', '.join(sorted(manifests))}." if manifests else "")
        raise UserError(
            f"Ollama's store {store} has no model {name}.", hint=hint or f"Fetch it: ollama pull {name}", field=FIELD
        )
    layers = _layers(manifests[name])
    path = _blob(store, name, _only_model(name, layers))
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise UserError(f"{path}, which holds {name}, is not a GGUF file.", hint=_again(name), field=FIELD)
    texts = {
        kind: _blob(store, name, digest).read_text(encoding="utf-8")
        for kind, digest in layers
        if kind in ("system", "template")
    }
    return StoredModel(name, path, **texts)


def _manifests(store: Path) -> dict[str, Path]:
    """Short name → manifest: host/namespace/model/tag below `manifests`, the library's own by model and tag alone."""
    root = store / "manifests"
    found = {}
    if not os.access(root, os.R_OK | os.X_OK):
        raise _unreadable(store)
    for path in root.glob("*/*/*/*"):
        *owners, model, tag = path.relative_to(root).parts
        shown = [] if tuple(owners) == LIBRARY else owners[1:] if owners[0] == LIBRARY[0] else owners
        if path.is_file() and not path.name.startswith("."):
            found["/".join([*shown, f"{model}:{tag}"])] = path
    return found


def _unreadable(store: Path) -> UserError:
    return UserError(
        f"You may not read Ollama's store {store}.",
        hint="Ask for the right to read that folder, or pull the model with an Ollama of your own.",
        field=FIELD,
    )


def _full_name(asked: str) -> str:
    """The name with its tag, the library's prefix left out."""
    short = re.sub(rf"^({re.escape(LIBRARY[0])}/)?({LIBRARY[1]}/)?", "", asked)
    return short if ":" in short.rpartition("/")[2] else f"{short}:latest"


def _layers(manifest: Path) -> list[tuple[str, str]]:
    """(kind, digest) of each layer."""
    try:
        found: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
        return [(str(layer["mediaType"]).removeprefix(_KIND), str(layer["digest"])) for layer in found["layers"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{manifest} can't be read as a model of Ollama's.", hint="Fetch the model again.", field=FIELD
        ) from error


_NOT_ALONE = {
    "projector": "reads images or sound too, with a second file beside its language model",
    "adapter": "is an adapter on top of another model",
    "tensor": "is stored tensor by tensor, not as a GGUF file",
}


def _only_model(name: str, layers: list[tuple[str, str]]) -> str:
    """The digest of the one layer that is the model."""
    kinds = [kind for kind, _ in layers]
    for kind, what in _NOT_ALONE.items():
        if kind in kinds:
            raise UserError(
                f"{name} {what}; such a model can't be trained out of Ollama's store.",
                hint="Use the original weights from a hub.",
                field=FIELD,
            )
    models = [digest for kind, digest in layers if kind == "model"]
    if len(models) != 1:
        what = f"is split into {len(models)} files" if models else "has no weights here (it runs in a cloud)"
        raise UserError(f"{name} {what}.", hint="Use a model that is one file, or the original weights.", field=FIELD)
    return models[0]


def _blob(store: Path, name: str, digest: str) -> Path:
    path = store / "blobs" / digest.replace(":", "-")
    if not path.is_file():
        raise UserError(f"A file of {name} is missing in Ollama's store ({path}).", hint=_again(name), field=FIELD)
    return path


def _again(name: str) -> str:
    return f"Fetch it again: ollama pull {name}"
