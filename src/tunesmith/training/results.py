"""What a finished run leaves beside its weights: result files, the loss curve, the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tunesmith.config import Job
from tunesmith.config.load import to_flat
from tunesmith.runs.environment import versions
from tunesmith.runs.read import RunReader
from tunesmith.runs.run import Run
from tunesmith.training.card import Lineage, model_card
from tunesmith.training.checkpoints import Progress
from tunesmith.training.ground import Ground
from tunesmith.training.plot import plot_loss

_NOT_SETTINGS = {"model_name_or_path", "output_dir", "dataset", "dataset_dir"}


def leave_results(
    run: Run, job: Job, ground: Ground, progress: Progress, train: Mapping[str, float], evaluated: Mapping[str, float]
) -> None:
    """train: of the training, evaluated: of the weights that are kept (empty without an evaluation)."""
    trained = {"train_loss": progress.loss_sum / max(progress.step, 1), **train}
    for name, values in (("train", trained), ("eval", evaluated), ("all", {**trained, **evaluated})):
        if values:
            text = json.dumps(values, indent=4) + "\n"
            (run.path / f"{name}_results.json").write_text(text, encoding="utf-8")
    if job.run.plot_loss:
        plot_loss(RunReader(run.path), run.layout.loss_plot)
    lineage = Lineage(
        base=ground.located.name,
        repository=ground.located.repository,
        method=job.adapter.finetuning_type,
        stage=job.objective.stage,
        from_scratch=job.model.train_from_scratch,
        datasets=[Path(name).name for name in job.data.dataset],
        rows=ground.prepared.report.train_samples,
        trained_tokens=progress.trained,
        settings=_changed_settings(job),
        results={**trained, **evaluated},
        versions=versions(("tunesmith", "torch", "transformers", "peft")),
    )
    run.layout.model_card.write_text(model_card(run.path.resolve().name, lineage), encoding="utf-8")


def _changed_settings(job: Job) -> dict[str, object]:
    defaults = to_flat(Job())
    return {k: v for k, v in to_flat(job).items() if v != defaults.get(k) and k not in _NOT_SETTINGS}
