"""A model behind an OpenAI-compatible server: asked patiently, within limits, in the form that the server takes."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from tunesmith.authoring.chunk import estimate_tokens
from tunesmith.authoring.credentials import Connection
from tunesmith.authoring.model import AskFailed, Messages, Reply, without_halves
from tunesmith.authoring.pace import Pace
from tunesmith.authoring.stop import Stop, Stopped
from tunesmith.errors import UserError, did_you_mean

_FORMS = ("json_schema", "json_object", "text")
_LONGEST_WAIT = 60.0
_FIRST_ALONE = 3.0
"""Seconds in which a server refuses a form that it does not know. One that is silent for longer writes an answer."""
_LOCAL = ("localhost", "127.", "[::1]", "::1")
_NO_MONEY = re.compile(r"insufficient[_ ](quota|balance|funds)|billing|arrears|余额不足|欠费", re.IGNORECASE)
_OBJECTIONABLE = re.compile(r"moderat|flagged|content.{0,20}(policy|filter|safety)|审核|敏感|违规", re.IGNORECASE)
_TOO_LONG = re.compile(r"context|too long|maximum.{0,20}length|tokens? limit|超出|最大长度", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn. temperature None: the server's own. max_tokens: longest answer, 0 the server's own."""

    temperature: float | None = None
    max_tokens: int = 0


class _Again(Exception):
    """The same request may work later. wait: seconds that the server asked for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait


class Endpoint:
    """A `Model` over HTTP. Use as an asynchronous context.

    ask raises UserError where no request can succeed: the key is refused, the model is not there, the account is
    empty. stop: where it says so, nothing new is sent and pauses end with Stopped. retries: after errors of the server,
    of the network, and too many requests, with a growing, random pause. Where the very first request finds no server at
    all, that is no matter of patience: UserError. trouble: told of each request that is to be sent again, why, and in
    how many seconds.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        sampling: Sampling | None = None,
        pace: Pace | None = None,
        stop: Stop | None = None,
        timeout: float = 300.0,
        retries: int = 6,
        first_pause: float = 1.0,
        connections: int = 64,
        trouble: Callable[[str, float], None] = lambda reason, seconds: None,
    ) -> None:
        self.name = connection.model
        self._connection, self._sampling = connection, sampling or Sampling()
        self._pace, self._stop = pace or Pace(), stop or Stop()
        self._timeout, self._retries, self._first_pause = timeout, retries, first_pause
        self._trouble = trouble
        self._form = 0
        self._asked = self._reached = self._answered = False
        self._first_ended = asyncio.Event()
        self._left_out: set[str] = set()
        self._limit_name = "max_tokens"
        host = str(httpx2.URL(connection.base_url).host)
        headers = {"Authorization": f"Bearer {connection.api_key}"} if connection.api_key else {}
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(timeout, connect=min(timeout, 30.0)),
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            trust_env=not host.startswith(_LOCAL),  # a proxy is meant for the world outside
        )

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(self, messages: Messages, schema: Mapping[str, Any], most: int = 0) -> Reply:
        """See `Model`. A server's answer is limited by `Sampling` alone, for what it thinks counts too.

        The first request finds out which form of structured output the server takes; others wait for it a moment, so
        that not all of them are refused.
        """
        if self._asked:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_ALONE):
                    await self._first_ended.wait()
            return await self._patiently(messages, schema)
        self._asked = True
        try:
            return await self._patiently(messages, schema)
        finally:
            self._first_ended.set()

    async def _patiently(self, messages: Messages, schema: Mapping[str, Any]) -> Reply:
        form, tried = self._form, 0
        while True:
            try:
                reply = await self._once(messages, schema, form)
            except _OtherForm as refused:
                if form + 1 >= len(_FORMS):
                    raise AskFailed(refused.reason) from None
                form += 1
            except _Adapted:
                continue
            except _Again as again:
                tried += 1
                if tried > self._retries:
                    raise AskFailed(f"{again.reason} (tried {tried} times)") from None
                if again.wait is not None:
                    self._pace.pause(again.wait)
                pause = min(_LONGEST_WAIT, self._first_pause * 2 ** (tried - 1)) * random.uniform(0.5, 1.0)
                seconds = (again.wait or 0.0) + pause
                self._trouble(again.reason, seconds)
                await self._stop.sleep(seconds)
            else:
                self._form = max(form, self._form)
                return reply

    async def _once(self, messages: Messages, schema: Mapping[str, Any], form: int) -> Reply:
        prompt = sum(estimate_tokens(message["content"]) for message in messages)
        sent = await self._pace.turn(prompt + (self._sampling.max_tokens or prompt // 2), self._stop.sleep)
        if self._stop.ending:
            raise Stopped
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.post(
                    self._connection.at("chat/completions"), json=self._body(messages, schema, form)
                )
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            raise self._no_connection(error) from None
        except (TimeoutError, httpx2.TimeoutException):
            raise _Again(f"no answer within {self._timeout:g} s") from None
        except httpx2.TransportError as error:
            reason = self._connection.without_secrets(str(error) or type(error).__name__)
            raise _Again(f"the connection to {self._connection.shown} broke off ({reason})") from None
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise UserError(f"The server at {self._connection.shown} can't be asked: {error}.") from None
        self._reached = True
        if response.status_code != 200:
            await self._refused(response, form)
        self._answered = True
        reply = self._reply(response, prompt)
        self._pace.settle(sent, reply.prompt_tokens + reply.completion_tokens)
        return reply

    def _no_connection(self, error: Exception) -> Exception:
        """One that was there may come back; one that never was is not waited for."""
        where = self._connection.shown
        reason = self._connection.without_secrets(_why_unreached(error))
        if self._reached:
            return _Again(f"no connection to {where} ({reason})")
        return UserError(
            f"There is no server at {where} ({reason}).",
            hint="Does it run, and is the address right? An Ollama here answers at http://127.0.0.1:11434/v1.",
            field="base_url",
        )

    def _body(self, messages: Messages, schema: Mapping[str, Any], form: int) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._connection.model, "messages": list(messages), "stream": False}
        if self._sampling.temperature is not None:
            body["temperature"] = self._sampling.temperature
        if self._sampling.max_tokens:
            body[self._limit_name] = self._sampling.max_tokens
        if _FORMS[form] == "json_schema":
            named = {"name": "answer", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        elif _FORMS[form] == "json_object":
            body["response_format"] = {"type": "json_object"}
        return {key: value for key, value in body.items() if key not in self._left_out}

    async def _refused(self, response: httpx2.Response, form: int) -> None:
        """Raise what an answer other than 200 means."""
        status = response.status_code
        said = self._connection.without_secrets(_message(response))
        told = f"the server answered {status}" + (f": {said}" if said else "")
        where = self._connection.shown
        if status == 402 or (status in (403, 429) and _NO_MONEY.search(said)):
            raise UserError(f"The account at {where} is empty ({said or status}).", hint="Top it up, then go on.")
        # Who has been answered has a valid key, so it is what this request says that is forbidden.
        if status == 403 and (self._answered or _OBJECTIONABLE.search(said)):
            raise AskFailed(told, alone=True)
        if status in (401, 403):
            raise UserError(
                f"{where} refuses the key ({status}{': ' + said if said else ''}).",
                hint="Put a valid one into TUNESMITH_API_KEY or OPENAI_API_KEY, in the environment or in .env."
                if self._connection.api_key
                else "No key was given: put it into TUNESMITH_API_KEY or OPENAI_API_KEY, or into .env.",
                field="api_key",
            )
        if status == 404:
            raise await self._not_found(said)
        if 300 <= status < 400:
            raise UserError(f"{where} sends us elsewhere ({status}).", hint="Give the final address as base URL.")
        if status in (408, 409, 425, 429) or status >= 500:
            raise _Again(told, _retry_after(response))
        self._adapt(said)
        alone = bool(_TOO_LONG.search(said) or _OBJECTIONABLE.search(said))
        if _FORMS[form] != "text" and not alone:
            raise _OtherForm(told)
        raise AskFailed(told, alone=alone)

    def _adapt(self, said: str) -> None:
        """A parameter that the server names as its trouble is left out, or goes by its other name."""
        if "max_completion_tokens" in said and self._limit_name == "max_tokens":
            self._limit_name = "max_completion_tokens"
            raise _Adapted
        if re.search(r"\btemperature\b", said) and "temperature" not in self._left_out:
            self._left_out.add("temperature")
            raise _Adapted

    async def _not_found(self, said: str) -> UserError:
        """The address or the model is wrong; the server's own list tells which."""
        where, model = self._connection.shown, self._connection.model
        try:
            listed = await self._client.get(self._connection.at("models"))
            names = [str(entry["id"]) for entry in listed.json()["data"]] if listed.status_code == 200 else None
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            names = None
        if names is None:
            return UserError(
                f"There is no chat completions server at {where} (404{': ' + said if said else ''}).",
                hint="The base URL usually ends in /v1.",
                field="base_url",
            )
        if model in names:
            return UserError(
                f"{where} lists the model {model!r}, but does not answer for it (404{': ' + said if said else ''}).",
                hint="Is it a model that chats, and does the base URL end in /v1?",
                field="base_url",
            )
        hint = did_you_mean(model, names) or f"It has: {', '.join(names[:8]) or 'none'}."
        return UserError(f"{where} has no model {model!r}.", hint=hint, field="model")

    def _reply(self, response: httpx2.Response, prompt: int) -> Reply:
        try:
            record = response.json()
            choice = record["choices"][0]
            content = choice["message"].get("content")
        except (ValueError, LookupError, TypeError, AttributeError):
            said = self._connection.without_secrets(_message(response)) or response.text[:120]
            raise _Again(f"the server answered something else than a chat completion: {said}") from None
        if isinstance(content, list):
            content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
        if choice.get("finish_reason") == "content_filter":
            raise AskFailed("the server's content filter held the answer back", alone=True)
        text = without_halves(content) if isinstance(content, str) else ""
        usage = record.get("usage") if isinstance(record.get("usage"), dict) else {}
        return Reply(
            text,
            _count(usage.get("prompt_tokens"), prompt),
            _count(usage.get("completion_tokens"), estimate_tokens(text)),
            cut=choice.get("finish_reason") == "length",
        )


class _OtherForm(Exception):
    """The server may not know the form of output that was asked for."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Adapted(Exception):
    """The request was changed and can be sent at once."""


def _why_unreached(error: BaseException) -> str:
    """What the system said to the attempt to connect; it lies below the client's own words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return "no machine of that name is known"
        if isinstance(cause, ConnectionRefusedError):
            return "nobody listens there"
        cause = cause.__cause__ or cause.__context__
    return str(error) or "it does not answer"


def _count(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and value >= 0 else otherwise


def _message(response: httpx2.Response) -> str:
    """What the server says of an error, in one line."""
    try:
        record = json.loads(response.text)
    except ValueError:
        return "" if "<html" in response.text[:500].lower() else " ".join(response.text.split())[:300]
    while isinstance(record, dict):
        record = next((record[key] for key in ("error", "message", "detail", "msg") if record.get(key)), "")
    return " ".join(str(record).split())[:300]


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds that the server asks to wait, as a number or a date; an hour at most."""
    value = response.headers.get("retry-after-ms", "")
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return min(float(value) / 1000, 3600.0)
    value = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return min(float(value), 3600.0)
    try:
        return min(max(0.0, parsedate_to_datetime(value).timestamp() - time.time()), 3600.0)
    except (ValueError, TypeError):
        return None
