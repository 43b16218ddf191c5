"""The run of the training loop: how long, in which batches and number format, when to evaluate and save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from tunesmith.config.section import Count, Positive, PositiveFloat, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig(Section):
    """The run of the training loop: how long, in which batches and number format, when to evaluate and save."""

    per_device_train_batch_size: Positive = 8
    """Samples that go through the model at once, on each device."""
    gradient_accumulation_steps: Positive = 1
    """Batches that make one step: memory of one, effect of all together."""
    num_train_epochs: PositiveFloat = 3.0
    """How often the data is gone through."""
    max_steps: Annotated[int, Ge(-1)] = -1
    """End after so many steps, whatever `num_train_epochs` says; -1 leaves it to the epochs."""
    disable_shuffling: bool = False
    """Train in the order of the data."""
    seed: Count = 42
    """Start of every random choice: the same seed and data give the same run."""
    data_seed: Count | None = None
    """Seed of the order of the data alone. Left out: `seed`."""

    precision: Literal["auto", "bf16", "fp16", "fp32", "pure_bf16"] = "auto"
    """Number format of the computation. `auto` takes bf16 where the hardware has it. `pure_bf16` keeps the trained
    weights in bf16 too: less memory, coarser steps."""
    bf16: bool = False
    """The same as `precision: bf16`."""
    fp16: bool = False
    """The same as `precision: fp16`."""
    pure_bf16: bool = False
    """The same as `precision: pure_bf16`."""
    use_cpu: bool = False
    """Leave the GPU alone."""
    ddp_timeout: Positive = 1800
    """Seconds that the processes of several GPUs wait for each other before the run fails."""

    logging_steps: Positive = 10
    """Report the loss every so many steps. (LLaMA-Factory: 500.)"""
    logging_first_step: bool = False
    """Report the first step too."""

    do_train: bool | None = None
    """Train. Left out: yes, unless `do_eval` or `do_predict` asks for an evaluation, which is then all that is done."""
    do_eval: bool = False
    """Evaluate the loss: when training is over, also with `eval_strategy: no`; without `do_train` of a model as it
    is."""
    eval_strategy: Literal["no", "steps", "epoch"] = "no"
    """When to evaluate during training."""
    eval_steps: Positive | None = None
    """`eval_strategy: steps`: evaluate every so many steps. Left out: `save_steps`."""
    per_device_eval_batch_size: Positive = 8
    """Samples evaluated at once, on each device."""
    load_best_model_at_end: bool = False
    """Finish with the checkpoint that evaluated best instead of the last."""
    metric_for_best_model: str | None = None
    """What is best. Left out: `eval_loss`."""
    greater_is_better: bool | None = None
    """Whether more of that metric is better. Left out: no for a loss, yes for anything else."""
    early_stopping_steps: Positive | None = None
    """Stop after so many evaluations in a row without a better result."""

    save_strategy: Literal["no", "steps", "epoch", "best"] = "steps"
    """When to save a checkpoint; `steps` and `epoch` save one at the end too. What was trained is saved in any case."""
    save_steps: Positive = 500
    """`save_strategy: steps`: save every so many steps."""
    save_total_limit: Positive | None = None
    """Keep only so many checkpoints, the newest (and the best, if asked for)."""
    save_only_model: bool = False
    """Leave optimizer and data position out of checkpoints: smaller, but they can't be resumed."""
