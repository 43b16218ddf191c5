"""Where accelerate lives, and nowhere else: devices, ranks, backward, the optimizer step.

Trained parameters are held in the model's compute dtype and have fp32 masters here, which the optimizer updates:
nothing is cast during forward and backward, and small updates are not lost. Where the model computes in fp32 (or in
pure_bf16) the parameter is its own master.
"""

from __future__ import annotations

import atexit
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from torch import Tensor, nn

from tunesmith.batch import Batch, Scores
from tunesmith.errors import UserError
from tunesmith.models.norms import kept_in_float32
from tunesmith.training.memory import give_back_freed_memory


class Schedule(Protocol):
    """A learning-rate schedule over optimizer steps (torch's LRScheduler is one)."""

    def step(self, *metric: float) -> Any: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


@dataclass(frozen=True, slots=True)
class Master:
    """A trained parameter. live: the model's own; weight: what the optimizer updates (the same where dtypes agree)."""

    name: str
    live: nn.Parameter
    weight: nn.Parameter


def make_masters(model: nn.Module, compute: torch.dtype, master: torch.dtype) -> list[Master]:
    """A master for every trained parameter, in the model's order; the parameter itself is cast to `compute`.

    Masters are taken before the cast, so an fp32 adapter that is trained further loses nothing. Norms that are held
    in float32 on purpose are their own masters.
    """
    masters = []
    precise = kept_in_float32(model)
    for name, live in model.named_parameters():
        if not live.requires_grad:
            continue
        if live in precise:
            masters.append(Master(name, live, live))
            continue
        weight = live if master == compute else nn.Parameter(live.detach().to(master, copy=True))
        live.data = live.data.to(compute)
        masters.append(Master(name, live, weight))
    return masters


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Values that have underflowed slow a CPU down a hundredfold and mean nothing in training: they are zero here."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@dataclass(frozen=True, slots=True)
class World:
    """The processes of a job as one of them sees it; alone it is a world of size 1, without a process group."""

    accelerator: Accelerator

    @property
    def size(self) -> int:
        return int(self.accelerator.num_processes)

    @property
    def rank(self) -> int:
        return int(self.accelerator.process_index)

    @property
    def is_main(self) -> bool:
        return bool(self.accelerator.is_main_process)

    @property
    def device(self) -> torch.device:
        return torch.device(self.accelerator.device)

    def main_first(self) -> AbstractContextManager[Any]:
        """The first process runs the block, then the others, which find its work in the cache."""
        return self.accelerator.main_process_first()

    def wait(self) -> None:
        """All processes meet here."""
        self.accelerator.wait_for_everyone()


def join_world(
    *,
    use_cpu: bool,
    timeout_seconds: int = 1800,
    trackers: Sequence[str] = (),
    folder: Path,
    name: str,
    config: dict[str, Any],
) -> World:
    """This process's place among the job's, with its trackers begun.

    timeout_seconds: how long processes wait for each other. folder: where file-based trackers write. name: the run's.
    config: flat settings, for the trackers.

    Raises UserError naming the tracker when one that was asked for can't be started.
    """
    try:
        accelerator = Accelerator(
            cpu=use_cpu,
            log_with=list(trackers) or None,
            project_dir=str(folder),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=timeout_seconds))],
        )
        if trackers:
            plain = {
                key: value if isinstance(value, (int, float, str, bool)) else str(value)
                for key, value in config.items()
            }
            accelerator.init_trackers("tunesmith", config=plain, init_kwargs=_named(trackers, name))
    except Exception as error:
        if not trackers:
            raise
        raise UserError(
            f"report_to: {', '.join(trackers)} can't be started: {error}",
            hint="Install and log in to the tracker, or set report_to: none; the run's own records are always written.",
            field="report_to",
        ) from error
    missing = set(trackers) - {tracker.name for tracker in accelerator.trackers}
    if missing:
        raise UserError(
            f"report_to: {', '.join(sorted(missing))} is not installed.",
            hint=f"pip install {' '.join(sorted(missing))}, or leave it out of report_to.",
            field="report_to",
        )
    # A job that fails keeps its group until it has said why: peers that see it leave would speak first, of that alone.
    atexit.register(accelerator.state.destroy_process_group)
    return World(accelerator)


def _named(trackers: Sequence[str], name: str) -> dict[str, dict[str, Any]]:
    """The run's name under the keyword each tracker has for it."""
    keyword = {"wandb": "name", "swanlab": "experiment_name", "trackio": "name", "mlflow": "run_name"}
    return {tracker: {keyword[tracker]: name} for tracker in trackers if tracker in keyword}


class Engine:
    """One process's part of the training: moves batches, runs the scorer, steps the optimizer.

    scaling: whether fp16 gradients need loss scaling. max_norm: gradient clipping, None for none. schedule_by_metric:
    the schedule moves at evaluations, not at steps.
    """

    def __init__(
        self,
        world: World,
        scorer: nn.Module,
        masters: Sequence[Master],
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        *,
        max_norm: float | None,
        scaling: bool = False,
        schedule_by_metric: bool = False,
        seed: int = 0,
    ) -> None:
        self.world = world
        self.scorer = world.accelerator.prepare(scorer) if world.size > 1 else scorer.to(world.device)
        self.masters = masters
        self.optimizer = optimizer
        self.schedule = schedule
        self._max_norm = max_norm
        self._by_metric = schedule_by_metric
        self._seed = seed
        self._largest = 0
        self._scaler = torch.amp.GradScaler(world.device.type, enabled=scaling)

    @property
    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def device(self) -> torch.device:
        return self.world.device

    def seed(self, step: int) -> None:
        """Chance in a step (dropout, noise) is a function of seed, step and rank: a checkpoint needs nothing of it."""
        torch.manual_seed((self._seed * 1_000_003 + step) * 4096 + self.world.rank)

    def score(self, batch: Batch) -> Scores:
        if batch.tokens > self._largest and not batch.input_ids.is_cuda:
            self._largest = batch.tokens
            give_back_freed_memory()
        scores: Scores = self.scorer(batch)
        return scores

    def total(self, *values: float) -> tuple[float, ...]:
        """Each value summed over all ranks."""
        if self.world.size == 1:
            return values
        local = torch.tensor(values, dtype=torch.float64, device=self.world.device)
        summed = self.world.accelerator.reduce(local, reduction="sum")
        return tuple(summed.tolist())

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of this rank's share of the step's loss to the masters, in their dtype.

        Data parallelism averages gradients over ranks; the loss is divided by the global count already, so the factor
        is put back here.
        """
        self._scaler.scale(loss * self.world.size).backward()
        for master in self.masters:
            if master.weight is master.live or master.live.grad is None:
                continue
            if master.weight.grad is None:
                master.weight.grad = master.live.grad.to(master.weight.dtype)
            else:
                master.weight.grad += master.live.grad
            master.live.grad = None

    def step(self) -> float:
        """Clip, update, publish the masters to the model; returns the gradient norm before clipping.

        A norm that is not finite leaves the weights as they were (with fp16 scaling it is a skipped step).
        """
        weights = [master.weight for master in self.masters]
        self._scaler.unscale_(self.optimizer)
        limit = self._max_norm if self._max_norm else float("inf")
        norm = float(nn.utils.clip_grad_norm_(weights, limit))
        if not math.isfinite(norm) and not self._scaler.is_enabled():
            return norm  # the weights of the last good step stay
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.optimizer.zero_grad()
        if not self._by_metric:
            self.schedule.step()
        self.publish()
        return norm

    def evaluated(self, metric: float) -> None:
        """Tell schedules that follow the evaluation (reduce_lr_on_plateau) how it went."""
        if self._by_metric:
            self.schedule.step(metric)

    @torch.no_grad()
    def publish(self) -> None:
        """Copy the masters into the model's own parameters."""
        for master in self.masters:
            if master.weight is not master.live:
                master.live.copy_(master.weight)

    def trained_state(self) -> dict[str, Tensor]:
        """name → master weight, on the CPU."""
        return {master.name: master.weight.detach().cpu() for master in self.masters}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for master in self.masters:
                master.weight.copy_(state[master.name])
        self.publish()

    def scaler_state(self) -> dict[str, Any]:
        return dict(self._scaler.state_dict())

    def load_scaler_state(self, state: dict[str, Any]) -> None:
        if state:
            self._scaler.load_state_dict(state)

    def moved(self, batches: Sequence[Batch]) -> Iterator[Batch]:
        for batch in batches:
            yield batch.to(self.world.device)

    @property
    def scales_loss(self) -> bool:
        return bool(self._scaler.is_enabled())

    def track(self, values: Mapping[str, float], step: int) -> None:
        """Send values to the trackers (report_to)."""
        self.world.accelerator.log(dict(values), step=step)

    def end(self) -> None:
        """Close the trackers and leave the process group."""
        # What data parallelism holds goes before the group: as its last owner it would join gloo's thread while holding
        # the interpreter's lock, which that thread may be waiting for.
        self.scorer = self.world.accelerator.unwrap_model(self.scorer)
        self.world.accelerator.free_memory()
        self.world.accelerator.end_training()
