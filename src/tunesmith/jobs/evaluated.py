"""The two parts of an evaluation, over a run that was opened for it: the loss, and the answers with their scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tunesmith.config import Job
from tunesmith.config.job import answers
from tunesmith.config.places import cache_folder
from tunesmith.data.evaluated import evaluated_alone, evaluated_examples
from tunesmith.data.prepare import prepare, tokenize_options
from tunesmith.errors import UserError
from tunesmith.evaluation.predict import Ask, Reply, ask_all, is_answered
from tunesmith.evaluation.questions import Question, questions_of
from tunesmith.evaluation.results import Predictions
from tunesmith.evaluation.words import is_chinese, knows_chinese
from tunesmith.i18n import tr
from tunesmith.jobs.evaluation_basis import keep_what_is_of, mark_of_model, mark_of_rows
from tunesmith.jobs.evaluation_watch import EvaluationWatch
from tunesmith.runs.files import read_json, replace_json
from tunesmith.runs.run import Run
from tunesmith.runs.signals import ENDING, handled

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tunesmith.data.saved import PreparedData
    from tunesmith.inference.engine import ChatEngine
    from tunesmith.inference.load import Found
    from tunesmith.text.template import ChatTemplate

_LOSSES = ("eval_loss", "eval_perplexity", "eval_accuracy")


@dataclass(frozen=True, slots=True)
class _Ground:
    """What an evaluation stands on before weights are loaded. prepared: where the loss is asked for; questions: where
    answers are; template: None where there is only plain text."""

    found: Found
    template: ChatTemplate | None
    prepared: PreparedData | None
    questions: list[Question]


def evaluate_in(run: Run, job: Job, notes: Sequence[str]) -> None:
    """Evaluate the job, recording into `run`, whose attempt has begun. KeyboardInterrupt where somebody asked to end,
    when what there is has been written."""
    written = Predictions(run.layout.predictions).refresh()
    watch = EvaluationWatch(run)
    for note in notes:
        run.run_log(note)
    try:
        with handled(watch.interrupt, *ENDING):
            _work(run, job, written, watch)
    except KeyboardInterrupt:
        watch.say(tr("Stopped. Go on with: tunesmith runs resume {path}").format(path=run.path))
        for line in _told(run, written):
            watch.say(f"  {line}")
        raise
    run.finish("finished")
    watch.say(tr("Evaluated: {path}").format(path=run.path))
    for line in _told(run, written):
        watch.say(f"  {line}")


def _work(run: Run, job: Job, written: Predictions, watch: EvaluationWatch) -> None:
    from tunesmith.inference.load import load_tuned

    ground = _prepare(run, job, watch)
    watch.must_go_on()
    rows = None if ground.prepared is None else mark_of_rows(ground.prepared.evals)
    marks = mark_of_model(job, ground.found.located.path), rows
    for sentence in keep_what_is_of(run, *marks, ground.questions, written, compared=job.evaluation.predict_base):
        watch.say(sentence)
    model = load_tuned(job, ground.found, watch.say)
    watch.must_go_on()
    if ground.prepared is not None:
        _evaluate_loss(run, job, ground, model, watch)
    if ground.questions:
        _answer(run, job, ground, model, written, watch)


def _prepare(run: Run, job: Job, watch: EvaluationWatch) -> _Ground:
    """Locate the model, choose the template, read the data."""
    from tunesmith.inference.load import find
    from tunesmith.text.template import template_for
    from tunesmith.training.build import order_seed

    found = find(job)
    template = None
    if job.objective.stage != "pt":
        chosen = template_for(job.data, found.tokenizer)
        for sentence in chosen.notes:
            watch.say(sentence)
        template = chosen.template
    data = evaluated_alone(job.data)

    def report(done: int, total: int) -> None:
        watch.must_go_on()

    shared: dict[str, Any] = {
        "seed": order_seed(job.training), "cache_dir": cache_folder(), "hub": job.model.hub_name, "report": report,
    }  # fmt: skip
    prepared = None
    if job.training.do_eval:
        prepared = prepare(data, job.objective, found.tokenizer, template, **shared)
        for refusal in prepared.report.refusals:
            run.refused(file=refusal.file, line=refusal.line, reason=refusal.reason)
        for line in prepared.report.lines():
            watch.say(line)
    questions: list[Question] = []
    if answers(job) and template is not None:
        options = tokenize_options(data, job.objective, found.tokenizer, template)
        examples = evaluated_examples(data, options, **shared)
        questions = questions_of(examples, template.tool_format.write)
    return _Ground(found, template, prepared, questions)


def _evaluate_loss(run: Run, job: Job, ground: _Ground, model: PreTrainedModel, watch: EvaluationWatch) -> None:
    """eval_results.json; an attempt before this one may have written it already."""
    if read_json(run.layout.results("eval")) is not None:
        return
    from tunesmith.data.loader import eval_batches
    from tunesmith.objectives.base import OBJECTIVES
    from tunesmith.training.validate import evaluate, scoring

    assert ground.prepared is not None
    evals, size = ground.prepared.evals, job.training.per_device_eval_batch_size
    rows = sum(len(store) for store in evals.values())
    if not rows:
        raise UserError("The evaluation set has no row.", hint="Look at the data: tunesmith data check.")
    if not ground.questions:
        run.update(steps=rows)
    began = time.monotonic()
    objective = OBJECTIVES.get(job.objective.stage, field="stage")()
    with (
        watch.counting(tr("loss"), rows, 0, metrics=not ground.questions) as counting,
        scoring(model, ground.found.vocabulary.size, watch.say) as engine,
    ):

        def batches(store: Any) -> Iterator[Any]:
            for batch in eval_batches(store, batch_size=size):
                watch.must_go_on()
                yield batch
                counting.add(len(batch.cu_seqlens) - 1)

        values = evaluate(engine, objective, {name: partial(batches, store) for name, store in evals.items()})
    run.metric(0, **values)
    _leave(run, "eval", {**values, **_pace("eval", rows, -(-rows // size), time.monotonic() - began)})


def _answer(
    run: Run, job: Job, ground: _Ground, model: PreTrainedModel, written: Predictions, watch: EvaluationWatch
) -> None:
    """generated_predictions.jsonl and predict_results.json, the latter also where the asking was ended early."""
    from tunesmith.inference.load import engine_of
    from tunesmith.inference.together import can_answer_together

    assert ground.template is not None
    engine = engine_of(job, ground.found, ground.template, model)
    questions, compared = ground.questions, job.evaluation.predict_base
    if compared and not engine.tuned:
        raise UserError(
            "There is no adapter to switch off: predict_base compares an adapter with the model that it is on.",
            hint="Leave it out, and evaluate the base model in a run of its own.",
            field="predict_base",
        )
    known = sum(is_answered(question, written, compared=compared) for question in questions)
    size = job.training.per_device_eval_batch_size
    if size > 1 and not can_answer_together(engine):
        watch.say(tr("This model is asked one question at a time: padded rows get other scores from it."))
        size = 1
    watch.say(_announced(job, len(questions), known))
    if not knows_chinese() and any(is_chinese(question.label) for question in questions):
        watch.say(
            tr('ROUGE counts Chinese by characters. By words, as LLaMA-Factory: pip install "tunesmith[metrics]"')
        )
    run.update(steps=len(questions), step=known)
    began = time.monotonic()
    try:
        with watch.counting(tr("answers"), len(questions), known, metrics=True) as counting:
            ask = _asking(engine, job, watch, nullcontext)
            base = _asking(engine, job, watch, engine.base) if compared else None
            for rows, tokens in ask_all(questions, written, ask, base=base, together=size):
                counting.add(rows, tokens)
    finally:
        _leave_scores(run, written.refresh(), len(questions), known, size, time.monotonic() - began)


def _asking(
    engine: ChatEngine, job: Job, watch: EvaluationWatch, context: Callable[[], AbstractContextManager[Any]]
) -> Ask:
    """Asks the engine within the context."""
    from tunesmith.inference.together import Asked, answer_together

    def ask(questions: Sequence[Question]) -> list[Reply]:
        replies: dict[int, Reply] = {}
        asked: dict[int, Asked] = {}
        for question in questions:
            try:
                prompted = engine.prompted(question.conversation, job.generation)
            except UserError as error:
                replies[question.index] = Reply(prompt="", error=error.message)
                continue
            # Chance is a function of seed and question: a run that goes on draws what it would have drawn.
            seed = job.training.seed * 1_000_003 + question.index
            asked[question.index] = Asked(question.conversation, prompted, seed)
        with context():
            found = answer_together(engine, list(asked.values()), job.generation, stopping=watch.stopping)
        for (index, each), answer in zip(asked.items(), found, strict=True):
            replies[index] = Reply(each.prompted.text, answer.text, answer.message.thinking, answer.tokens)
        return [replies[question.index] for question in questions]

    return ask


def _announced(job: Job, questions: int, known: int) -> str:
    drawn = job.generation
    how = tr("the likeliest token each")
    if drawn.do_sample and drawn.temperature:
        how = tr("drawn with temperature {temperature:g}, top_p {top_p:g} (do_sample: false takes the likeliest)")
        how = how.format(temperature=drawn.temperature, top_p=drawn.top_p)
    told = tr("{questions} questions, at most {longest} tokens an answer, {how}").format(
        questions=questions, longest=drawn.max_new_tokens, how=how
    )
    return told + (tr("; {known} are answered already").format(known=known) if known else "")


def _leave_scores(run: Run, written: Predictions, questions: int, known: int, size: int, seconds: float) -> None:
    """predict_results.json: the means over what was answered, which may be a part of the questions."""
    means, base = written.means(), written.base_means()
    fresh = max(0, len(written) - known)
    values: dict[str, Any] = {f"predict_{name}": value for name, value in means.items()}
    values |= {f"predict_base_{name}": value for name, value in base.items()}
    values |= _pace("predict", fresh, -(-fresh // size), seconds)
    if means:
        _leave(run, "predict", {**values, "predict_samples": questions, "predict_answered": written.answered})
        run.metric(len(written), answered=len(written), **values)


def _pace(kind: str, rows: int, steps: int, seconds: float) -> dict[str, float]:
    """As transformers reports it."""
    seconds = max(seconds, 1e-9)
    return {
        f"{kind}_runtime": round(seconds, 4),
        f"{kind}_samples_per_second": round(rows / seconds, 3),
        f"{kind}_steps_per_second": round(steps / seconds, 3),
    }


def _leave(run: Run, kind: str, values: dict[str, Any]) -> None:
    """The results of one kind, and those of all kinds."""
    replace_json(run.layout.results(kind), values)
    replace_json(run.layout.results("all"), {**(read_json(run.layout.results("all")) or {}), **values})


def _told(run: Run, written: Predictions) -> Iterator[str]:
    """The scores in words."""
    losses = read_json(run.layout.results("eval")) or {}
    if losses:
        yield "  ".join(f"{name} {losses[name]:.4f}" for name in _LOSSES if name in losses)
    base, both = written.base_means(), bool(written.base_means())
    for means, who in ((written.means(), tr("tuned")), (base, tr("base"))):
        if means:
            line = "  ".join(f"{name} {value:.2f}" for name, value in means.items())
            yield f"{who}:  {line}" if both else line
    if written.answered < (questions := run.state.steps or 0) and written.answered:
        yield tr("over {answered} of {questions} questions").format(answered=written.answered, questions=questions)
