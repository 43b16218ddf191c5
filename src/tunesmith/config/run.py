"""The run directory of a job, and where its progress is reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tunesmith.config.section import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig(Section):
    """The run directory of a job, and where its progress is reported."""

    output_dir: str = ""
    """Folder of the run. Left out: `saves/<model>/<finetuning_type>/<stage and time>`."""
    overwrite_output_dir: bool = False
    """Replace an ended run that is in `output_dir` already; it is deleted when the new one has trained a step."""
    resume_from_checkpoint: str | bool | None = None
    """Go on from a checkpoint: its folder, or `true` for the last one in `output_dir`."""
    run_name: str | None = None
    """Name of the run in trackers and lists. Left out: the folder's."""
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow", "swanlab", "trackio"], ...] = ()
    """Trackers that follow the run; `none` is no tracker."""
    plot_loss: bool = False
    """Draw the loss curve as a PNG into the run."""
