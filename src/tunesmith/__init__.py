"""Tunesmith: from your own data to your own fine-tuned model.

    import tunesmith

    run = tunesmith.train("cfg.yaml", learning_rate=2e-5)
    print(run.path, run.metrics()[-1])
    print(run.load().chat("Who are you?"))

Importing this costs nothing; what a name needs is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.errors import UserError
    from tunesmith.jobs.handles import Evaluation, LoadedModel, TrainedRun, evaluate, load, train

    __version__: str

__all__ = ["Evaluation", "LoadedModel", "TrainedRun", "UserError", "__version__", "evaluate", "load", "train"]

_HOMES = {
    "Evaluation": "tunesmith.jobs.handles",
    "LoadedModel": "tunesmith.jobs.handles",
    "TrainedRun": "tunesmith.jobs.handles",
    "UserError": "tunesmith.errors",
    "evaluate": "tunesmith.jobs.handles",
    "load": "tunesmith.jobs.handles",
    "train": "tunesmith.jobs.handles",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("tunesmith")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tunesmith' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
