"""Exports: what one would write and take, and how the files compare with the trained model. An export is a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from tunesmith.config.load import to_flat
from tunesmith.errors import UserError
from tunesmith.export.modelfile import create_command, model_name
from tunesmith.runs.files import read_json
from tunesmith.web import forms, starting
from tunesmith.web.access import Id, Listening, TheStudio, router_of
from tunesmith.web.language import Told
from tunesmith.web.sources import OF_A_MODEL, settings_of
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Missing

router = router_of("exports")
_FORECASTS = "tunesmith.jobs.exporting"


class Source(BaseModel):
    """The settings that name the model of a run, a checkpoint, an adapter or a folder."""

    settings: dict[str, Any]


class Place(BaseModel):
    place: Annotated[str, Field(min_length=1, max_length=1000)]


class Asked(BaseModel):
    settings: Annotated[dict[str, Any], Field(max_length=500)]


class Preview(BaseModel):
    """lines: what would be written, with sizes, and the disk and memory it takes."""

    lines: list[Told]


class ExportedFile(BaseModel):
    """agreement: share of positions with the same likeliest token; divergence: nats per token; losses on held-out
    rows."""

    file: str
    kind: str = ""
    size: int = 0
    cases: int = 0
    prompts: int = 0
    ids: int = 0
    agreement: float | None = None
    divergence: float | None = None
    loss: float | None = None
    reference_loss: float | None = None
    status: Literal["pass", "warn", "fail"]
    detail: Told = ""
    fix: Told = ""


class Written(BaseModel):
    path: str
    bytes: int


class Exported(BaseModel):
    """verified: how each file compares with the trained model, where that was asked for. model: what can be talked to,
    "" for adapters alone. ollama: the command that runs the model there, or makes it of the Modelfile."""

    folder: str
    files: list[Written]
    verified: list[ExportedFile]
    modelfile: str | None = None
    model: str = ""
    ollama: str = ""


class ToVerify(BaseModel):
    """place: an exported folder or file; run: what it came from, where it does not say so itself."""

    place: Annotated[str, Field(min_length=1, max_length=1000)]
    run: Annotated[str, Field(max_length=1000)] | None = None
    devices: Annotated[list[str], Field(max_length=64)] = []


@router.post("/export/source")
def export_source(asked: Place, studio: TheStudio) -> Source:
    """What a person calls a model, as settings to export (or to chat with, or to train on)."""
    settings = settings_of(studio, asked.place, OF_A_MODEL)
    name = Path(asked.place).resolve()
    of_run = f"{name.parent.name}-" if name.name.startswith("checkpoint-") else ""
    return Source(settings={**settings, "export_dir": f"exports/{of_run}{name.name.removesuffix('.gguf')}"})


@router.post("/export/preview")
def preview_export(asked: Asked, studio: TheStudio, wanted: Listening) -> Preview:
    """Nothing is written. UserError where the disk would not do, or the export can't be made. Several are made one
    after the other; one that nobody waits for any more is ended: it may be downloading."""
    settings = {key: value for key, value in asked.settings.items() if key != "trust_remote_code"}
    resolved = forms.load("export", settings)  # nothing of a model is run to tell what an export takes
    forms.confine(resolved.job, studio.workspace, exposed=studio.exposed)
    child = studio.children.afresh(_FORECASTS, wanted)
    told = child.ask("forecast", wanted, settings=to_flat(resolved.job))
    return Preview(lines=told["lines"])


@router.post("/export/verify", status_code=201)
def verify_export(asked: ToVerify, studio: TheStudio) -> Id:
    """Compare an exported folder or file with the trained model; the answer is a run."""
    place = studio.workspace.inside(asked.place, field="place")
    if not place.exists():
        raise UserError(f"There is no folder or file {asked.place}.", field="place")
    arguments = [studio.workspace.relative(place), *(["--run", asked.run] if asked.run else [])]
    if asked.run:
        studio.workspace.inside(asked.run, field="run")
    return Id(
        id=starting.begin_command(
            studio, "verify", arguments, title=place.name, asked={"place": asked.place, "run": asked.run},
            chosen=asked.devices,
        )
    )  # fmt: skip


@router.get("/runs/{run:path}/exported")
def exported(run: str, studio: TheStudio) -> Exported:
    """What an export wrote, with sizes and verdicts."""
    reader = studio.workspace.run(run)
    config = forms.mapping_in(reader.layout.resolved)
    folder = config.get("export_dir") or config.get("place")
    if not folder or not isinstance(folder, str):
        raise Missing(f"{run} is no export.")
    return _written(studio, studio.workspace.inside(folder), config.get("export_ollama"))


def _written(studio: Studio, place: Path, deployed: Any) -> Exported:
    folder = place if place.is_dir() or not place.exists() else place.parent
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    record = read_json(folder / "quality.json") or {}
    modelfile = folder / "Modelfile"
    model = _talks(folder, [path.name for path in files])
    ollama = f"ollama run {model_name(str(deployed))[0]}" if deployed else ""
    if not deployed and modelfile.is_file():
        ollama = create_command(folder.name, modelfile)
    return Exported(
        folder=studio.workspace.relative(folder),
        files=[Written(path=path.name, bytes=path.stat().st_size) for path in files if not path.name.startswith(".")],
        verified=list(_verdicts(record.get("files"))),
        modelfile=modelfile.read_text(encoding="utf-8", errors="replace") if modelfile.is_file() else None,
        model=studio.workspace.relative(model) if model else "",
        ollama=ollama,
    )


def _talks(folder: Path, names: Sequence[str]) -> Path | None:
    """What of an export answers by itself: a GGUF file, a quantized one where there is one, or the merged folder."""
    models = [name for name in names if name.endswith(".gguf") and not name.endswith("-lora.gguf")]
    if models:
        return folder / min(models, key=lambda name: name.endswith(("-f32.gguf", "-f16.gguf", "-bf16.gguf")))
    return folder if "config.json" in names else None


def _verdicts(rows: Any) -> Iterator[ExportedFile]:
    """Those of a quality.json that are ours: others write files of that name too."""
    for row in rows if isinstance(rows, list) else ():
        with suppress(ValidationError):
            yield ExportedFile.model_validate(row)
