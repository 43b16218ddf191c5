"""Settings as the page has them: the schema its forms are made of, the check, the same as YAML and as a command."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tunesmith.config.describe import json_schema, scalar_text
from tunesmith.config.evaluation import COMMAND
from tunesmith.config.fields import fields
from tunesmith.config.job import SECTIONS, Job
from tunesmith.config.legacy import EVAL
from tunesmith.config.load import Resolved, load_job, read_settings
from tunesmith.config.settle import UNKNOWN_KEY
from tunesmith.config.shell import shell_line
from tunesmith.errors import UserError
from tunesmith.models.quantizable import must_be_quantizable
from tunesmith.runs.environment import is_secret
from tunesmith.runs.run import flat_yaml
from tunesmith.web.devices import Devices
from tunesmith.web.workspace import Workspace

VERBS = ("train", "eval", "export", "chat")

# The fields that LLaMA Board shows first, in its order; the others are found under Advanced.
COMMON: Mapping[str, Sequence[str]] = {
    "train": (
        "model_name_or_path", "hub_name", "finetuning_type", "adapter_name_or_path", "quantization_bit", "template",
        "rope_scaling", "flash_attn", "stage", "dataset_dir", "dataset", "eval_dataset", "learning_rate",
        "num_train_epochs", "max_grad_norm", "max_samples", "precision", "cutoff_len", "per_device_train_batch_size",
        "gradient_accumulation_steps", "val_size", "lr_scheduler_type", "lora_rank", "lora_alpha", "lora_dropout",
        "lora_target", "output_dir",
    ),
    "eval": (
        "model_name_or_path", "adapter_name_or_path", "template", "dataset_dir", "eval_dataset", "cutoff_len",
        "max_samples", "per_device_eval_batch_size", "predict_with_generate", "predict_base", "max_new_tokens", "top_p",
        "temperature", "do_sample", "seed", "output_dir",
    ),
    "export": (
        "model_name_or_path", "adapter_name_or_path", "template", "export_to", "export_quant", "export_dir",
        "export_ollama", "export_hub_model_id", "hub_name", "export_size", "export_quantization_bit",
        "export_quantization_method", "export_verify",
    ),
    "chat": (
        "model_name_or_path", "adapter_name_or_path", "template", "infer_dtype", "quantization_bit", "max_new_tokens",
        "temperature", "top_p", "top_k", "repetition_penalty", "do_sample", "seed", "enable_thinking",
        "default_system",
    ),
}  # fmt: skip
_SECTIONS_OF: Mapping[str, Sequence[str]] = {
    "train": [name for name in SECTIONS if name not in ("evaluation", "generation", "export")],
    "eval": ["model", "adapter", "data", "evaluation", "generation"],
    "export": ["model", "adapter", "data", "export"],
    "chat": ["model", "adapter", "data", "generation", "training"],
}
_DECIDED = frozenset({"do_train", "do_predict"})  # by the page that the form is on
_MOST_CONFIG = 1 << 20


def schema_for(verb: str) -> dict[str, Any]:
    """The JSON schema of the verb's fields. Of each: `x-section`, `x-common`, `x-order`, `x-secret`, `x-choices`,
    `x-automatic`: whether a value is found where none is given."""
    whole = json_schema()
    common = {name: at for at, name in enumerate(COMMON[verb])}
    properties: dict[str, Any] = {}
    for name, field in fields().items():
        if name in _DECIDED or (field.section not in _SECTIONS_OF[verb] and name not in common):
            continue
        order = common.get(name)
        meant = {"default": COMMAND[name]} if verb == EVAL and name in COMMAND else {}
        properties[name] = {
            **whole["properties"][name],
            **meant,
            "x-common": order is not None,
            "x-order": len(common) + len(properties) if order is None else order,
            "x-secret": field.secret,
            "x-automatic": is_automatic(whole["properties"][name]["description"]),
            "x-choices": list(field.choices),
        }
    ordered = sorted(properties.items(), key=lambda pair: pair[1]["x-order"])
    return {**whole, "title": verb, "properties": dict(ordered)}


def is_automatic(help: str) -> bool:
    """Whether a value is found where none is given, by the English help of a setting: there alone it stands, and a test
    lists the settings that say so."""
    return "Left out" in help


def check(
    verb: str, settings: Mapping[str, Any], workspace: Workspace, devices: Devices, *, exposed: bool
) -> tuple[Resolved | None, list[UserError]]:
    """The job that the settings make, by the same rules as files and flags, and all that is wrong with them."""
    try:
        resolved = load(verb, settings)
    except UserError as error:
        return None, [_of_the_page(part) for part in error.parts]
    try:
        confine(resolved.job, workspace, exposed=exposed)  # first: whatever lies elsewhere is not even looked for
    except UserError as error:
        return resolved, [error]
    if verb not in ("train", EVAL):
        return resolved, []
    from tunesmith.jobs import execute
    from tunesmith.training.start import obstacles

    try:
        execute.validate(resolved.job)
        _must_fit(resolved.job, devices)
    except UserError as error:
        return resolved, [error]
    return resolved, obstacles(resolved.job)


def _must_fit(job: Job, devices: Devices) -> None:
    """UserError where this machine can't run the job, whatever another one could."""
    if (bits := job.model.quantization_bit) is not None:
        device = devices.kind(use_cpu=job.training.use_cpu)
        if device is not None:
            must_be_quantizable(bits, device)


def load(verb: str, settings: Mapping[str, Any]) -> Resolved:
    """As `check`, for a job that is to run: UserError where anything is wrong."""
    return load_job([], _meant(verb, settings), verb=verb)


def secrets_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """The tokens among the settings as the environment variables that the hubs' clients read."""
    names = {"hf_hub_token": "HF_TOKEN", "ms_hub_token": "MODELSCOPE_API_TOKEN"}
    return {names[key]: str(value) for key, value in settings.items() if key in names and value}


def confine(job: Job, workspace: Workspace, *, exposed: bool) -> None:
    """UserError where the job would write outside the workspace, or, for a page that others reach, read there."""
    for key, value in (
        ("output_dir", job.run.output_dir),
        ("export_dir", job.export.export_dir),
        ("tokenized_path", job.data.tokenized_path),
    ):
        if value:
            workspace.inside(value, field=key)
    data = job.data
    if not data.dataset_dir.startswith("REMOTE:") and data.dataset_dir != "ONLINE":
        workspace.inside(data.dataset_dir, field="dataset_dir")
        for key, names in (("dataset", data.dataset), ("eval_dataset", data.eval_dataset)):
            for name in names:
                if Path(name).is_absolute() or ".." in Path(name).parts or Path(name).exists():
                    workspace.inside(name, field=key)
    confine_model(job, workspace, exposed=exposed)


def confine_model(job: Job, workspace: Workspace, *, exposed: bool) -> None:
    """UserError where the job of a page that others reach would read its model outside the workspace, or keep it there.

    All that a page asks of a model comes by here, with the settings as they were resolved: whichever of them names it.
    """
    if not exposed:
        return
    if job.model.cache_dir:
        workspace.inside(job.model.cache_dir, field="cache_dir")
    for key, place in (
        ("model_name_or_path", job.model.model_name_or_path),
        *(("adapter_name_or_path", name) for name in job.adapter.adapter_name_or_path),
        ("resume_from_checkpoint", job.run.resume_from_checkpoint),
    ):
        if isinstance(place, str) and place and (Path(place).expanduser().exists() or Path(place).is_absolute()):
            workspace.inside(place, field=key)


def as_yaml(settings: Mapping[str, Any], verb: str = "train") -> str:
    """The settings as a config file for the verb; secrets are left out."""
    return flat_yaml(_train_too(verb, _without_blanks(settings)))


def as_command(verb: str, settings: Mapping[str, Any], *, windows: bool) -> str:
    """The settings as a command, quoted for the shell; a secret shows as a variable's name at most."""
    given = _train_too(verb, _without_blanks(settings))
    flags = ([f"{key}={_flag_text(value)}"] for key, value in given.items() if not is_secret(key))
    return shell_line([["tunesmith", verb], *flags], windows=windows)


def read_yaml(text: str, name: str, verb: str = "train") -> tuple[dict[str, Any], list[str], list[UserError]]:
    """The settings in a config file's text, LLaMA-Factory's too, with what is to be said of them, and what of them the
    command of the verb refuses: that stays among them, for the check to tell of it until somebody leaves it out."""
    suffix = Path(name).suffix.lower()
    if suffix != ".json":
        _refuse_aliases(text, name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"file{suffix if suffix in ('.yaml', '.yml', '.json') else '.yaml'}"
        file.write_text(text, encoding="utf-8")
        try:
            settings, notes, refused = read_settings(file, verb)
        except UserError as error:
            raise _of_the_page(error, str(file), name or "the text") from None
    shown = [_of_the_page(error, str(file), name) for error in refused]
    return _with_one_precision(settings), [note.replace(str(file), name) for note in notes], shown


def _with_one_precision(settings: dict[str, Any]) -> dict[str, Any]:
    """The form has one field for the number format; the older switches for it would not be seen there."""
    on = [name for name in ("pure_bf16", "bf16", "fp16") if settings.get(name)]
    if settings.get("precision", "auto") not in ("auto", *on) or (on and on[0] != "pure_bf16" and len(on) > 1):
        return settings  # they contradict each other, which the check tells
    kept = {key: value for key, value in settings.items() if key not in ("pure_bf16", "bf16", "fp16")}
    return {**kept, "precision": on[0]} if on else kept


def _of_the_page(error: UserError, file: str = "", name: str = "") -> UserError:
    """A mistake as it is told on the page: the file by the name it was given by, and no command for a terminal."""
    hint = "Leave it out, or search the form for what you mean." if error.code == UNKNOWN_KEY else error.hint
    if hint == f"`tunesmith help {error.field}` says more.":  # that stands below the field
        hint = ""
    message = error.message.replace(file, name) if file else error.message
    return UserError(message, hint=hint.replace(file, name) if file else hint, field=error.field, code=error.code)


def _refuse_aliases(text: str, name: str) -> None:
    """UserError where a value stands for another: a few hundred bytes of such could become gigabytes."""
    import yaml

    if "*" not in text or "&" not in text:
        return
    with suppress(yaml.YAMLError):  # what else is wrong with it is told by the reader
        for token in yaml.scan(text, yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):
                raise UserError(
                    f"{name or 'the text'}, line {token.start_mark.line + 1}: *{token.value} stands for another value.",
                    hint="Write the value itself there.",
                )


def mapping_in(path: Path) -> dict[str, Any]:
    """The keys of a run's YAML file; empty where it is missing or damaged."""
    import yaml

    try:
        if path.stat().st_size > _MOST_CONFIG:
            return {}
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def _without_blanks(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A field that the form left empty was not given."""
    return {key: value for key, value in settings.items() if value is not None and value != "" and value != []}


def _meant(verb: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the command of the verb makes of the settings."""
    given = _train_too(verb, _without_blanks(settings))
    return {**COMMAND, **given} if verb == EVAL else given


def _train_too(verb: str, settings: dict[str, Any]) -> dict[str, Any]:
    """A form for training trains, also where it asks for an evaluation: in a file that would be all that is done."""
    asks = settings.get("do_eval") or settings.get("do_predict")
    return {"do_train": True, **settings} if verb == "train" and asks else settings


def _flag_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        plain = all(isinstance(item, str | int | float) and "," not in str(item) for item in value)
        return ",".join(map(scalar_text, value)) if plain else _json(value)
    return _json(value) if isinstance(value, Mapping) else scalar_text(value)


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
