"""The wish to end a job that asks a model, from a signal, a stop file or an error that spares the rest."""

from __future__ import annotations

import asyncio


class Stopped(Exception):
    """What was waited for is no longer wanted."""


class Stop:
    """`ask` once: nothing new is asked, what was asked is awaited. Twice: left at once.

    `ask` may be called from a signal handler or another thread; the rest belongs to one event loop.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.error: BaseException | None = None
        self._ending, self._now = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def ending(self) -> bool:
        return bool(self.asked) or self.error is not None

    def bind(self) -> None:
        """Belong to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._tell()

    def ask(self) -> None:
        self.asked += 1
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def fail(self, error: BaseException) -> None:
        """End because of an error that every further question would meet."""
        self.error = self.error or error
        self._tell()

    async def sleep(self, seconds: float) -> None:
        """Wait so long; Stopped where the job ends meanwhile."""
        try:
            # Not wait_for, which before Python 3.12 may swallow a cancellation that comes as the time is up.
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            return
        raise Stopped

    async def at_once(self) -> None:
        """Wait for the second `ask`."""
        await self._now.wait()

    def _tell(self) -> None:
        if self.ending:
            self._ending.set()
        if self.asked > 1:
            self._now.set()
