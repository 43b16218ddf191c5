"""Whatever is sent to the studio, made from the description of its own interface, is answered and no error of ours."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies

from tunesmith.authoring.journal import Journal
from tunesmith.data.editing import revision
from tunesmith.evaluation.results import Predictions
from tunesmith.runs.run import Run
from tunesmith.web import queue, starting
from tunesmith.web.app import create_app
from tunesmith.web.openapi import description
from tunesmith.web.queue import Job
from tunesmith.web.sessions import Session
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Workspace

# An endless stream, and what begins processes of many seconds whatever is sent.
LEFT_OUT = {"/api/events", "/api/doctor", "/api/export/preview"}
OPERATIONS = [
    (path, method)
    for path, methods in description()["paths"].items()
    for method in methods
    if path not in LEFT_OUT and method in ("get", "post", "put", "delete")
]
NOBODY = (1 << 22) + 1
"""No process has this number."""
ROW = "0123456789abcdef-1"
RUNS = ("saves/done", "saves/waits", "saves/dead", "saves/made", "saves/asked")
KNOWN = {
    "run": RUNS, "runs": [list(RUNS), [RUNS[0]]], "place": RUNS, "model": RUNS, "session": ("silent", "loading"),
    "name": ("numbers", "mine"), "conversation": ("talk",), "number": (0, 1), "dataset_dir": ("data",),
    "key": ("lora_rank",), "file": (0, 7), "verb": ("train", "make"), "path": ("metrics.jsonl", "logs"),
}  # fmt: skip


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("fuzzed").resolve()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for module in (queue, starting):
            patch.setattr(module, "start_detached", lambda *_, **__: NOBODY)
        studio = Studio(Workspace(Path(folder)))
        yield studio
        studio.end()


@pytest.fixture(scope="module")
def furniture(studio: Studio) -> Path:
    """Something of every kind that a workspace in use holds, to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        Path("furniture").mkdir()
        patch.chdir("furniture")
        _furnish()
    return Path("furniture")


def _furnish() -> None:
    for name in ("saves", "data", "configs", ".tunesmith/conversations"):
        Path(name).mkdir(parents=True)
    rows = [{"instruction": f"What is {i}?", "output": f"It is {i}."} for i in range(3)]
    Path("data/numbers.json").write_text(json.dumps(rows), encoding="utf-8")
    Path("data/dataset_info.json").write_text('{"numbers": {"file_name": "numbers.json"}}', encoding="utf-8")
    Path("configs/mine.yaml").write_text("lora_rank: 4\n", encoding="utf-8")
    talk = {"title": "a", "updated": 1.0, "content": {}}
    Path(".tunesmith/conversations/talk.json").write_text(json.dumps(talk), encoding="utf-8")
    for name, kind in zip(RUNS, ("train", "train", "train", "data make", "eval"), strict=True):
        _run(Path(name), kind)
    Run.open(Path("saves/dead")).update(status="running", pid=NOBODY)
    answer = '{"index": 0, "predict": "a", "label": "b"}\n'
    answers = Path("saves/asked/generated_predictions.jsonl")
    answers.write_text(answer, encoding="utf-8")
    assert len(Predictions(answers).refresh()) == 1  # pages without answers would break nothing
    Journal(Path("saves/made/journal.sqlite")).close()


@pytest.fixture
def furnished(studio: Studio, furniture: Path) -> str:
    """The workspace with all its furniture; the revision of its data set."""
    for name in studio.queue.waiting():
        studio.queue.remove(name)
    for name in ("saves", "data", "configs", ".tunesmith"):
        shutil.rmtree(name, ignore_errors=True)
        shutil.copytree(furniture / name, name)
    studio.queue.add(Job("saves/waits", "tunesmith", ["version"], ["cpu"]))
    studio.summaries.forget_search()
    for session in list(studio.sessions._sessions):
        studio.children.end(session)
    silent = Session(session="silent", model="a", status="ready")
    studio.sessions._sessions = {"loading": Session(session="loading", model="a"), "silent": silent}
    # It answers, and every time that this is nothing it knows.
    studio.children._named["silent"] = studio.children.asked()
    return revision(Path("data/numbers.json"))


def _run(path: Path, kind: str) -> None:
    run = Run.create(path, {"stage": "sft"}, "stage: sft\nmodel_name_or_path: tiny\n", kind=kind)
    if path.name == "waits":
        return
    run.begin_attempt()
    run.run_log("began")
    for step in (1, 2):
        run.metric(step, loss=1.0 / step, learning_rate=1e-4)
    run.event("warning", message="odd")
    run.sample(kind="example", text="a")
    run.finish("failed" if kind == "train" else "finished")


@pytest.fixture(scope="module")
def described(studio: Studio) -> Any:
    return schemathesis.openapi.from_asgi("/api/openapi.json", create_app(studio))


def _about(case: schemathesis.Case, known: dict[str, Any]) -> None:
    """Have the request name what there is."""
    for given in (case.path_parameters, case.query, case.body):
        if isinstance(given, dict):
            given.update({key: value for key, value in known.items() if key in given})
    if "row" in case.path_parameters:
        case.path_parameters["row"] = ROW


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda part: part)
def test_no_request_breaks_the_studio(described: Any, furnished: str, path: str, method: str) -> None:
    operation = described[path][method.upper()]
    there = {key: strategies.sampled_from(values) for key, values in KNOWN.items()}
    there["revision"] = strategies.just(furnished)

    @hypothesis.given(
        case=operation.as_strategy(),
        known=strategies.fixed_dictionaries(there),
        about=strategies.sampled_from([True, True, False]),
    )
    @hypothesis.settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        derandomize=True,
        database=None,
    )
    def answered(case: schemathesis.Case, known: dict[str, Any], about: bool) -> None:
        if about:
            _about(case, known)
        response = case.call()
        assert response.status_code < 500, response.text
        if response.status_code >= 400 and "json" in str(response.headers.get("content-type")):
            told = response.json()
            assert {"message", "hint", "field"} <= set(told)
            assert not re.match(r"\w+Error: ", told["message"]), told  # an error of ours in a process that was asked

    answered()
