"""When the next request may go out: limits per minute, and pauses that a server asked for."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

MINUTE = 60.0


@dataclass(slots=True)
class _Sent:
    time: float
    tokens: int


class Pace:
    """Requests and tokens within any `window` seconds stay below the limits; 0 is no limit. For one event loop."""

    def __init__(self, requests: int = 0, tokens: int = 0, *, window: float = MINUTE) -> None:
        self._requests, self._tokens, self._window = requests, tokens, window
        self._sent: deque[_Sent] = deque()
        self._in_window = 0
        self._paused_until = 0.0
        self._turn = asyncio.Lock()

    def pause(self, seconds: float) -> None:
        """Nothing goes out for so long: the server said it is too much."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    async def turn(self, tokens: int, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> _Sent:
        """Wait until a request of about so many tokens may go out, in the order of asking."""
        async with self._turn:
            while (wait := self._wait(tokens)) > 0:
                await sleep(wait)
            sent = _Sent(time.monotonic(), tokens)
            self._sent.append(sent)
            self._in_window += tokens
            return sent

    def settle(self, sent: _Sent, tokens: int) -> None:
        """What the request took in fact."""
        if any(each is sent for each in self._sent):
            self._in_window += tokens - sent.tokens
            sent.tokens = tokens

    def _wait(self, tokens: int) -> float:
        now = time.monotonic()
        while self._sent and self._sent[0].time <= now - self._window:
            self._in_window -= self._sent.popleft().tokens
        wait = self._paused_until - now
        if self._sent:
            first_leaves = self._sent[0].time + self._window - now
            if self._requests and len(self._sent) >= self._requests:
                wait = max(wait, first_leaves)
            # A request larger than the whole limit goes out alone.
            if self._tokens and self._in_window + tokens > self._tokens:
                wait = max(wait, first_leaves)
        return wait
