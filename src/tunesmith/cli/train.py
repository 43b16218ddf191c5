"""`tunesmith train` and `tunesmith plan`: from a configuration to a run, or to what the run would need."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.cli.asked import resolve, tell_notes, wants_help
from tunesmith.cli.preflight import print_lines
from tunesmith.errors import UserError
from tunesmith.i18n import tr

if TYPE_CHECKING:
    from tunesmith.config.load import Resolved

TRAIN_HELP = """\
tunesmith train CONFIG.yaml [key=value | --key value …]

Fine-tunes a model. The configuration is YAML or JSON with LLaMA-Factory's keys; what is given after it wins.

  tunesmith train examples/lora_sft.yaml
  tunesmith train examples/lora_sft.yaml learning_rate=2e-5 num_train_epochs=1
  tunesmith train --model_name_or_path Qwen/Qwen3-0.6B --dataset mine.jsonl --output_dir saves/mine

  --dry-run   check the configuration, its model, data sets and output_dir, and print it as it would run; nothing is
              loaded or written
  --detach    train in the background, on after the terminal is closed; `tunesmith runs` shows and stops it

The keys that decide most: model_name_or_path, dataset, template, finetuning_type, output_dir, learning_rate,
num_train_epochs, per_device_train_batch_size, gradient_accumulation_steps, cutoff_len.
`tunesmith help KEY` explains any of them, `tunesmith plan CONFIG.yaml` tells what the run will need.
All GPUs are used; CUDA_VISIBLE_DEVICES or NPROC_PER_NODE=1 choose fewer. Ctrl-C, or `tunesmith runs stop`, saves and
stops with exit code 130; `tunesmith runs resume last` goes on."""

PLAN_HELP = """\
tunesmith plan CONFIG.yaml [key=value | --key value …]

Checks a run before it starts: data, tokens, truncation, memory (with one real micro-step), disk and time.
Every line is pass, warn or fail with the fix. Exit code 1 when a line fails."""


def run(arguments: list[str]) -> int:
    """`tunesmith train`."""
    if wants_help(arguments):
        print(tr(TRAIN_HELP))
        return 0
    dry_run = "--dry-run" in arguments
    given = [argument for argument in arguments if argument not in ("--dry-run", "--detach")]
    resolved = resolve(given, "train")
    if dry_run:
        return _print_resolved(resolved)
    tell_notes(resolved)
    if evaluates_alone(resolved):
        from tunesmith.cli import evaluate

        return evaluate.detach(resolved) if "--detach" in arguments else evaluate.evaluate(resolved)
    return detach(resolved, given) if "--detach" in arguments else train(resolved, given)


def train(resolved: Resolved, arguments: list[str], *, resume: Path | None = None) -> int:
    """Train here, or through torchrun where there are several devices; `arguments` are those that led to `resolved`."""
    from tunesmith.jobs import launch

    wanted = launch.spread(os.environ, use_cpu=resolved.job.training.use_cpu)
    if not wanted.alone:
        # All processes must mean the same run, and a default output_dir holds the time.
        folder = resolved.job.run.output_dir
        code = launch.run_spread(["train", *arguments, f"output_dir={folder}"], wanted, Path(folder))
    else:
        from tunesmith.jobs import execute

        execute.train(resolved, resume=resume)
        code = 0
    return code or _predict(resolved)


def _predict(resolved: Resolved) -> int:
    """Answers of what was just trained, where `do_predict` asks for them; the process that leads gives them."""
    if not resolved.job.evaluation.do_predict or "LOCAL_RANK" in os.environ:
        return 0
    from tunesmith.jobs import evaluate

    evaluate.evaluate(evaluate.after_training(resolved))
    return 0


def evaluates_alone(resolved: Resolved) -> bool:
    from tunesmith.config.job import evaluates_alone

    return evaluates_alone(resolved.job)


def detach(resolved: Resolved, arguments: list[str]) -> int:
    """As `train`, in a process of its own; what is wrong with the configuration is still told here."""
    from tunesmith.jobs import execute, launch

    run = execute.queue(resolved).root
    launch.start_detached(run, ["train", *arguments, f"output_dir={run}"])
    print(tr("Training in the background: {path}").format(path=run))
    print(tr("  watch it:  tunesmith runs show {path}").format(path=run))
    print(tr("  stop it:   tunesmith runs stop {path}").format(path=run))
    return 0


def plan(arguments: list[str]) -> int:
    """`tunesmith plan`."""
    if wants_help(arguments):
        print(tr(PLAN_HELP))
        return 0
    resolved = resolve(arguments, "plan")
    if evaluates_alone(resolved):
        raise UserError(
            "`tunesmith plan` is about trainings; this configuration only evaluates.",
            hint="tunesmith train CONFIG.yaml --dry-run checks it.",
        )
    tell_notes(resolved)
    from tunesmith.jobs import execute

    return print_lines(execute.plan(resolved))


def _print_resolved(resolved: Resolved) -> int:
    from tunesmith.config.load import dump_yaml
    from tunesmith.jobs import execute
    from tunesmith.training.start import obstacles

    execute.validate(resolved.job)
    tell_notes(resolved)
    print(dump_yaml(resolved.job).rstrip())
    stands_in_the_way = obstacles(resolved.job)
    for error in stands_in_the_way:
        print(f"\n{tr('Error')}: {error}", file=sys.stderr)
    return 2 if stands_in_the_way else 0
