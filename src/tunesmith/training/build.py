"""All wiring of a training, and the only place that knows everyone: a job and its data → what the loop takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from tunesmith.batch import Batch
from tunesmith.config import DataConfig, Job, TrainingConfig
from tunesmith.data.examples import Refusal
from tunesmith.data.loader import BatchLoader, Packing, StreamLoader, eval_batches
from tunesmith.data.prepare import StreamedData, packs_documents
from tunesmith.data.saved import PreparedData
from tunesmith.data.stream import Position
from tunesmith.errors import UserError
from tunesmith.models.adapters import apply_tuning
from tunesmith.models.groups import parameter_groups
from tunesmith.models.load import Note, enable_gradient_checkpointing, load_model
from tunesmith.models.locate import LocalModel
from tunesmith.models.precision import Precision
from tunesmith.models.score import Layout, Scorer, check_layout
from tunesmith.models.vocabulary import Vocabulary
from tunesmith.objectives.base import OBJECTIVES, Objective
from tunesmith.training.checkpoints import Progress
from tunesmith.training.engine import Engine, Master, World, make_masters
from tunesmith.training.loop import Plan
from tunesmith.training.optimizers import OPTIMIZERS
from tunesmith.training.schedules import build_schedule, follows_evaluation, warmup_steps

Prepared = PreparedData | StreamedData
Loader = BatchLoader | StreamLoader
EvalSets = Mapping[str, Callable[[], Iterable[Batch]]]


@dataclass(frozen=True, slots=True)
class Training:
    """Everything the loop works with. layout: how rows are laid for this model, note: why where it is not packed."""

    engine: Engine
    model: PreTrainedModel | PeftModel
    objective: Objective
    loader: Loader
    evals: EvalSets
    plan: Plan
    layout: Layout

    def data_position(self) -> tuple[int, int, int] | None:
        """Where a stream stands, to be kept in a checkpoint; nothing for data that is all there."""
        if not isinstance(self.loader, StreamLoader):
            return None
        at = self.loader.position
        return at.epoch, at.rows, at.units

    def new_refusals(self) -> list[Refusal]:
        """Rows that a stream met since the last call and could not use."""
        return self.loader.take_refusals() if isinstance(self.loader, StreamLoader) else []

    def resume_data(self, progress: Progress) -> None:
        """Let a stream go on where the checkpoint says."""
        if isinstance(self.loader, StreamLoader) and progress.position is not None:
            self.loader.seek(progress.step, Position(*progress.position))


def load_policy(
    job: Job, located: LocalModel, vocabulary: Vocabulary, precision: Precision, device: torch.device, *,
    checkpointing: bool, note: Note,
) -> PreTrainedModel | PeftModel:  # fmt: skip
    """The base with its adapter, `requires_grad` on exactly what is trained."""
    base = load_model(
        job.model,
        located,
        precision,
        vocabulary,
        device=device,
        training=True,
        cutoff_len=job.data.cutoff_len,
        note=note,
    )
    if checkpointing:
        enable_gradient_checkpointing(base)
    torch.manual_seed(job.training.seed)  # the adapter's first weights, whatever was drawn before
    return apply_tuning(base, job.adapter, job.model, new_ids=vocabulary.new_ids, note=note)


def build_training(
    job: Job,
    model: PreTrainedModel | PeftModel,
    vocabulary: Vocabulary,
    precision: Precision,
    prepared: Prepared,
    world: World,
    note: Note,
) -> Training:
    """Wire the loaded policy and the prepared data. UserError where the plan can't work out."""
    objective = OBJECTIVES.get(job.objective.stage, field="stage")()
    loader = build_loader(job, prepared, world)
    plan = build_plan(job.training, loader)
    _must_have_rows(plan, prepared)
    model.train()
    masters = make_masters(model, precision.compute, precision.master)
    optimizer = build_optimizer(job, model, masters)
    rows = int(model.get_input_embeddings().weight.shape[0])
    if vocabulary.size > rows:
        _must_have_embeddings(prepared, rows)
    layout, reason = check_layout(model, min(vocabulary.size, rows))
    if reason:
        note(f"Note: {reason}.")
        use_padding(model)
    if plan.total > 1 and (warmup := warmup_steps(job.optimizer, plan.total)) >= plan.total:
        note(
            f"Warning: the warm-up takes {warmup} steps and the run has {plan.total}: learning_rate is never reached. "
            "Lower warmup_steps or warmup_ratio."
        )
    engine = Engine(
        world,
        Scorer(model, layout),
        masters,
        optimizer,
        build_schedule(job.optimizer, optimizer, plan.total),
        max_norm=job.optimizer.max_grad_norm or None,
        scaling=precision.compute == torch.float16,
        schedule_by_metric=follows_evaluation(job.optimizer),
        seed=job.training.seed,
    )
    size = job.training.per_device_eval_batch_size
    evals = {
        name: partial(eval_batches, store, batch_size=size, rank=world.rank, world=world.size)
        for name, store in prepared.evals.items()
    }
    return Training(engine, model, objective, loader, evals, plan, layout)


def build_loader(job: Job, prepared: Prepared, world: World) -> Loader:
    """The batches of the job; UserError when there is nothing to train on."""
    data, training = job.data, job.training
    size, accumulation = training.per_device_train_batch_size, training.gradient_accumulation_steps
    share: dict[str, int] = {"rank": world.rank, "world": world.size}
    if isinstance(prepared, StreamedData):
        joined = packing_of(data) == "packed"
        return StreamLoader(prepared.stream, batch_size=size, joined=joined, accumulation=accumulation, **share)
    if prepared.train is None or not len(prepared.train):
        raise UserError("There is no row to train on.", hint="Look at the data: tunesmith data check.", field="dataset")
    return BatchLoader(
        prepared.train,
        batch_size=size,
        accumulation=accumulation,
        seed=order_seed(training),
        shuffle=not training.disable_shuffling,
        packing="none" if packs_documents(data, job.objective.stage) else packing_of(data),
        cutoff=data.cutoff_len,
        **share,
    )


def told_steps(training: TrainingConfig, loader: Loader, plan: Plan, world: World) -> str:
    """How many optimizer steps of how many rows over all processes, in words."""
    rows = training.per_device_train_batch_size * training.gradient_accumulation_steps * world.size
    if isinstance(loader, BatchLoader):
        rows = min(rows, loader.rows)
    return f"{counted(plan.total, 'step')} of {counted(rows, 'row')}"


def counted(number: int, noun: str) -> str:
    """The noun in its number: 1 step, 2,000 steps."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def order_seed(training: TrainingConfig) -> int:
    """The seed of the order of the data."""
    return training.seed if training.data_seed is None else training.data_seed


def packing_of(data: DataConfig) -> Packing:
    """How samples share a row: neat_packing keeps attention within each sample."""
    if data.neat_packing:
        return "neat"
    return "packed" if data.packing else "none"


def build_plan(training: TrainingConfig, loader: Loader) -> Plan:
    """When what is due, in optimizer steps."""
    if isinstance(loader, StreamLoader):
        per_epoch, total = float(training.max_steps), training.max_steps
    else:
        per_epoch = float(loader.steps_per_epoch)
        by_epochs = math.ceil(training.num_train_epochs * per_epoch)
        total = training.max_steps if training.max_steps > 0 else by_epochs
    epoch = max(1, math.ceil(per_epoch))
    cadence = {"no": 0, "epoch": epoch}
    eval_every = cadence.get(training.eval_strategy, training.eval_steps or training.save_steps)
    save_every = cadence.get(training.save_strategy, training.save_steps)
    if training.save_strategy == "best":
        save_every = 0  # the evaluation decides
    metric = training.metric_for_best_model or "eval_loss"
    metric = metric if metric.startswith("eval_") else f"eval_{metric}"
    greater = training.greater_is_better if training.greater_is_better is not None else not _is_cost(metric)
    return Plan(
        total=total,
        steps_per_epoch=per_epoch,
        log_every=training.logging_steps,
        save_every=save_every,
        eval_every=eval_every,
        log_first=training.logging_first_step,
        save_best=training.save_strategy == "best",
        patience=training.early_stopping_steps or 0,
        metric=metric,
        lower_is_better=not greater,
    )


def _must_have_embeddings(prepared: Prepared, rows: int) -> None:
    """UserError where a sample holds a token that the model has no embedding for; a stream is not looked through."""
    stores = [] if isinstance(prepared, StreamedData) or prepared.train is None else [prepared.train]
    for store in [*stores, *prepared.evals.values()]:
        highest = max((int(store.ids(row).max(initial=0)) for row in range(len(store))), default=0)
        if highest >= rows:
            raise UserError(
                f"The data holds token {highest}, and the model has rows for {rows:,} tokens only.",
                hint="Set resize_vocab: true to add rows, or take that token out of the texts.",
                field="resize_vocab",
            )


def _must_have_rows(plan: Plan, prepared: Prepared) -> None:
    """UserError where an evaluation would have nothing to evaluate on."""
    empty = [name for name, store in prepared.evals.items() if not len(store)]
    if empty or (plan.eval_every and not prepared.evals):
        found = (
            f"The evaluation set {empty[0]} has no row."
            if empty
            else "eval_strategy is set, and there is no data for it."
        )
        raise UserError(found, hint="Set val_size or eval_dataset, or eval_strategy: no.", field="eval_strategy")


def build_optimizer(job: Job, model: torch.nn.Module, masters: list[Master]) -> torch.optim.Optimizer:
    """The optimizer over the masters, in the groups that learning rates and decay ask for."""
    weights = {master.name: master.weight for master in masters}
    if not weights:
        raise UserError("Nothing would be trained with these settings.", field="finetuning_type")
    groups = [
        {
            "params": [weights[name] for name in group.names],
            "lr": group.learning_rate,
            "weight_decay": group.weight_decay,
        }
        for group in parameter_groups(model, job.optimizer, job.adapter)
    ]
    return OPTIMIZERS.get(job.optimizer.optim, field="optim")(groups, job.optimizer)


def use_padding(model: PreTrainedModel | PeftModel) -> None:
    """Attention that honours a padding mask, for models that can't take rows end to end."""
    causal = model.get_base_model() if isinstance(model, PeftModel) else model
    try:
        causal.set_attn_implementation("sdpa")
    except ValueError:
        causal.set_attn_implementation("eager")


def _is_cost(metric: str) -> bool:
    return "loss" in metric or "perplexity" in metric
