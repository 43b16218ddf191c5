"""`data make` as a user runs it, against a server that answers: rows, journal, kill and go on, cost, secrets."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.authoring.chat_server import Answer, Body, diligent, entries_about, error, serving
from tests.authoring.library import KEY, PLANETS, make, rows

from tunesmith.authoring.prompting import Prompts
from tunesmith.cli.main import main
from tunesmith.runs.read import RunReader

pytestmark = pytest.mark.usefixtures("workplace")


def rejected() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("data/space.rejected.jsonl").read_text(encoding="utf-8").splitlines()]


def answering(*entries: dict[str, str]) -> Callable[[Body, int], Answer]:
    return lambda body, number: Answer(json.dumps({"entries": entries}, ensure_ascii=False))


def test_documents_become_rows_that_can_be_trained_on(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(diligent) as server:
        assert make(server) == 0
    told = capsys.readouterr().out
    assert "6 documents, 6 chunks" in told and "registered as space" in told
    assert "assistant: The planet Mercury orbits the Sun" in told  # the preview
    made = rows()
    assert len(made) == 6
    row = made[0]
    assert row["output"] == f"The planet Jupiter {PLANETS['Jupiter']}."
    text = Path("books/Jupiter.txt").read_text(encoding="utf-8")
    assert text[row["evidence_start"] : row["evidence_end"]] == row["evidence"]
    assert (row["source"], row["source_title"], row["model"]) == ("books/Jupiter.txt", "Jupiter", "tester")
    assert (row["source_start"], row["grounding"]) == (0, 1.0) and row["prompt"].startswith("en/questions@")
    assert main(["data", "check", "space"]) == 0
    assert "6, of which 6 can be used" in capsys.readouterr().out


def test_kinds_of_questions_take_turns_and_can_be_ones_own() -> None:
    Path("mine.txt").write_text("# my kinds\nriddle: asks in the form of a riddle\n", encoding="utf-8")
    with serving(diligent) as server:
        assert make(server, "--styles", "why,mine.txt", "--entries", "2", "--chunk-tokens", "30") == 0
        prompts = server.prompts()
    assert {row["style"] for row in rows()} == {"why", "riddle"}
    assert sum("in the form of a riddle" in prompt for prompt in prompts) >= 6
    with serving(diligent) as server:
        assert make(server, "--styles", "为什么", "--replace") == 0  # the sources are English
    assert {row["style"] for row in rows()} == {"why"}
    assert main(["data", "make", "books", "--out", "x", "--styles", "wyh"]) == 2
    Path("mine.txt").write_text("为什么：请解释其中的原因，并说明理由\n", encoding="gb18030")
    assert list(Prompts().styles("zh", ("mine.txt",))) == ["为什么"]
    Path("mine.txt").write_text("# none\n", encoding="utf-8")
    assert main(["data", "make", "books", "--out", "x", "--styles", "mine.txt"]) == 2


def test_questions_can_be_wanted_in_another_language() -> None:
    with serving(diligent) as server:
        make(server, "--language", "ja")
        assert "answers in Japanese." in server.requests[0]["messages"][0]["content"]


def test_prompts_can_be_copied_and_changed() -> None:
    assert main(["data", "prompts", "my-prompts"]) == 0
    path = Path("my-prompts/en/questions.md")
    path.write_text("Be brief.\n---\n<text>\n{{ text }}\n</text>\n1. {{ count }}", encoding="utf-8")
    with serving(diligent) as server:
        assert make(server, "--prompts", "my-prompts") == 0
        assert server.requests[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    path.write_text("{{ txt }}", encoding="utf-8")
    with serving(diligent) as server:
        assert make(server, "--prompts", "my-prompts", "--replace") == 2


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize("format", ["alpaca", "sharegpt", "openai"])
def test_every_shape_and_kind_of_file_can_be_trained_on(
    kind: str, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(diligent) as server:
        assert make(server, "--type", kind, "--format", format, "--system", "Be kind.") == 0
    assert Path("data", f"space.{kind}").is_file()
    told = capsys.readouterr().out
    assert "6, of which 6 can be used" in told and "system: Be kind." in told


def test_chinese_sources_are_asked_about_in_their_own_writing() -> None:
    for path in Path("books").iterdir():
        path.unlink()
    Path("books/a.txt").write_text("刘备在涿郡遇见了关羽和张飞，三人在桃园里结为兄弟。", encoding="utf-8")
    Path("books/b.txt").write_text(
        "劉備在涿郡遇見了關羽和張飛，三人在桃園裡結為兄弟，這個故事說明義氣。", encoding="utf-8"
    )
    with serving(diligent) as server:
        assert make(server) == 0
        systems = [request["messages"][0]["content"] for request in server.requests]
    assert any("用简体中文编写" in system for system in systems)
    assert any("用繁體中文" in system for system in systems)
    assert [row["prompt"].split("/")[0] for row in rows()] == ["zh", "zh-TW"]


def test_what_is_held_back_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    fact = f"The planet Mars {PLANETS['Mars']}."
    for path in Path("books").iterdir():
        if path.stem != "Mars":
            path.unlink()
    good = {"question": "What does Mars carry?", "answer": fact, "evidence": "the tallest volcano"}
    entries = [
        good,
        good | {"question": "What does Mars carry ?!"},
        {"question": "Who are you?", "answer": "As an AI language model, I cannot answer that.", "evidence": "Mars"},
        {"question": "What does the text say about Mars?", "answer": fact, "evidence": "Olympus Mons"},
        {"question": "Who found it?", "answer": fact, "evidence": "Galileo found it in Padua, in the year 1610"},
        {"question": "Why red?", "answer": "Because iron oxidises when oxygen meets moisture quickly.", "evidence": ""},
        {"question": "火星上有什么？", "answer": "火星上有最高的火山。", "evidence": "Olympus Mons"},
        {"question": "Is it one?", "answer": "Yes", "evidence": "Mars is a planet"},
    ]
    with serving(answering(*entries)) as server:
        assert make(server, "--entries", "20", "--chunk-tokens", "20", "--overlap", "0", "--min-chars", "4") == 0
    assert [row["instruction"] for row in rows()] == ["What does Mars carry?"]
    kinds = Counter(row["kind"] for row in rejected())
    assert {"refusal", "refers to the text", "evidence", "grounding", "language", "length", "duplicate"} <= set(kinds)
    assert all(row["reason"] and row["source"] == "books/Mars.txt" for row in rejected())
    assert "held back" in capsys.readouterr().out


def test_a_judge_reads_the_chunk_and_its_verdict_is_kept() -> None:
    def answer(body: Body, number: int) -> Answer:
        prompt = body["messages"][-1]["content"]
        if "<question>" not in prompt:
            return diligent(body, number)
        score = 2 if "Venus" in prompt else 5
        return Answer(json.dumps({"verdict": [{"reason": f"about {score}", "score": score}]}))

    with serving(answer) as server:
        assert make(server, "--judge") == 0
        judged = [prompt for prompt in server.prompts() if "<question>" in prompt]
    assert len(judged) == 6 and all("<text>" in prompt for prompt in judged)
    assert [row["judge_score"] for row in rows()] == [5] * 5
    (held,) = rejected()
    assert held["kind"] == "judge" and "2 of 5: about 2" in held["reason"] and "Venus" in held["output"]


def test_a_split_goes_between_documents() -> None:
    with serving(diligent) as server:
        assert make(server, "--val-size", "0.3", "--chunk-tokens", "20") == 0
    trained, held = ({row["source"] for row in rows(name)} for name in ("space", "space_val"))
    assert trained and held and not trained & held
    assert main(["data", "check", "space_val"]) == 0


def test_a_dry_run_tells_the_price_and_asks_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(diligent) as server:
        assert make(server, "--dry-run", "--price-in", "1000000", "--price-out", "0") == 0
        assert server.requests == []
    told = capsys.readouterr().out
    prompt = int(told.split("about ")[1].split(" prompt")[0].replace(",", ""))
    assert "6 documents, 6 chunks" in told and 6 * 200 < prompt < 6 * 600
    assert f"about {prompt:,}.0000 at the given prices" in told
    assert not Path("data").exists() and not Path("saves").exists()
    assert main(["data", "make", "books", "--out", "x", "--dry-run"]) == 0  # no model is needed for that


def test_reading_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("tunesmith.jobs.asking._LINE_SECONDS", 0.0)
    assert main(["data", "make", "books", "--out", "space", "--dry-run"]) == 0
    assert "reading Mars.txt: chunk 1" in capsys.readouterr().out


def test_the_run_tells_progress_tokens_and_money() -> None:
    with serving(diligent) as server:
        assert make(server, "--price-in", "1", "--price-out", "2") == 0
    run = RunReader(Path("saves/data/space"))
    assert run.state().status == "finished" and (run.state().step, run.state().steps) == (6, 6)
    last = run.metrics()[-1]
    assert (last["calls"], last["prompt_tokens"], last["completion_tokens"]) == (6, 600, 120)
    assert last["money"] == pytest.approx(600e-6 + 240e-6)
    report = json.loads(run.layout.report.read_text(encoding="utf-8"))
    assert report["rows"] == {"space": 6} and report["money"] == last["money"]
    assert main(["runs", "show", "saves/data/space"]) == 0
    assert main(["runs", "list"]) == 0


def test_the_log_is_english_whatever_the_person_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUNESMITH_LANGUAGE", "zh-CN")
    Path("books/empty.txt").touch()
    with serving(lambda body, number: error(429, "slow") if number == 2 else diligent(body, number)) as server:
        assert make(server, "--val-size", "2", "--price-in", "1", "--min-chars", "90") == 0
    told = capsys.readouterr().out
    assert "不采用：" in told and "6 份文档" in told and "秒后重发" in told
    log = RunReader(Path("saves/data/space")).layout.attempt_log(1).read_text(encoding="utf-8")
    assert "6 documents, 6 chunks; asking tester at" in log and "held back: length" in log
    assert [line for line in log.splitlines() if not line.replace("·", "").isascii()] == []


def test_what_came_in_is_recorded_while_another_answer_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_REPORT_SECONDS", "_POLL_SECONDS"):
        monkeypatch.setattr(f"tunesmith.jobs.asking.{name}", 0.1)
    seen: list[int] = []

    def answer(body: Body, number: int) -> Answer:
        end = time.monotonic() + 20
        while number == 6 and 5 not in seen and time.monotonic() < end:
            seen.extend(metric["step"] for metric in RunReader(Path("saves/data/space")).metrics())
            time.sleep(0.05)
        return diligent(body, number)

    with serving(answer) as server:
        assert make(server) == 0
    assert 5 in seen


def test_requests_that_are_sent_again_are_told_once_for_a_burst(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(body: Body, number: int) -> Answer:
        return error(429, "slow down", retry_after_ms="20") if 1 < number < 6 else diligent(body, number)

    with serving(answer) as server:
        assert make(server) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "429" in line]
    assert told == ["the server answered 429: slow down; sent again in 1 s"]
    log = RunReader(Path("saves/data/space")).layout.attempt_log(1).read_text(encoding="utf-8")
    assert log.count("429") == 1


def test_the_same_command_asks_nothing_twice_and_a_changed_one_only_what_is_new(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(diligent) as server:
        assert make(server) == 0
        capsys.readouterr()
        assert make(server) == 0
        assert (
            "asking 6/6" in (told := capsys.readouterr().out) and "?" not in told.split("asking 6/6")[1].split("\n")[0]
        )
        assert len(server.requests) == 6
        Path("books/Neptune.txt").write_text("Neptune has the fastest winds of all the planets.", encoding="utf-8")
        assert make(server) == 0
        assert len(server.requests) == 7 and len(rows()) == 7
        assert make(server, "--styles", "why") == 0
        assert len(server.requests) > 7


def test_bad_json_is_asked_again_and_what_keeps_failing_is_set_aside(capsys: pytest.CaptureFixture[str]) -> None:
    mended = False

    def answer(body: Body, number: int) -> Answer:
        messages = body["messages"]
        if "planet Venus" in messages[1]["content"] and not mended:
            return Answer("I would rather not.")
        if "planet Mars" in messages[1]["content"] and len(messages) == 2:
            return Answer('{"entries": [{"question": "What')
        body = {**body, "messages": messages[:2]}
        return Answer(json.dumps({"entries": entries_about(body)}))

    with serving(answer) as server:
        assert make(server) == 0
        told = capsys.readouterr().out
        assert "1 chunk failed; --retry-failed asks it again" in told and "no usable answer in 3 attempts" in told
        assert len(rows()) == 5
        asked = len(server.requests)
        assert asked == 4 + 2 + 3
        assert make(server) == 0
        assert len(server.requests) == asked
        mended = True
        capsys.readouterr()
        assert make(server, "--retry-failed") == 0
        assert "1 of them still to be asked about" in capsys.readouterr().out
        assert len(server.requests) == asked + 1 and len(rows()) == 6


def test_an_answer_that_is_cut_keeps_its_whole_entries() -> None:
    def answer(body: Body, number: int) -> Answer:
        whole = json.dumps({"entries": entries_about(body) * 3})
        return Answer(whole[:-40], finish="length")

    with serving(answer) as server:
        assert make(server, "--entries", "6", "--chunk-tokens", "60") == 0
    assert rows() and all(row["output"].endswith(".") for row in rows())


def test_a_refused_key_ends_the_job_and_what_was_answered_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(body: Body, number: int) -> Answer:
        return error(401, f"bad key {KEY}") if number > 2 else diligent(body, number)

    with serving(answer) as server:
        assert make(server, "--concurrency", "1") == 2
        assert len(server.requests) == 3
        assert "refuses the key" in capsys.readouterr().err
        assert RunReader(Path("saves/data/space")).state().status == "failed"
        server.answer = diligent
        assert make(server) == 0
        assert len(server.requests) == 3 + 4


def test_no_secret_is_written_anywhere(capsys: pytest.CaptureFixture[str], workplace: Path) -> None:
    def answer(body: Body, number: int) -> Answer:
        return error(500, f"key {KEY} made me fall over") if number % 2 else diligent(body, number)

    (workplace / ".env").write_text(f"MY_KEY={KEY}\n", encoding="utf-8")
    with serving(answer) as server:
        make(server, "--retries", "0", "--api-key-env", "MY_KEY")
        assert f"Bearer {KEY}" in server.keys
    (workplace / ".env").unlink()
    told = capsys.readouterr()
    assert "made me fall over" in told.out and KEY not in told.out + told.err
    with sqlite3.connect("saves/data/space/journal.sqlite") as base:
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in workplace.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
    assert main(["data", "make", "books", "--out", "y", "--api-key", KEY]) == 2
    told = capsys.readouterr()
    assert "can be read by everybody" in told.err and KEY not in told.out + told.err


def test_names_that_are_taken_are_not_written_over() -> None:
    Path("data").mkdir()
    Path("data/space.jsonl").write_text("mine\n", encoding="utf-8")
    with serving(diligent) as server:
        assert make(server) == 2
        assert server.requests == []
    assert Path("data/space.jsonl").read_text(encoding="utf-8") == "mine\n"


def test_a_folder_that_is_partly_unreadable_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    Path("books/empty.txt").touch()
    Path("books/broken.docx").write_bytes(b"PK\x03\x04 not a document")
    with serving(diligent) as server:
        assert make(server) == 0
    told = capsys.readouterr().out
    assert len(rows()) == 6
    assert "empty.txt" in told and "0 bytes" in told and "broken.docx" in told


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--entries", "0"], "--entries"),
        (["--entires", "3"], "Did you mean --entries"),
        (["--format", "csv"], "--format"),
        (["--prompts", "nowhere"], "no folder nowhere"),
        (["--language", "klingon"], "--language"),
    ],
)
def test_wrong_options_are_told(flags: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(diligent) as server:
        assert make(server, *flags) == 2
    assert told in capsys.readouterr().err


def test_requests_in_flight_are_kept_at_the_limit() -> None:
    for number in range(60):
        Path("books", f"{number}.txt").write_text(f"Star number {number} shines over hill {number}.", encoding="utf-8")
    busy: list[int] = []
    lock = threading.Lock()

    def answer(body: Body, number: int) -> Answer:
        with lock:
            busy.append(server.at_once)
        time.sleep(0.05 + number % 5 * 0.05)
        return diligent(body, number)

    with serving(answer) as server:
        assert make(server, "--concurrency", "6") == 0
    assert server.most_at_once == 6
    between = busy[6:-6]
    assert sum(between) / len(between) > 0.75 * 6
