"""Evaluations: begun as runs; their scores, and their answers in pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, Field

from tunesmith.runs.files import read_json
from tunesmith.runs.read import RunReader
from tunesmith.web import forms, starting
from tunesmith.web.access import Id, TheStudio, recorded_in, router_of, writable
from tunesmith.web.language import Told
from tunesmith.web.sources import OF_ITS_LOSS, settings_of
from tunesmith.web.workspace import Missing

router = router_of("evaluations")
_MOST = 200


class NewEvaluation(BaseModel):
    """settings: keys of a config file; answers are generated unless `predict_with_generate` is false. devices: ids of
    `about`; left out, all. trusted: the person agreed to run code that ships with the model. beside: where its
    folder is taken, one beside it will do."""

    settings: Annotated[dict[str, Any], Field(max_length=500)]
    devices: Annotated[list[str], Field(max_length=64)] | None = None
    trusted: bool = False
    beside: bool = False


class Evaluated(BaseModel):
    """What is to be evaluated, as a person names it: a run, a checkpoint, an adapter, a folder or a hub id."""

    place: Annotated[str, Field(min_length=1, max_length=1000)]


class Known(BaseModel):
    """settings: keys of a config file that say which model it is, and which rows were held back from it."""

    settings: dict[str, Any]


class Score(BaseModel):
    """base: the same of the model with its adapter off. unit: `%` for a value from 0 to 100."""

    name: str
    value: float | None
    base: float | None = None
    lower_is_better: bool = False
    unit: Literal["", "%"] = ""


class Evaluation(BaseModel):
    """metrics: so far, while it is at work. rows: questions in all; answered: of those, failed: could not be asked.

    predicts, compares: whether answers were asked for, and of the base model too.
    """

    metrics: list[Score]
    rows: int | None
    answered: int
    failed: int
    predicts: bool
    compares: bool


class Turn(BaseModel):
    role: str
    content: str


class Prediction(BaseModel):
    """prompt: as the model saw it; messages: the same as turns. error: why it could not be asked. place: file and line
    of the row in the data."""

    index: int
    prompt: str
    messages: list[Turn] = []
    label: str
    predict: str
    thinking: str | None = None
    scores: dict[str, float] = {}
    base: str | None = None
    base_scores: dict[str, float] = {}
    error: Told | None = None
    place: str = ""


class Page(BaseModel):
    rows: list[Prediction]
    total: int


@router.post("/evaluations", status_code=201)
def begin_evaluation(asked: NewEvaluation, studio: TheStudio) -> Id:
    """Put an evaluation in the queue; it is a run of the kind `eval`."""
    given = {"trusted": asked.trusted, "beside": asked.beside}
    return Id(id=starting.begin_evaluation(studio, asked.settings, asked.devices, **given))


@router.post("/evaluations/source")
def evaluation_source(asked: Evaluated, studio: TheStudio) -> Known:
    """What a person calls a model, as settings to evaluate."""
    return Known(settings=settings_of(studio, asked.place, OF_ITS_LOSS))


@router.get("/runs/{run:path}/evaluation")
def show_evaluation(run: str, studio: TheStudio) -> Evaluation:
    """What an evaluation came to, or has come to so far."""
    reader = studio.workspace.run(run)
    predictions = studio.shelf.predictions(reader.layout.predictions)
    asked = _asked(reader, run)
    base = predictions.base_means()
    scores = _of_the_loss(reader.layout.results("eval"))
    scores += [
        Score(name=name, value=value, base=base.get(name), unit="%") for name, value in predictions.means().items()
    ]
    return Evaluation(
        metrics=scores,
        rows=reader.state().steps,
        answered=predictions.answered,
        failed=len(predictions) - predictions.answered,
        predicts=bool(asked.get("predict_with_generate") or asked.get("do_predict")),
        compares=bool(asked.get("predict_base")),
    )


def _of_the_loss(results: Path) -> list[Score]:
    """What the loss came to, as far as it was asked for."""
    losses = read_json(results) or {}
    with recorded_in(results):
        scores = [
            Score(name=name, value=losses[f"eval_{name}"], lower_is_better=True)
            for name in ("loss", "perplexity")
            if f"eval_{name}" in losses
        ]
        if "eval_accuracy" in losses:
            accuracy = Score(name="accuracy", value=losses["eval_accuracy"], unit="%")
            scores.append(accuracy.model_copy(update={"value": accuracy.value and 100 * accuracy.value}))
    return scores


@router.get("/runs/{run:path}/predictions")
def list_predictions(
    run: str,
    studio: TheStudio,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 50,
    search: Annotated[str, Query(max_length=1000)] = "",
    sort: Literal["order", "worst", "best"] = "order",
) -> Page:
    """The answers of an evaluation: in the order of the data, or by the mean of their scores."""
    predictions = studio.shelf.predictions(studio.workspace.run(run).layout.predictions)
    found, total = predictions.page(offset, limit, search=search, sort=sort)
    with recorded_in(predictions.path):
        return Page(rows=[Prediction.model_validate(writable(row)) for row in found], total=total)


def _asked(reader: RunReader, name: str) -> dict[str, Any]:
    """The configuration as it ran. Missing for a run that evaluates nothing."""
    state = reader.state()
    if state.kind != "eval" and not reader.layout.predictions.is_file():
        raise Missing(f"{name} is no evaluation.")
    return forms.mapping_in(reader.layout.resolved)
