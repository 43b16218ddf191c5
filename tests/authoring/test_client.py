"""The client against a server that misbehaves: patience, limits, forms of output, and no word of the key."""

from __future__ import annotations

import asyncio
import json
import threading
import types
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from tests.authoring.chat_server import Answer, Body, ChatServer, error, serving

from tunesmith.authoring.client import Endpoint, Sampling
from tunesmith.authoring.credentials import Connection, connection
from tunesmith.authoring.model import AskFailed, Reply
from tunesmith.authoring.pace import Pace
from tunesmith.authoring.structured import BadAnswer, objects
from tunesmith.errors import UserError

SCHEMA = {"type": "object"}
KEY = "sk-very-secret-123"


def ask(server: ChatServer, times: int = 1, words: int = 1, **options: Any) -> list[Reply]:
    """The answers to so many questions at once."""

    async def asking() -> list[Reply]:
        settings = {"first_pause": 0.01, **options}
        async with Endpoint(Connection(server.url, "tester", KEY), **settings) as endpoint:
            asked = [[{"role": "user", "content": f"question {number} " + "word " * words}] for number in range(times)]
            return await asyncio.gather(*(endpoint.ask(messages, SCHEMA) for messages in asked))

    return asyncio.run(asking())


def in_turn(*answers: Answer) -> Any:
    """These answers one after the other, the last for all that follow."""
    return lambda body, number: answers[min(number, len(answers)) - 1]


def test_an_answer_with_its_tokens() -> None:
    with serving(in_turn(Answer("hello", finish="length"))) as server:
        (reply,) = ask(server, sampling=Sampling(0.5, 99))
    assert reply == Reply("hello", 100, 20, cut=True)
    (body,) = server.requests
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("tester", 0.5, 99)
    assert body["response_format"]["type"] == "json_schema"
    assert server.keys == [f"Bearer {KEY}"]


def test_a_server_without_schemas_is_asked_in_the_next_form_and_that_is_remembered() -> None:
    def answer(body: Body, number: int) -> Answer:
        form = body.get("response_format", {}).get("type")
        return error(400, f"response_format {form} is not supported") if form else Answer("plain")

    with serving(answer) as server:
        assert [reply.text for reply in ask(server, 5)] == ["plain"] * 5
    forms = [request.get("response_format", {}).get("type") for request in server.requests]
    assert forms == ["json_schema", "json_object", None, None, None, None, None]


def test_parameters_that_a_server_does_not_take_are_changed() -> None:
    def answer(body: Body, number: int) -> Answer:
        if "max_tokens" in body:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "temperature" in body:
            return error(400, "'temperature' does not support 0.2 with this model.")
        return Answer("fine")

    with serving(answer) as server:
        (reply,) = ask(server, sampling=Sampling(0.2, 50))
    assert reply.text == "fine"
    assert server.requests[-1]["max_completion_tokens"] == 50
    assert server.requests[-1]["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    "bad",
    [
        error(500, "oops"),
        error(503, "overloaded"),
        error(429, "slow down"),
        Answer(raw="<html>gateway</html>", status=502),
        Answer(raw="{not json"),
        Answer(raw='{"choices": []}'),
        Answer("half of an answer", drop=True),
    ],
    ids=["500", "503", "429", "html", "no json", "no choice", "dropped"],
)
def test_what_may_pass_is_tried_again(bad: Answer) -> None:
    with serving(in_turn(bad, bad, Answer("at last"))) as server:
        assert ask(server)[0].text == "at last"
    assert len(server.requests) == 3


def test_a_hanging_server_is_given_up_in_time() -> None:
    with serving(in_turn(Answer("late", wait=3.0), Answer("in time"))) as server:
        assert ask(server, timeout=0.3)[0].text == "in time"


def test_after_the_last_attempt_the_reason_is_told() -> None:
    with serving(in_turn(error(500, "the GPU is on fire"))) as server, pytest.raises(AskFailed) as failed:
        ask(server, retries=2)
    assert len(server.requests) == 3
    assert "500: the GPU is on fire" in failed.value.reason and "3 times" in failed.value.reason


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_holds_back_everybody(as_date: bool) -> None:
    """As a date it is whole seconds, so up to one of them may be gone already."""
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True) if as_date else "1"
    with serving(in_turn(Answer("ok"), error(429, "wait", Retry_After=when), Answer("ok"))) as server:
        ask(server, 4)
    first_told = server.times[1]
    later = [moment for moment in server.times[2:] if moment > first_told + 0.3]
    assert later and min(later) - first_told >= 0.95


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (error(401, f"Incorrect API key provided: {KEY}"), "refuses the key"),
        (error(403, "no access"), "refuses the key"),
        (error(403, "insufficient balance"), "is empty"),
        (error(402, "pay first"), "is empty"),
        (error(429, "You exceeded your quota: insufficient_quota"), "is empty"),
        (error(404, "no such model"), "has no model 'tester2'"),
    ],
)
def test_what_never_passes_ends_at_once_and_keeps_the_key(bad: Answer, told: str) -> None:
    async def asking(url: str) -> None:
        async with Endpoint(Connection(url, "tester2", KEY)) as endpoint:
            await endpoint.ask([{"role": "user", "content": "?"}], SCHEMA)

    with serving(in_turn(bad)) as server, pytest.raises(UserError) as ended:
        asyncio.run(asking(server.url))
    assert told in str(ended.value) and KEY not in str(ended.value)
    assert len(server.requests) == 1
    if "no model" in told:
        assert "Did you mean tester?" in str(ended.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/v1", "http://no-such-machine.invalid/v1"])
def test_a_server_that_never_was_there_is_not_waited_for(url: str) -> None:
    with serving(in_turn(Answer("x"))) as server:
        gone = url.format(port=server.url.split(":")[2].removesuffix("/v1"))

    async def asking() -> None:
        async with Endpoint(Connection(gone, "tester", KEY), first_pause=60.0) as endpoint:
            await endpoint.ask([{"role": "user", "content": "?"}], SCHEMA)

    with pytest.raises(UserError, match="There is no server at http") as ended:
        asyncio.run(asking())
    assert ended.value.field == "base_url" and "11434" in ended.value.hint


def test_one_that_was_there_may_come_back() -> None:
    told: list[tuple[str, float]] = []

    async def asking() -> None:
        with serving(in_turn(Answer("x", headers={"Connection": "close"}))) as server:
            endpoint = Endpoint(
                Connection(server.url, "tester", KEY),
                retries=2,
                first_pause=0.01,
                trouble=lambda *each: told.append(each),
            )
            await endpoint.ask([{"role": "user", "content": "?"}], SCHEMA)
        async with endpoint:
            await endpoint.ask([{"role": "user", "content": "?"}], SCHEMA)

    with pytest.raises(AskFailed, match=r"no connection to http.*nobody listens there.*tried 3 times"):
        asyncio.run(asking())
    assert len(told) == 2 and "no connection" in told[0][0]


def test_a_first_request_that_hangs_does_not_hold_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.authoring.client._FIRST_ALONE", 0.05)
    others = threading.Event()

    def answer(body: Body, number: int) -> Answer:
        if number == 4:
            others.set()
        return Answer("x" if number > 1 or others.wait(20) else "held")

    with serving(answer) as server:
        assert [reply.text for reply in ask(server, 4)] == ["x"] * 4


@pytest.mark.parametrize("said", ["this model is not for you", "Your input was flagged by moderation"])
def test_who_is_answered_has_a_key_so_what_is_forbidden_is_the_question(said: str) -> None:
    async def asking(url: str) -> None:
        async with Endpoint(Connection(url, "tester", KEY)) as endpoint:
            if "moderation" not in said:
                await endpoint.ask([{"role": "user", "content": "fine"}], SCHEMA)
            await endpoint.ask([{"role": "user", "content": "forbidden"}], SCHEMA)

    with serving(lambda body, number: Answer("x") if "fine" in str(body["messages"]) else error(403, said)) as server:
        with pytest.raises(AskFailed, match=said) as failed:
            asyncio.run(asking(server.url))
        assert failed.value.alone


def test_a_text_that_is_too_long_is_not_asked_again_in_other_forms() -> None:
    with serving(in_turn(error(400, "maximum context length is 4096 tokens"))) as server, pytest.raises(AskFailed):
        ask(server)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("limits", "tokens", "times"),
    [
        ({"requests": 3}, 10, [0, 0, 0, 60, 60, 60, 120]),
        ({"tokens": 900}, 400, [0, 0, 60, 60, 120]),
        ({"tokens": 900}, 1000, [0, 60, 120]),  # larger than the whole limit: alone
        ({}, 400, [0, 0, 0]),
    ],
    ids=["requests", "tokens", "large", "no limit"],
)
def test_what_goes_out_within_a_minute_stays_below_the_limits(
    limits: dict[str, int], tokens: int, times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def turns() -> list[float]:
        pace = Pace(**limits)
        return [(await pace.turn(tokens, sleep)).time for _ in times]

    monkeypatch.setattr("tunesmith.authoring.pace.time", types.SimpleNamespace(monotonic=lambda: now))
    assert asyncio.run(turns()) == times


def test_each_request_awaits_its_turn_and_settles_what_it_took() -> None:
    settled: list[int] = []

    class Recorded(Pace):
        def settle(self, sent: Any, tokens: int) -> None:
            settled.append(tokens)

    with serving(in_turn(Answer("ok"))) as server:
        ask(server, 3, pace=Recorded())
    assert settled == [120] * 3  # as the server counted


def test_as_many_requests_at_once_as_asked_for() -> None:
    with serving(lambda body, number: Answer("ok", wait=0.05)) as server:
        ask(server, 13, connections=4)
    assert server.most_at_once == 4


def test_the_connection_comes_from_flags_environment_and_dotenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        f"OPENAI_API_KEY='{KEY}'\nTUNESMITH_BASE_URL=http://one:1/v1\nTUNESMITH_MODEL=from-file\n", encoding="utf-8"
    )
    found = connection(environment={"TUNESMITH_MODEL": "from-environment"})
    assert (found.base_url, found.model, found.api_key) == ("http://one:1/v1", "from-environment", KEY)
    assert connection("localhost:8000/v1/", "given", environment={}).base_url == "http://localhost:8000/v1"
    assert KEY not in repr(found) and KEY not in str(found)
    assert Connection("https://me:pw@host/v1?key=k", "m", KEY).shown == "https://host/v1"
    with pytest.raises(UserError, match="OTHER_KEY is not set"):
        connection(key_variable="OTHER_KEY", environment={})
    (tmp_path / ".env").unlink()
    with pytest.raises(UserError, match="'notaurl', which is no address"):
        connection("notaurl", "given", environment={})
    with pytest.raises(UserError, match="No model is named that could be asked"):
        connection(environment={})


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OTHER_KEY"])
def test_a_key_is_told_by_no_error_whatever_stands_around_it(name: str) -> None:
    """As it comes out of `$(cat key.txt)` or a word processor."""
    variable = "" if name == "OPENAI_API_KEY" else name
    given = connection("http://one/v1", "m", key_variable=variable, environment={name: f" {KEY}\r\n"})
    assert given.api_key == KEY
    for broken in (f"{KEY}\nmore", f"“{KEY}”"):
        with pytest.raises(UserError, match=f"The key in {name} holds a character") as ended:
            connection("http://one/v1", "m", key_variable=variable, environment={name: broken})
        assert KEY not in str(ended.value)
    spelled = repr(b"Bearer se\ncret")
    told = Connection("http://one/v1", "m", "se\ncret").without_secrets(f"Illegal header value {spelled}")
    assert "cret" not in told


def test_what_stands_behind_a_question_mark_of_the_address_stays_there() -> None:
    with serving(in_turn(Answer("fine"))) as server:

        async def asking() -> None:
            place = connection(f"{server.url}/chat/completions?api-version=2", "tester", environment={})
            async with Endpoint(place) as endpoint:
                await endpoint.ask([{"role": "user", "content": "?"}], SCHEMA)

        asyncio.run(asking())
    assert server.paths == ["/v1/chat/completions?api-version=2"]


@pytest.mark.parametrize("url", ["http://[::1", "http://host:99999/v1", "http://me:secret@host:port/v1"])
def test_an_address_that_is_none_is_told_without_what_is_secret(url: str) -> None:
    with pytest.raises(UserError, match="which is no address of a server") as ended:
        connection(url, "m", environment={})
    assert "secret" not in str(ended.value)


def test_a_dotenv_may_be_in_the_encoding_of_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for encoding in ("utf-16", "utf-8-sig"):
        (tmp_path / ".env").write_text(f"TUNESMITH_API_KEY={KEY}\n", encoding=encoding)
        assert connection("http://one/v1", "m", environment={}).api_key == KEY


ENTRY = {"question": "q", "answer": "a"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"entries": [ENTRY]}),
        json.dumps([ENTRY]),
        json.dumps(ENTRY),
        "Sure! Here they are:\n```json\n" + json.dumps({"entries": [ENTRY]}) + "\n```\nAnything else?",
        "<think>{hmm}</think>" + json.dumps({"entries": [ENTRY]}),
        '{"entries": [{"question": "q", "answer": "a",}]',
        "{'entries': [{'question': 'q', 'answer': 'a'}]}",
        json.dumps({"entries": [ENTRY]}) + " trailing words",
        json.dumps({"questions": [ENTRY]}),
    ],
)
def test_json_is_found_in_whatever_was_written(text: str) -> None:
    assert objects(text, "entries") == [ENTRY]


@pytest.mark.parametrize(
    "text", ["", "I can't do that.", "<think>for ever", "[]", "[" * 100_000, "['" * 900, '{"entries": []}', "[1, 2]"]
)
def test_what_holds_no_entries_is_refused(text: str) -> None:
    with pytest.raises(BadAnswer):
        objects(text, "entries")
