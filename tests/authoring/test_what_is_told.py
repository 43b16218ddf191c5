"""What a job tells of itself: what failed and why, what it spent, what it waits for, and what it leaves behind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.authoring.chat_server import Answer, Body, diligent, entries_about, error, serving
from tests.authoring.library import make, rows

from tunesmith.authoring.hub import push
from tunesmith.cli.main import main
from tunesmith.errors import UserError
from tunesmith.runs.layout import RunLayout
from tunesmith.runs.run import Run

pytestmark = pytest.mark.usefixtures("workplace")
REPORT = RunLayout(Path("saves/data/space")).report


def rejected() -> list[dict[str, object]]:
    return [json.loads(line) for line in Path("data/space.rejected.jsonl").read_text(encoding="utf-8").splitlines()]


def test_failed_chunks_lie_with_their_reason_beside_the_rows_and_refusals_are_not_asked_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answer(body: Body, number: int) -> Answer:
        if number < 3:  # one kind of trouble does not hide the other
            return error(500, "oops") if number == 1 else error(429, "slow down", retry_after_ms="10")
        if "Mercury" in body["messages"][-1]["content"]:
            return Answer("I’m sorry, but as an AI language model I can't do that.")
        return diligent(body, number)

    with serving(answer) as server:
        assert make(server, "--concurrency", "2", "--price-in", "1000") == 0
        assert len(server.requests) == 6 + 2
    (failed,) = rejected()
    assert (failed["kind"], failed["source"]) == ("failed", "books/Mercury.txt")
    assert str(failed["reason"]).startswith("the model declines to answer")
    told = capsys.readouterr().out
    assert "the server answered 500: oops; sent again" in told and "the server answered 429: slow down; sent" in told
    assert "1 chunk failed; --retry-failed asks it again. Which and why: data/space.rejected.jsonl." in told
    assert "6 answers, 600 tokens in, 120 out · 0.6000 spent" in told


def test_another_plan_without_a_row_leaves_what_was_made_and_is_counted_by_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def misquoting(body: Body, number: int) -> Answer:
        return Answer(
            json.dumps({"entries": [{**each, "evidence": "Nobody wrote it"} for each in entries_about(body)]})
        )

    with serving(diligent) as server:
        assert make(server, "--min-chars", "90") == 0
        before, held = rows(), rejected()
        assert held and before
        for path in Path("books").iterdir():
            path.unlink()
        Path("books/Pluto.txt").write_text("Pluto was a planet until a vote in Prague took that away.", "utf-8")
        server.answer = misquoting
        assert make(server) == 2
        told = capsys.readouterr().err
        assert "Held back: misquoted 1. The data set that was made before stays as it is." in told
        assert (rows(), rejected()) == (before, held)
        server.answer = diligent
        assert make(server, "--temperature", "1") == 0
        assert json.loads(REPORT.read_text(encoding="utf-8"))["calls"] == 1


@pytest.mark.parametrize("what", ["no server", "key", "tokenizer"])
def test_a_start_that_failed_leaves_nothing(what: str) -> None:
    with serving(lambda body, number: error(401, "no")) as server:
        flags = {"no server": ["--base-url", "http://127.0.0.1:9/v1"], "key": [], "tokenizer": ["--tokenizer", "books"]}
        assert make(server, *flags[what]) == 2
    assert not Path("saves/data/space").exists()


def test_a_model_that_is_listed_and_not_served_is_told_as_that(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda body, number: error(404, "no such route")) as server:
        assert make(server) == 2
    told = capsys.readouterr().err
    assert "lists the model 'tester', but does not answer for it" in told and "Did you mean" not in told


def test_a_validation_set_that_can_not_be_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for path in Path("books").iterdir():
        if path.stem != "Mars":
            path.unlink()
    with serving(diligent) as server:
        assert make(server, "--val-size", "0.5") == 0
    assert "No validation set: all rows are about one chunk" in capsys.readouterr().out


def test_a_hub_that_can_not_be_reached_is_no_matter_of_logging_in(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(diligent) as server:
        assert make(server) == 0
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="no connection") as failed:
        push("space", "me/space", "data")
    assert "HF_ENDPOINT" in failed.value.hint and "Log in" not in failed.value.hint


def test_the_time_of_a_run_that_was_gone_on_with_is_that_of_its_last_attempt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.create(tmp_path / "run", {}, "stage: sft\n")
    for _ in range(2):
        run.begin_attempt()
        run.finish("stopped")
    assert main(["runs", "show", os.fspath(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    assert "in attempt 2" in told and "in all" not in told
