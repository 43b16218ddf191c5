"""Runs: begin, order, stop, kill, resume, delete, tag; what is in their directories."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import psutil
from fastapi import Query
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from tunesmith.errors import UserError
from tunesmith.runs.files import replace_json
from tunesmith.runs.read import RunReader, compare
from tunesmith.runs.run import Run
from tunesmith.web import deleting, forms, starting
from tunesmith.web.access import Id, TheStudio, router_of
from tunesmith.web.language import Told
from tunesmith.web.metrics import last_rows, thinned
from tunesmith.web.remedies import Remedy, cause_of, remedies
from tunesmith.web.room import Room, room_of
from tunesmith.web.studio import Studio
from tunesmith.web.summaries import Summary, tags_of
from tunesmith.web.workspace import Clash, Missing

router = router_of("runs")
_MOST_EVENTS = 500
Word = Annotated[str, Field(max_length=60, min_length=1)]
NOT_LISTED = frozenset({"step", "time", "attempt", "epoch"})


class NewRun(BaseModel):
    """devices: ids of `about`; left out, all. trusted: the person agreed to run code that ships with the model.

    free_port: processes of a training meet at a port that is free, whatever MASTER_PORT says. beside: where the folder
    of a training is taken, one beside it will do.
    """

    verb: Literal["train", "export"] = "train"
    settings: Annotated[dict[str, Any], Field(max_length=500)]
    devices: Annotated[list[str], Field(max_length=64)] | None = None
    trusted: bool = False
    free_port: bool = False
    beside: bool = False


class Again(BaseModel):
    """api_key: for a job that asks a server; handed to the process in its environment, never kept."""

    devices: Annotated[list[str], Field(max_length=64)] | None = None
    api_key: Annotated[str, Field(max_length=1000)] | None = None


class Tags(BaseModel):
    """seen: the tags that the person changed; what others added or took away meanwhile stays so."""

    tags: Annotated[list[Word], Field(max_length=50)]
    seen: Annotated[list[Word], Field(max_length=50)] | None = None


class CheckpointInfo(BaseModel):
    """best: the one with the lowest evaluation loss."""

    step: int
    path: str
    eval_loss: float | None = None
    best: bool = False


class FileInfo(BaseModel):
    path: str
    bytes: int


class Detail(BaseModel):
    """asked: the settings that were given; config: every setting as it ran; last: the newest value of each metric.
    remedies: settings to lay over `asked` and try again with, where it failed. room: where that was for a full disk."""

    summary: Summary
    asked: dict[str, Any]
    config: dict[str, Any]
    environment: dict[str, Any]
    last: dict[str, float | None]
    checkpoints: list[CheckpointInfo]
    events: list[dict[str, Any]]
    warnings: list[Told]
    remedies: list[Remedy]
    room: Room | None
    refused_rows: int
    files: list[FileInfo]
    attempt: int
    pid: int | None
    host: str | None


class Difference(BaseModel):
    key: str
    values: list[Any]


class Comparison(BaseModel):
    """metrics: name → last value in each run; series: metric → points in each run."""

    runs: list[Summary]
    config: list[Difference]
    metrics: dict[str, list[float | None]]
    series: dict[str, list[list[tuple[int, float | None]]]]


@router.get("/runs")
def list_runs(studio: TheStudio, query: str = "", tag: str = "") -> list[Summary]:
    """Those in the queue first, then the newest. query: words that all occur in name, model, status or tags."""
    words = query.casefold().split()
    found = []
    for summary in studio.look().runs:
        text = " ".join([summary.id, summary.model, summary.status, summary.kind, *summary.tags]).casefold()
        if all(word in text for word in words) and (not tag or tag in summary.tags):
            found.append(summary)
    return found


@router.post("/runs", status_code=201)
def begin_run(asked: NewRun, studio: TheStudio) -> Id:
    """Put a run in the queue; it starts as soon as its devices are free."""
    if asked.verb == "export":
        return Id(id=starting.begin_export(studio, asked.settings, asked.devices, trusted=asked.trusted))
    shared = {"trusted": asked.trusted, "free_port": asked.free_port, "beside": asked.beside}
    return Id(id=starting.begin_training(studio, asked.settings, asked.devices, **shared))


@router.get("/compare")
def compare_runs(
    studio: TheStudio,
    runs: Annotated[list[str], Query(min_length=1, max_length=12)],
    points: Annotated[int, Query(ge=10, le=5000)] = 800,
) -> Comparison:
    readers = [studio.workspace.run(name) for name in runs]
    drawn = [thinned(studio.shelf.columns(run.layout.metrics), points) for run in readers]
    lasts = [_last_values(run) for run in readers]
    names = dict.fromkeys(name for last in lasts for name in last)
    return Comparison(
        runs=[studio.summary(name) for name in runs],
        config=[
            Difference(key=row.key, values=list(row.values))
            for row in compare(*(forms.mapping_in(run.layout.resolved) for run in readers))
        ],
        metrics={name: [last.get(name) for last in lasts] for name in names},
        series={
            name: [list(one.get(name, [])) for one in drawn]
            for name in dict.fromkeys(key for one in drawn for key in one)
        },
    )


@router.post("/runs/{run:path}/stop", status_code=202)
def stop_run(run: str, studio: TheStudio) -> Summary:
    """Ask a run to save and end; one that waits is taken out of the queue."""
    reader, run = studio.workspace.run(run), _id(studio, run)
    state = reader.state()
    waited = studio.queue.remove(run)
    works = (state.active and state.pid is not None) or studio.queue.at_work(run)
    if works or (state.active and not waited):
        reader.layout.stop.touch()
    elif state.active:
        Run.open(reader.path).finish("stopped")
    elif not waited:
        raise Clash(f"{run} is not running: it is {state.status}.")
    studio.changed()
    return studio.summary(run)


@router.post("/runs/{run:path}/kill", status_code=202)
def kill_run(run: str, studio: TheStudio) -> Summary:
    """End the processes of a run at once; what came after its last checkpoint is lost."""
    reader, run = studio.workspace.run(run), _id(studio, run)
    state = reader.state()
    pids = {state.pid if state.active else None, studio.queue.launcher(run)} - {None}
    if not pids:
        raise Clash(f"{run} is not running: it is {state.status}.")
    if state.active and state.host not in (None, _this_host()):
        raise Clash(f"{run} runs on {state.host}, and from here it can only be stopped.")
    studio.queue.let_go(run)
    for pid in pids:
        assert pid is not None
        _kill_tree(pid)
    state = reader.state()
    if state.status == "killed" or (state.active and state.pid is None):
        told = UserError("Ended at once; steps since the last checkpoint are lost.")
        if not reader.checkpoints():
            told = UserError("Ended at once, before the first checkpoint; its steps are lost.")
        if reader.layout.journal.is_file():
            told = UserError("Ended at once; what was answered is kept.")
        elif state.kind != "train":
            told = UserError("Ended at once; what it was at is lost.")
        elif not state.attempt:
            told = UserError("Ended before it began.")
        Run.open(reader.path).finish("killed" if state.attempt else "stopped", told)
    studio.changed()
    return studio.summary(run)


@router.post("/runs/{run:path}/resume", status_code=202)
def resume_run(run: str, studio: TheStudio, again: Again | None = None) -> Id:
    """Queue a run that ended early: from its last checkpoint, or from its beginning where it has none."""
    again = again or Again()
    return Id(id=starting.begin_again(studio, run, again.devices, api_key=again.api_key))


@router.put("/runs/{run:path}/tags")
def tag_run(run: str, tags: Tags, studio: TheStudio) -> Summary:
    reader = studio.workspace.run(run)
    wanted = list(dict.fromkeys(tag.strip() for tag in tags.tags if tag.strip()))
    if tags.seen is not None:
        now = tags_of(reader)
        others = [tag for tag in now if tag not in tags.seen and tag not in wanted]
        wanted = [tag for tag in wanted if tag in now or tag not in tags.seen] + others
    replace_json(reader.layout.tags, {"tags": wanted})
    return studio.summary(run)


@router.get("/runs/{run:path}/files/{path:path}")
def run_file(run: str, path: str, studio: TheStudio) -> FileResponse:
    """A file of the run, to look at or to keep."""
    reader = studio.workspace.run(run)
    home = reader.path.resolve()
    file = studio.workspace.inside(home / path)
    if not file.is_relative_to(home) or not file.is_file():
        raise Missing(f"The run {run} has no file {path}.")
    shown = file.suffix in (".png", ".json", ".jsonl", ".yaml", ".log", ".md", ".txt")
    media = None if file.suffix == ".png" else "text/plain; charset=utf-8" if shown else "application/octet-stream"
    return FileResponse(file, media_type=media, filename=None if shown else file.name)


@router.get("/runs/{run:path}/deletion")
def tell_deletion(run: str, studio: TheStudio) -> deleting.Deletion:
    """What deleting the run would take away, and what it leaves."""
    return deleting.deletion_of(studio.workspace.run(run), _id(studio, run), studio)


@router.delete("/runs/{run:path}", status_code=204)
def delete_run(run: str, studio: TheStudio) -> None:
    """Delete what the run wrote. Files of anyone else in its directory stay."""
    reader, run = studio.workspace.run(run), _id(studio, run)
    state = reader.state()
    if (state.active and state.pid is not None) or not studio.queue.withdraw(run):
        raise Clash(f"{run} is at work.", hint="Stop it first.")
    deleting.delete(reader.layout)
    studio.shelf.forget(reader.path)
    studio.changed()


@router.get("/runs/{run:path}")
def show_run(run: str, studio: TheStudio) -> Detail:
    reader = studio.workspace.run(run)
    layout = reader.layout
    state = reader.state()
    events = reader.events()[-_MOST_EVENTS:]
    summary = studio.summary(run)
    config = forms.mapping_in(reader.layout.resolved)
    error = (state.error or {}) if summary.status == "failed" else {}
    return Detail(
        summary=summary,
        remedies=remedies(error, config, state.kind, studio.devices.has_gpu),
        room=room_of(studio, reader.path) if cause_of(error) == "disk_full" else None,
        asked=forms.mapping_in(layout.asked),
        config=config,
        environment=reader.environment(),
        last=_last_values(reader),
        checkpoints=_checkpoints(studio, reader),
        events=events,
        warnings=list(
            dict.fromkeys(str(event.get("message", "")) for event in events if event.get("kind") == "warning")
        ),
        refused_rows=_line_count(layout.refused),
        files=_files(reader),
        attempt=state.attempt,
        pid=state.pid,
        host=state.host,
    )


def _id(studio: Studio, name: str) -> str:
    """The run's one name, by which list and queue know it, however the address spells it."""
    return studio.workspace.relative(Path(name))


def _checkpoints(studio: Studio, run: RunReader) -> list[CheckpointInfo]:
    """The complete checkpoints with the evaluation made at their step."""
    found = run.checkpoints()
    series = studio.shelf.columns(run.layout.metrics).series.get("eval_loss") if found else None
    losses = {}
    if series is not None:
        steps, values = series.between(None, None)
        losses = {step: value for step, value in zip(steps.tolist(), values.tolist(), strict=True) if value == value}
    known = {checkpoint.step: losses[checkpoint.step] for checkpoint in found if checkpoint.step in losses}
    best = min(known, key=lambda step: known[step]) if known else None
    return [
        CheckpointInfo(
            step=checkpoint.step,
            path=studio.workspace.relative(checkpoint.path),
            eval_loss=known.get(checkpoint.step),
            best=checkpoint.step == best,
        )
        for checkpoint in found
    ]


def _last_values(run: RunReader) -> dict[str, float | None]:
    newest: dict[str, float | None] = {}
    for row in last_rows(run.layout.metrics):
        newest.update(
            {name: value for name, value in row.items()
             if name not in NOT_LISTED and (value is None or isinstance(value, int | float))}
        )  # fmt: skip
    return newest


def _files(run: RunReader) -> list[FileInfo]:
    return [FileInfo(path=path.name, bytes=path.stat().st_size) for path in run.layout.own_files() if path.is_file()]


def _line_count(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except OSError:
        return 0


def _kill_tree(pid: int) -> None:
    """End a process and all that it started; of a group of workers the one that started them too."""
    try:
        process = psutil.Process(pid)
        with suppress(psutil.AccessDenied):  # a parent that is not ours to read is none of our launchers
            parent = process.parent()
            if parent is not None and any("tunesmith.jobs.torchrun" in part for part in parent.cmdline()):
                process = parent
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in family:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            raise Clash(f"Process {one.pid} belongs to somebody else, and can't be ended from here.") from None
    psutil.wait_procs(family, timeout=5)


def _this_host() -> str:
    import socket

    return socket.gethostname()
