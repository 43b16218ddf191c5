"""`tunesmith export` and `tunesmith verify`: from a run, an adapter or a model to files that others run."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.cli.asked import resolve, tell_notes, wants_help
from tunesmith.cli.preflight import print_lines
from tunesmith.errors import UserError, did_you_mean
from tunesmith.i18n import tr
from tunesmith.jobs.places import configuration_of, place_of

if TYPE_CHECKING:
    from tunesmith.config.load import Resolved

HELP = """\
tunesmith export RUN | CONFIG.yaml | --base MODEL [--adapter DIR]  [--to FORM] [--quant NAMES] [--ollama NAME] …

Merges the adapter into its base and writes the model, tensor by tensor: memory for the largest tensor is enough.

  tunesmith export saves/mine --to gguf --quant q4_k_m,q8_0      GGUF files, and a Modelfile
  tunesmith export saves/mine --ollama my-model                  into the Ollama that runs here
  tunesmith export saves/mine                                    merged safetensors
  tunesmith export saves/mine --to gguf-adapter                  the LoRA alone, megabytes
  tunesmith export --base Qwen/Qwen3-0.6B --to gguf              a base alone

  --to FORM          safetensors, gguf, gguf-adapter; several joined by commas
  --quant NAMES      f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k … q4_k_m q5_k_m q6_k; several joined by commas
  --export-dir DIR   where to (exports/ and the run's name)
  --base MODEL       in place of a run: a hub id, a folder, a GGUF file, ollama:NAME (--model is the same)
  --ollama NAME      create the model in Ollama, at OLLAMA_HOST or on this machine
  --ollama-base NAME with --to gguf-adapter: the model of that server that the adapter goes on top of
  --hub OWNER/NAME   upload to the hub
  --dry-run          tell what would be written, and the disk and memory it takes; nothing is written

Every file is compared with the trained model before it counts, in one table (--compare says so too;
export_verify=false leaves it out).
`tunesmith help export_dir` and the like explain the keys; LLaMA-Factory's export files work as they are."""

VERIFY_HELP = """\
tunesmith verify EXPORTED  [--run RUN]

Asks the trained model and an exported one (a folder that `tunesmith export` wrote, or a GGUF file in it) the same
things: prompts, tokens, next-token probabilities and the loss on held-out rows. Exit code 1 when they don't agree."""

_SHORT = {"to": "export_to", "quant": "export_quant", "ollama": "export_ollama", "hub": "export_hub_model_id",
          "ollama-base": "export_ollama_base", "model": "model_name_or_path", "base": "model_name_or_path",
          "adapter": "adapter_name_or_path"}  # fmt: skip

_FLAGS = {"--dry-run": "", "--compare": "export_verify=true"}


def run(arguments: list[str]) -> int:
    """`tunesmith export`."""
    if wants_help(arguments):
        print(tr(HELP))
        return 0
    dry_run = "--dry-run" in arguments
    words = [_FLAGS.get(argument, argument) for argument in arguments]
    resolved = _resolved([word for word in words if word])
    tell_notes(resolved)
    from tunesmith.jobs import export

    return export.preview(resolved.job) if dry_run else export.export(resolved.job)


def verify(arguments: list[str]) -> int:
    """`tunesmith verify`."""
    if wants_help(arguments):
        print(tr(VERIFY_HELP))
        return 0
    if not arguments or arguments[0].startswith("-"):
        raise UserError(
            "`tunesmith verify` needs the folder or file that was exported.",
            hint="tunesmith verify exports/mine, or: tunesmith verify --help",
        )
    place, *rest = arguments
    if rest and (rest[0] != "--run" or len(rest) != 2):
        raise UserError("`tunesmith verify` takes a place and --run RUN.", hint="tunesmith verify --help")
    from tunesmith.jobs import export

    return print_lines(export.verify(Path(place), run=rest[1] if rest else None))


def _resolved(arguments: list[str]) -> Resolved:
    """The job of a run, a configuration or keys, with the short flags in their long names."""
    places = list(takewhile(_is_place, arguments[:2]))
    files, keys = configuration_of(*places) if places else ([], {})
    rest = [_long(argument) for argument in arguments[len(places) :]]
    return resolve(rest, "export", files=files, keys=keys | _default_place(places))


def _default_place(places: list[str]) -> dict[str, str]:
    if not places:
        return {}
    folder = Path(place_of(places[-1])).resolve()
    of_run = f"{folder.parent.name}-" if folder.name.startswith("checkpoint-") else ""
    name = of_run + folder.name.removesuffix(".gguf")
    return {"export_dir": str(Path("exports") / name)}


def _long(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    from tunesmith.config.fields import fields
    from tunesmith.config.legacy_keys import LEGACY

    name, equals, value = argument[2:].partition("=")
    key = name.partition(".")[0].replace("-", "_")
    if name not in _SHORT and not any(
        word in known for word in (key, key.removeprefix("no_")) for known in (fields(), LEGACY)
    ):
        written = [*_SHORT, *(flag[2:] for flag in _FLAGS), *fields()]
        if near := did_you_mean(name, written, lambda word: f"--{word}"):
            raise UserError(f"There is no --{name}.", hint=near)
    return f"--{_SHORT.get(name, name)}{equals}{value}"


def _is_place(argument: str) -> bool:
    if argument.startswith("-") or "=" in argument:
        return False
    return not argument.lower().endswith((".yaml", ".yml", ".json"))
