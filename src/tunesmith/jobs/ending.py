"""How a job that trains or evaluates a model ends, as its run tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tunesmith.errors import UserError
from tunesmith.runs.run import Run


@contextmanager
def ending_recorded(
    run: Run, *, interrupted: Callable[[], UserError], full: Callable[[str], UserError]
) -> Iterator[None]:
    """Whatever ends the job is written to the run before it goes on upwards.

    interrupted: what is told of an interrupt. full: of a memory that was not enough, and of what the library said.
    """
    try:
        yield
    except KeyboardInterrupt:
        run.finish("stopped", interrupted())
        raise
    except BaseException as error:
        told = full(str(error).partition("\n")[0]) if is_out_of_memory(error) else error
        run.finish("failed", told)
        if told is error:
            raise
        raise told from error


def is_out_of_memory(error: BaseException) -> bool:
    """Python's and torch's errors of a full memory, the latter recognized without importing torch."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "can't allocate memory" in str(error)
