"""A job: everything a run is asked to do, in sections. One job makes one run directory."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime

from tunesmith.config.adapter import AdapterConfig
from tunesmith.config.data import DataConfig
from tunesmith.config.evaluation import EvaluationConfig, nothing_is_trained
from tunesmith.config.export import ExportConfig
from tunesmith.config.generation import GenerationConfig
from tunesmith.config.model import ModelConfig
from tunesmith.config.objective import ObjectiveConfig
from tunesmith.config.optimizer import OptimizerConfig
from tunesmith.config.run import RunConfig
from tunesmith.config.section import Section
from tunesmith.config.training import TrainingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done, frozen. A function takes the section it needs, never the whole job.

    Values that say `auto` stay `auto` here: what they come to on a machine is computed where it is used and never
    written back. So a resolved job means the same on every machine.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    data: DataConfig = field(default_factory=DataConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    run: RunConfig = field(default_factory=RunConfig)


SECTIONS: dict[str, type[Section]] = {
    "model": ModelConfig,
    "adapter": AdapterConfig,
    "data": DataConfig,
    "objective": ObjectiveConfig,
    "optimizer": OptimizerConfig,
    "training": TrainingConfig,
    "evaluation": EvaluationConfig,
    "generation": GenerationConfig,
    "export": ExportConfig,
    "run": RunConfig,
}
"""The sections by their name in a job, in the order in which a job is written and documented."""


def evaluates_alone(job: Job) -> bool:
    """Whether nothing is trained: an evaluation is asked for, and no training beside it."""
    training, evaluation = job.training, job.evaluation
    return nothing_is_trained(
        training.do_train, training.do_eval, evaluation.do_predict, evaluation.predict_with_generate
    )


def answers(job: Job) -> bool:
    """Whether an evaluation without training has the model answer."""
    return job.evaluation.do_predict or job.evaluation.predict_with_generate


def default_output_dir(job: Job, now: datetime) -> str:
    """`saves/<model>/<finetuning_type>/<stage>_<time>`, `eval_<time>` where nothing is trained: apart for every start,
    sorted by time within a method."""
    stamp = now.strftime("%Y-%m-%d_%H-%M-%S")
    run = f"{'eval' if evaluates_alone(job) else job.objective.stage}_{stamp}"
    return "/".join(["saves", short_model_name(job.model.model_name_or_path), job.adapter.finetuning_type, run])


def short_model_name(name_or_path: str) -> str:
    """The last part of a hub id or path that names the model, fit for a folder on every system."""
    parts = [part for part in re.split(r"[\\/]+", name_or_path) if part not in ("", ".", "..", "~")]
    cached = [part for part in parts if part.startswith("models--")]  # hub cache: models--owner--name/snapshots/hash
    name = cached[-1].split("--")[-1] if cached else (parts[-1] if parts else "model")
    name = re.sub(r"\.gguf$", "", name, flags=re.IGNORECASE)
    return re.sub(r"[^\w.+-]+", "-", name).strip(".-") or "model"


def with_output_dir(job: Job, now: datetime) -> Job:
    """The job with the default run directory where none was asked for."""
    if job.run.output_dir:
        return job
    return replace(job, run=replace(job.run, output_dir=default_output_dir(job, now)))
