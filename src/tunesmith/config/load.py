"""The way from files and flags to a resolved job, and back to a file that runs it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tunesmith.config import arguments, reading
from tunesmith.config.checking import check, idle_notes
from tunesmith.config.evaluation import nothing_is_trained
from tunesmith.config.fields import fields
from tunesmith.config.job import SECTIONS, Job, with_output_dir
from tunesmith.config.legacy import EVAL, TRAINING_VERBS, switch
from tunesmith.config.reading import Setting
from tunesmith.config.settle import judged, settle
from tunesmith.config.values import build_job
from tunesmith.errors import UserError


@dataclass(frozen=True, slots=True)
class Resolved:
    """A job ready to run. notes: what is to be said about the settings; asked: the fields that were set, no secrets."""

    job: Job
    notes: tuple[str, ...]
    asked: dict[str, Any]


def load_job(
    files: Sequence[Path], overrides: Mapping[str, Any], *, verb: str = "train", now: datetime | None = None
) -> Resolved:
    """The job that files and overrides describe; later files win over earlier, overrides over files.

    verb: the command it is for (`train`, `plan`, `chat`, `data` …): one file may feed several, so a setting is refused
    only where it matters; a file that asks for an evaluation alone is held to the rules of `eval`. now: time for the
    name of a run directory that was not given. UserError for anything wrong.
    """
    given, notes = _read(files)
    for key, value in overrides.items():
        _lay(given, Setting(key, _said(key, value) if isinstance(value, str) else value))

    verb = _meant(given, verb)
    kept, said = settle(given, verb)
    notes += said
    job = build_job(kept)
    check(job, verb)
    flat = to_flat(job)
    asked = {key: flat[key] for key in kept if key in flat}
    notes += idle_notes(job, [key for key in asked if asked[key] != _plain(fields()[key].default)], verb)
    if verb in TRAINING_VERBS or verb == EVAL:
        job = with_output_dir(job, now or datetime.now())
    return Resolved(job, tuple(dict.fromkeys(notes)), asked)


def read_settings(file: Path, verb: str) -> tuple[dict[str, Any], list[str], list[UserError]]:
    """The settings of a file for a form to go on with: nothing has to be complete, and what the command would refuse
    stays among them. Beside them what is to be said of them, and what is refused, with each key as `field`.

    UserError for a file that can't be read, for a key that nobody knows and for a value that its field can't have.
    """
    given, notes = _read([file])
    kept, said, refused = judged(given, verb)
    flat = to_flat(build_job(kept))
    asked = {key: flat[key] for key in kept if key in flat}
    asked |= {error.field: reading.plain(given[error.field].value) for error in refused if error.field in given}
    return asked, [*notes, *said], refused


def _read(files: Sequence[Path]) -> tuple[dict[str, Setting], list[str]]:
    """What stands in the files, later ones laid over earlier, and what is to be said of them."""
    notes: list[str] = []
    given: dict[str, Setting] = {}
    for file in files:
        settings, said = reading.read_file(Path(file), free=_free)
        notes += said
        for setting in settings:
            _lay(given, setting)
    return given, notes


def parse_arguments(argv: Sequence[str]) -> tuple[list[Path], dict[str, str]]:
    """Split `cfg.yaml key=value --key value --flag` into files and overrides."""

    def is_flag(key: str) -> bool:
        return key in fields() and str(fields()[key].forms[0]) == "true or false"

    return arguments.split_arguments(argv, is_flag=is_flag)


def to_flat(job: Job) -> dict[str, Any]:
    """Every key and its value, as plain lists, mappings and scalars, in the order of the sections; no secrets."""
    return {
        key: _plain(getattr(getattr(job, field.section), key)) for key, field in fields().items() if not field.secret
    }


def dump_yaml(job: Job) -> str:
    """The resolved job as a config file: loading it gives the same job (but for secrets)."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        bare = value not in reading.NULL_WORDS and isinstance(reading.plain(value), str)
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if bare else "'")

    def row(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
        return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)

    Dumper.add_representer(str, text)
    Dumper.add_representer(list, row)
    flat = to_flat(job)
    parts = []
    for name in SECTIONS:
        part = {key: value for key, value in flat.items() if fields()[key].section == name}
        body = yaml.dump(part, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
        parts.append(f"# {name}\n{body}")
    return "\n".join(parts)


def _meant(given: Mapping[str, Setting], verb: str) -> str:
    """`eval` where what is given to a training command asks for an evaluation alone."""
    values = {key: switch(setting.value) for key, setting in given.items()}
    on = {key: values.get(key) in (True, 1) for key in ("do_eval", "do_predict", "predict_with_generate")}
    do_train = values.get("do_train")
    alone = nothing_is_trained(None if do_train is None else do_train in (True, 1), **on)
    return EVAL if verb in TRAINING_VERBS and alone else verb


def _said(key: str, text: str) -> Any:
    """What a flag's text says: brackets are a list or mapping only where the field may be one."""
    head, dot, _ = key.partition(".")
    field = fields().get(head)
    is_text = field is not None and not field.takes("list") and not field.takes("mapping")
    if is_text or (dot and field is not None and not _free(key)):
        return None if text in reading.NULL_WORDS else text
    return arguments.flag_value(text, free=_free(key))


def _free(key: str) -> bool:
    """Whether the values below a key have no types of their own (`lr_scheduler_kwargs`)."""
    field = fields().get(key.partition(".")[0])
    mapping = field.takes("mapping") if field else None
    return mapping is not None and mapping.item is not None and mapping.item.kind == "anything"


def _lay(given: dict[str, Setting], setting: Setting) -> None:
    """Lay a setting over what was given before; `placeholders.name` changes one entry of a mapping."""
    head, dot, rest = setting.key.partition(".")
    field = fields().get(head)
    if not dot or field is None or field.takes("mapping") is None:
        given[setting.key] = setting
        return
    before = given[head].value if head in given and isinstance(given[head].value, dict) else {}
    given[head] = Setting(head, {**before, rest: setting.value}, setting.where)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value
