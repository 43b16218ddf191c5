"""How a run that has ended can be trained further."""

from __future__ import annotations

from tunesmith.runs.layout import RunLayout


def way_further(layout: RunLayout, step: int) -> str:
    """A sentence on how to train on from `step`, the run's last; empty where nothing was trained."""
    checkpoints = layout.checkpoints()
    if checkpoints and checkpoints[-1].step >= step and checkpoints[-1].holds_state:
        return "To train it further, raise num_train_epochs (or max_steps) and set resume_from_checkpoint: true."
    if not layout.holds_weights():
        return ""
    key = "adapter_name_or_path" if layout.adapter_config.is_file() else "model_name_or_path"
    return f"To train what it learned further, set {key}: {layout.root} and another output_dir."
