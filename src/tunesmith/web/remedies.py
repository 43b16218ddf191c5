"""Settings that would have let a failed run go on, for the errors that are met most: one click tries again."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tunesmith.config.model import use_modelscope
from tunesmith.models.hub import looks_like_hub_id
from tunesmith.text.families import family_names
from tunesmith.web.workspace import free_folder

# Of a job that starts before its run, and of a command over a run directory, only the words are known.
_WORDS = (
    ("memory", re.compile(r"memory (of the device )?is not enough|out of memory", re.IGNORECASE)),
    (
        "in_use",
        re.compile(
            r"^The directory .* (already holds a run|is already in use)|is there already, and is no earlier export"
        ),
    ),
    ("needs_gpu", re.compile(r"^quantization_bit: \d+ needs a GPU")),
    ("ollama", re.compile(r"^No Ollama server answers|^What answers at .* is not Ollama|^The connection to Ollama ")),
    ("port", re.compile(r"^MASTER_PORT is \d+, which can't be had")),
    ("login", re.compile(r" is gated: |, or it is private; |nobody is logged in to |\b40[13] Client Error")),
    ("disk_full", re.compile(r"No space left on device|quota exceeded|and its disk has .* free", re.IGNORECASE)),
    (
        "hub_unreachable",
        re.compile(
            r"no folder here, is .* in the local cache, |the chosen hub, but|"
            r"had from ModelScope: \w*(Connection|Connect|Timeout|Proxy|SSL)\w*: "
        ),
    ),
    ("template", re.compile(r"no chat template of its own|There is no template called|^The template .* not built in")),
    ("bf16", re.compile(r"\bbf16\b.*(not|can't)|(not|can't).*\bbf16\b", re.IGNORECASE)),
    ("not_a_number", re.compile(r"not a number|\bNaN\b|is no number|diverged", re.IGNORECASE)),
)
_LEAST_CUTOFF = 256
REPEATED = frozenset({"train", "eval", "export"})
"""The kinds of runs that the page can begin again from their settings."""


class Remedy(BaseModel):
    """what: for translation; settings: laid over the run's own.

    names: what stands in the words for it. needs: a command to give first, where something has to be installed.
    asks: a setting that the person gives first, one of `choices` where there are any. link: a page to look at for that.
    free_port: whether MASTER_PORT is to be left out of the process's environment.
    """

    what: str
    settings: dict[str, Any] = {}
    names: dict[str, str] = {}
    needs: str = ""
    asks: str = ""
    choices: list[str] = []
    link: str = ""
    free_port: bool = False


def cause_of(error: Mapping[str, str]) -> str:
    """What went wrong, in a word: the error's own code where it has one; empty for what is not known here."""
    if code := error.get("code"):
        return code
    if error.get("field") == "template":
        return "template"
    return next((cause for cause, words in _WORDS if words.search(error.get("message", ""))), "")


def remedies(
    error: Mapping[str, str],
    config: Mapping[str, Any],
    kind: str = "train",
    has_gpu: Callable[[], bool] = lambda: True,
) -> list[Remedy]:
    """The remedies for an error as a run records it, the mildest first. config: the settings as the run had them.
    has_gpu: whether this machine has one, asked where that decides."""
    if kind not in REPEATED:
        return []
    match cause_of(error):
        case "login":
            return [_token(error, config)]
        case "template":
            return _templates(config)
        case "disk_full":
            return _less_room(config, kind)
        case "port":
            alone = os.environ.get("NNODES", "") in ("", "1")  # other machines look for the port that was told to them
            return [Remedy(what="free_port", free_port=True)] if alone else []
        case "ollama" if kind == "export":
            return [_without_ollama(config)]
        case "memory" if kind != "export":
            return [*_less_memory(config), *_four_bits(config, has_gpu)]
        case "in_use":
            return [_new_folder(config, "export_dir" if kind == "export" else "output_dir")]
        case "hub_unreachable" if looks_like_hub_id(str(config.get("model_name_or_path") or "")):
            return [_other_hub(config)]
        case "needs_gpu":
            return [Remedy(what="not_quantized", settings={"quantization_bit": None})]
        case "bf16":
            numbers = {"precision": "auto", "bf16": False, "pure_bf16": False}
            return [Remedy(what="automatic_precision", settings=numbers)]
        case "not_a_number" if isinstance(rate := config.get("learning_rate"), int | float):
            return [Remedy(what="lower_learning_rate", settings={"learning_rate": float(f"{rate / 3:.1e}")})]
    return []


def _token(error: Mapping[str, str], config: Mapping[str, Any]) -> Remedy:
    """A token of the hub, and the model's page, where its owner's terms are accepted."""
    modelscope = use_modelscope(config.get("hub_name") or "auto")
    endpoint = (
        "https://modelscope.cn/models" if modelscope else os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    )
    model = str(config.get("model_name_or_path") or "")
    wanted = error.get("field") in (None, "model_name_or_path") and looks_like_hub_id(model)
    link = f"{endpoint.rstrip('/')}/{model}" if wanted else ""
    return Remedy(what="token", asks="ms_hub_token" if modelscope else "hf_hub_token", link=link)


def _other_hub(config: Mapping[str, Any]) -> Remedy:
    """The same model from the hub that was not asked; most are on both under one name."""
    if use_modelscope(config.get("hub_name") or "auto"):
        return Remedy(what="from_hub", settings={"hub_name": "huggingface"}, names={"hub": "Hugging Face"})
    needs = "" if find_spec("modelscope") else 'pip install "tunesmith[modelscope]"'
    return Remedy(what="from_hub", settings={"hub_name": "modelscope"}, names={"hub": "ModelScope"}, needs=needs)


def _new_folder(config: Mapping[str, Any], key: str) -> Remedy:
    """A folder beside the one that is taken."""
    folder = free_folder(Path(str(config.get(key) or "saves/run"))).as_posix()
    return Remedy(what="another_folder", settings={key: folder}, names={"folder": folder})


def _without_ollama(config: Mapping[str, Any]) -> Remedy:
    """The same files: what was left out is what an export to Ollama takes."""
    targets = list(config.get("export_to") or ["gguf"])
    files: dict[str, Any] = {} if config.get("export_to") else {"export_to": targets}
    if "gguf" in targets and not config.get("export_quant"):
        files["export_quant"] = ["q4_k_m"]
    return Remedy(what="without_ollama", settings={"export_ollama": None, "export_ollama_base": None, **files})


def _templates(config: Mapping[str, Any]) -> list[Remedy]:
    own = [Remedy(what="own_template", settings={"template": None})] if config.get("template") else []
    return [*own, Remedy(what="choose_template", asks="template", choices=sorted(set(family_names().values())))]


def _less_room(config: Mapping[str, Any], kind: str) -> list[Remedy]:
    elsewhere = Remedy(what="elsewhere", asks="export_dir" if kind == "export" else "output_dir")
    if kind != "train" or config.get("save_total_limit") == 1:
        return [elsewhere]
    return [Remedy(what="one_checkpoint", settings={"save_total_limit": 1}), elsewhere]


def _less_memory(config: Mapping[str, Any]) -> list[Remedy]:
    found = []
    if config.get("do_train") is False:  # an evaluation: its batches, and no other rows than were asked for
        rows = config.get("per_device_eval_batch_size") or 1
        if rows > 1:
            found.append(Remedy(what="fewer_at_once", settings={"per_device_eval_batch_size": rows // 2}))
        return found
    rows, steps = config.get("per_device_train_batch_size") or 1, config.get("gradient_accumulation_steps") or 1
    if rows > 1:
        halved = {"per_device_train_batch_size": rows // 2, "gradient_accumulation_steps": steps * rows // (rows // 2)}
        found.append(Remedy(what="smaller_batches", settings=halved))
    if config.get("gradient_checkpointing") is not True:
        found.append(Remedy(what="recompute_activations", settings={"gradient_checkpointing": True}))
    if (cutoff := config.get("cutoff_len") or 0) >= 2 * _LEAST_CUTOFF:
        found.append(Remedy(what="shorter_rows", settings={"cutoff_len": cutoff // 2}))
    return found


def _four_bits(config: Mapping[str, Any], has_gpu: Callable[[], bool]) -> list[Remedy]:
    if config.get("finetuning_type") != "lora" or config.get("quantization_bit") or config.get("use_cpu"):
        return []
    if not has_gpu():  # they are computed with on a GPU alone
        return []
    return [Remedy(what="four_bit_base", settings={"quantization_bit": 4})]
