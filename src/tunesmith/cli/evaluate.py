"""`tunesmith eval`: a model's loss on a data set, and its answers beside those in the data."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from tunesmith.cli.asked import resolve, tell_notes, wants_help
from tunesmith.cli.flags import is_place, value_of
from tunesmith.errors import UserError
from tunesmith.i18n import tr

if TYPE_CHECKING:
    from tunesmith.config.load import Resolved

HELP = """\
tunesmith eval RUN | MODEL [ADAPTER] | CONFIG.yaml  [--dataset NAME] [key=value …]

Evaluates a model: the loss on a data set, and answers to its questions, scored by BLEU-4, ROUGE and exact match
against the answers in the data. RUN is a run's folder, the end of its path, or `last`; MODEL a hub id or a folder.

  tunesmith eval saves/mine                                    on the rows that were held back from training
  tunesmith eval saves/mine --dataset exam.jsonl --compare     on a file, with the base model beside the tuned one
  tunesmith eval Qwen/Qwen3-0.6B --dataset exam.jsonl max_samples=100 do_sample=false

  --dataset NAME   a file or a name from dataset_info.json. Left out: the run's eval_dataset, or the rows that its
                   val_size held back
  --no-predict     the loss alone
  --compare        answer with the adapter off too
  --detach         in the background, on after the terminal is closed; `tunesmith runs` shows and stops it

The evaluation is a run: output_dir (saves/…/eval_ and the time) gets generated_predictions.jsonl, one answer a line as
it comes, and all_results.json. Ctrl-C ends it with what there is; `tunesmith runs resume last` goes on.
Answers are drawn as in chat: do_sample, temperature, top_p, top_k, max_new_tokens, seed. LLaMA-Factory's files with
do_predict or do_eval run unchanged by `tunesmith train FILE`."""

_FLAGS = {"--no-predict": {"predict_with_generate": False}, "--compare": {"predict_base": True}}


def run(arguments: list[str]) -> int:
    if wants_help(arguments):
        print(tr(HELP))
        return 0
    if not arguments:
        raise UserError(
            "`tunesmith eval` needs a run, a model or a configuration.",
            hint="tunesmith eval saves/mine, or: tunesmith eval --help",
        )
    resolved = _resolved([argument for argument in arguments if argument != "--detach"])
    tell_notes(resolved)
    return detach(resolved) if "--detach" in arguments else evaluate(resolved)


def evaluate(resolved: Resolved) -> int:
    from tunesmith.jobs import evaluate as jobs

    jobs.evaluate(resolved)
    return 0


def detach(resolved: Resolved) -> int:
    """As `evaluate`, in a process of its own; what is wrong with the configuration is still told here."""
    from tunesmith.jobs import evaluate, launch

    layout = evaluate.queue(resolved)
    launch.start_detached(layout.root, ["train", str(layout.resolved), "overwrite_output_dir=false"])
    print(tr("Evaluating in the background: {path}").format(path=layout.root))
    print(tr("  watch it:  tunesmith runs show {path}").format(path=layout.root))
    print(tr("  stop it:   tunesmith runs stop {path}").format(path=layout.root))
    return 0


def _resolved(arguments: list[str]) -> Resolved:
    """The job of a run, a model or a configuration, with what the flags say."""
    from tunesmith.config.load import parse_arguments
    from tunesmith.jobs.evaluate import configuration

    arguments, dataset = value_of("--dataset", arguments)
    words = [argument for argument in arguments if argument not in _FLAGS]
    places = list(takewhile(is_place, words[:2]))
    rest = words[len(places) :]
    model, adapter = (*places, None, None)[:2]
    files, keys = configuration(model, adapter, dataset, parse_arguments(rest)[1])
    for flag in _FLAGS.keys() & set(arguments):
        keys |= _FLAGS[flag]
    return resolve(rest, "eval", files=files, keys=keys)
