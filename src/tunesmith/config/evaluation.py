"""What a model is asked when it is evaluated, beside the loss (`do_eval`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tunesmith.config.section import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig(Section):
    """What a model is asked when it is evaluated, beside the loss (`do_eval`)."""

    do_predict: bool = False
    """Have the model answer the evaluation set and score the answers: when training is over, or without `do_train` a
    model as it is."""
    predict_with_generate: bool = False
    """In an evaluation without training: have the model answer each question and score the answers, not the loss
    alone."""
    predict_base: bool = False
    """Answer each question with the adapter off too: the base model beside the tuned one."""


def nothing_is_trained(do_train: bool | None, do_eval: bool, do_predict: bool, predict_with_generate: bool) -> bool:
    """Whether these settings ask for an evaluation and for no training: as LLaMA-Factory reads them, but that a file
    which asks for neither trains."""
    return not do_train and (do_eval or do_predict or (do_train is False and predict_with_generate))


COMMAND: Mapping[str, bool] = MappingProxyType(
    {"do_train": False, "do_eval": True, "do_predict": False, "predict_with_generate": True}
)
"""What `tunesmith eval` means: nothing is trained, the loss is evaluated, answers are generated."""
