"""From settings to a run that waits its turn: the directory is made, the queue starts the process."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.config import ModelConfig
from tunesmith.config.legacy import EVAL
from tunesmith.config.load import Resolved, dump_yaml, load_job
from tunesmith.errors import UserError
from tunesmith.jobs import execute
from tunesmith.jobs.launch import start_detached
from tunesmith.jobs.recorded import last_error
from tunesmith.runs.files import read_json
from tunesmith.runs.layout import RunLayout, is_run
from tunesmith.runs.processes import birth, is_alive
from tunesmith.runs.read import RunReader
from tunesmith.runs.run import Run, flat_yaml
from tunesmith.runs.state import process_lives
from tunesmith.web import forms, taken
from tunesmith.web.devices import CPU
from tunesmith.web.queue import Job
from tunesmith.web.studio import AUTHORED, Studio, asks_a_server
from tunesmith.web.workspace import Clash, free_folder, path_of

RECORDED = "tunesmith.jobs.recorded"
_PATIENCE_SECONDS = 60.0
_ONE_EXPORT = threading.Lock()


class Unconfirmed(Clash):
    """Something that a person has to agree to first."""


def begin_training(
    studio: Studio,
    settings: Mapping[str, Any],
    chosen: Sequence[str] | None,
    *,
    trusted: bool = False,
    free_port: bool = False,
    beside: bool = False,
) -> str:
    """Queue a training; its id. trusted: somebody agreed to run the model's own code. free_port: MASTER_PORT does not
    count. beside: where its folder is taken, one beside it will do. UserError for anything wrong."""
    resolved = forms.load("train", _without_secrets(settings))
    ask_for_trust(resolved.job.model, trusted)
    forms.confine(resolved.job, studio.workspace, exposed=studio.exposed)
    if beside or not settings.get("output_dir"):
        resolved = _with_free_folder(resolved)
    devices = _devices(studio, chosen, resolved)
    with _runs_named(studio, resolved):
        run = execute.queue(resolved).root
    arguments = ["train", (run / "resolved.yaml").as_posix()]
    environment = {**forms.secrets_of(settings), **({"MASTER_PORT": ""} if free_port else {})}
    return _enqueue(studio, run, "tunesmith", arguments, devices, environment)


def begin_again(studio: Studio, name: str, chosen: Sequence[str] | None, *, api_key: str | None = None) -> str:
    """Go on with a run that ended early: training from its last checkpoint, another command from its beginning."""
    name = studio.workspace.relative(Path(name))
    run = studio.workspace.run(name)
    state = run.state()
    if (state.active and state.pid is not None) or studio.queue.at_work(name):
        raise Clash(f"{name} is at work already.")
    if name in studio.queue.waiting():
        raise Clash(f"{name} is in the queue already.")
    path = Path(name)
    if state.kind in AUTHORED and "arguments" not in run.environment():  # it keeps its run itself
        command = ["runs", "resume", name] if state.attempt else _recorded(run, "command")[1:]
        secrets = {"TUNESMITH_API_KEY": api_key} if api_key else {}
        return begin_authoring(studio, path, command, secrets, local=not asks_a_server(run))
    if state.kind == EVAL:
        on = studio.devices.known(chosen) or studio.devices.ids()
        return _enqueue(studio, path, "tunesmith", _evaluation(RunLayout(path)), on, {})
    if state.kind != "train":
        kept = _recorded(run, "arguments")
        target = forms.mapping_in(run.layout.resolved).get("export_dir") if state.kind == "export" else None
        with _ONE_EXPORT:
            if isinstance(target, str) and target and (clash := taken.export_clash(studio, Path(target))):
                raise clash[0]
            return _enqueue(studio, path, RECORDED, [path.as_posix(), *kept], studio.devices.known(chosen), {})
    if state.status == "finished":
        raise Clash(f"{name} has finished; there is nothing left to resume.", hint="Start a new run from its adapter.")
    if not state.attempt:  # it never began
        on = studio.devices.known(chosen) or studio.devices.ids()
        Run.open(run.path).update(status="queued", ended=None, error=None)
        arguments = ["train", (path / run.layout.resolved.name).as_posix()]
        return _enqueue(studio, path, "tunesmith", arguments, on, {})
    checkpoints = run.checkpoints()
    if not checkpoints:
        raise Clash(f"{name} has no complete checkpoint to resume from.", hint="Start it anew with its settings.")
    last = path / checkpoints[-1].path.name
    given = {"output_dir": path.as_posix(), "resume_from_checkpoint": last.as_posix()}
    resolved = load_job([run.layout.resolved], given, verb="train")
    on = _devices(studio, chosen, resolved)
    execute.queue(resolved)
    arguments = [
        "train",
        (path / run.layout.resolved.name).as_posix(),
        *(f"{key}={text}" for key, text in given.items()),
    ]
    return _enqueue(studio, path, "tunesmith", arguments, on, {})


def begin_command(
    studio: Studio,
    verb: str,
    arguments: Sequence[str],
    *,
    title: str,
    asked: Mapping[str, Any],
    chosen: Sequence[str] = (),
    secrets: Mapping[str, str] | None = None,
    resolved: str | None = None,
) -> str:
    """Queue `tunesmith VERB ARGUMENTS` over a run directory of its own; its id.

    title: names the directory. asked: what the page asked for, kept as the run's configuration. resolved: the text of
    a config file that the command is to read; it is put in front of the arguments.
    """
    devices_taken = studio.devices.known(chosen)
    path = free_folder(
        Path("saves") / verb.replace(" ", "-") / f"{_plain_name(title)}_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
    )
    run = Run.create(path, flat_yaml(asked), resolved or flat_yaml(asked), kind=verb)
    given = [*verb.split(), *([run.layout.resolved.as_posix()] if resolved else []), *arguments]
    run.add_environment(arguments=given)
    return _enqueue(studio, path, RECORDED, [path.as_posix(), *given], devices_taken, dict(secrets or {}))


def begin_authoring(
    studio: Studio,
    run: Path,
    command: Sequence[str],
    secrets: Mapping[str, str],
    *,
    local: bool,
    asked: Mapping[str, Any] | None = None,
) -> str:
    """Start a job that keeps a run directory of its own; its id, once it has taken up its run. UserError where it ends
    before that, in its own words.

    local: it loads a model of this machine, for which it waits in the queue while the devices are taken. asked: what
    the run is listed with until then.
    """
    if is_run(run) and process_lives(RunReader(run).state()):
        name = studio.workspace.relative(run)
        raise Clash(f"{name} is at work already.", hint="Wait for its end, or stop it first.")
    if local and studio.devices_taken():
        if not is_run(run):
            text = flat_yaml(asked or {})
            Run.create(run, text, text, kind=" ".join(command[:2])).add_environment(command=["tunesmith", *command])
        on = studio.devices.ids()
        return _enqueue(studio, run, "tunesmith", list(command), on, dict(secrets))
    layout = RunLayout(run)
    log_from = layout.launch_log.stat().st_size if layout.launch_log.is_file() else 0
    before = (read_json(layout.state) or {}).get("attempt", 0)
    pid = start_detached(run, command, environment=secrets)
    born, deadline = birth(pid), time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and not studio.leaving:
        if (read_json(layout.state) or {}).get("attempt", 0) > before:
            studio.changed()
            return studio.workspace.relative(run)
        if not is_alive(pid, born):
            said = layout.launch_log.read_bytes()[log_from:].decode("utf-8", "replace").splitlines()
            if not is_run(run):  # nothing of it is to be seen in the list
                shutil.rmtree(layout.logs, ignore_errors=True)
                with suppress(OSError):
                    run.rmdir()
            raise last_error(said)
        time.sleep(0.1)
    raise UserError("The job has not begun its run yet.", hint=f"Look at {layout.launch_log}.")


def begin_export(studio: Studio, settings: Mapping[str, Any], chosen: Sequence[str] | None, *, trusted: bool) -> str:
    resolved = forms.load("export", _without_secrets(settings))
    ask_for_trust(resolved.job.model, trusted)
    if not resolved.job.export.export_dir:
        raise UserError("Where to is missing.", hint="For example: exports/mine", field="export_dir")
    forms.confine(resolved.job, studio.workspace, exposed=studio.exposed)
    folder = Path(resolved.job.export.export_dir)
    with _ONE_EXPORT:  # of two tabs that start at once, the second sees the first
        if clash := taken.export_clash(studio, folder):
            raise clash[0]
        return begin_command(
            studio, "export", [], title=folder.name, asked=resolved.asked, chosen=_devices(studio, chosen, resolved),
            secrets=forms.secrets_of(settings), resolved=dump_yaml(resolved.job),
        )  # fmt: skip


def begin_evaluation(
    studio: Studio, settings: Mapping[str, Any], chosen: Sequence[str] | None, *, trusted: bool, beside: bool = False
) -> str:
    from tunesmith.jobs import evaluate

    resolved = forms.load("eval", _without_secrets(settings))
    ask_for_trust(resolved.job.model, trusted)
    forms.confine(resolved.job, studio.workspace, exposed=studio.exposed)
    if beside or not settings.get("output_dir"):
        resolved = _with_free_folder(resolved)
    devices = _devices(studio, chosen, resolved)
    with _runs_named(studio, resolved):
        layout = evaluate.queue(resolved)
    run, arguments = layout.root, _evaluation(layout)
    return _enqueue(studio, run, "tunesmith", arguments, devices, forms.secrets_of(settings))


@contextmanager
def _runs_named(studio: Studio, resolved: Resolved) -> Iterator[None]:
    """Around what takes a folder for a run: where a run is at work in it, the refusal says which."""
    try:
        yield
    except UserError as error:
        raise taken.named_run(error, resolved.job.run.output_dir, studio.workspace)[0] from None


def _evaluation(layout: RunLayout) -> list[str]:
    """What evaluates in a run directory that was made for it; what is answered there stays."""
    return ["train", layout.resolved.as_posix(), "overwrite_output_dir=false"]


def _enqueue(
    studio: Studio, run: Path, module: str, arguments: list[str], chosen: list[str], environment: dict[str, str]
) -> str:
    name = studio.workspace.relative(run)
    studio.queue.add(Job(name, module, arguments, chosen), environment)
    studio.changed()
    return name


def _devices(studio: Studio, chosen: Sequence[str] | None, resolved: Resolved) -> list[str]:
    """The devices that the job takes for itself: those chosen, else all there are."""
    return [CPU] if resolved.job.training.use_cpu else studio.devices.known(chosen) or studio.devices.ids()


def ask_for_trust(model: ModelConfig, trusted: bool) -> None:
    """Unconfirmed, naming the model, where its own code would run and nobody has agreed yet."""
    if model.trust_remote_code and not trusted and not _is_gguf(model.model_name_or_path):
        raise Unconfirmed(
            f"trust_remote_code runs Python code out of {model.model_name_or_path} on this machine.",
            hint="Agree only if you trust its author.",
            field="trust_remote_code",
        )


def _is_gguf(model: str) -> bool:
    """Whether it is a file that holds no code."""
    path = path_of(Path(), model)
    return model.lower().endswith(".gguf") and path is not None and path.is_file()


def _with_free_folder(resolved: Resolved) -> Resolved:
    """Where the folder is taken, one beside it: the default one holds the time in seconds, and two may begin in the
    same."""
    job = resolved.job
    folder = free_folder(Path(job.run.output_dir)).as_posix()
    asked = {key: folder if key == "output_dir" else value for key, value in resolved.asked.items()}
    return replace(resolved, job=replace(job, run=replace(job.run, output_dir=folder)), asked=asked)


def _plain_name(title: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "-" for char in title)[:60].strip(".-") or "job"


def _without_secrets(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in ("hf_hub_token", "ms_hub_token")}


def _recorded(run: RunReader, key: str) -> list[str]:
    """How the run was started, by a key of its record: `command` with the program's name, or `arguments`."""
    kept = run.environment().get(key)
    if not isinstance(kept, list) or not kept:
        raise Clash("This run does not say how it was started.", hint="Start it anew.")
    return [str(word) for word in kept]
