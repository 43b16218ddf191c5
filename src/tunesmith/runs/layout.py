"""The names in a run directory; no other module knows them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

# What a training run leaves besides its records: weights, tokenizer, model card, summaries. A directory that holds any
# of these is in use, so a run can never be started over the folder of a base model.
OUTPUT_PATTERNS = (
    "README.md",
    "adapter_config.json",
    "adapter_model*.safetensors*",
    "config.json",
    "generation_config.json",
    "model*.safetensors*",
    "pytorch_model*.bin*",
    "*.gguf",
    "chat_template.jinja",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "training_loss.png",
    "training_*.png",
    "*_results.json",
    "generated_predictions.jsonl",
    "trainer_state.json",
    "training_args.bin",
)
WEIGHTS = ("adapter_model*.safetensors*", "model*.safetensors*", "pytorch_model*.bin*", "*.gguf")
RECORD_NAMES = (
    "config.yaml",
    "resolved.yaml",
    "env.json",
    "state.json",
    "metrics.jsonl",
    "events.jsonl",
    "samples.jsonl",
    "refused.jsonl",
    "trainer_log.jsonl",
    "stop",
    "logs",
    "tags.json",
)
TRAINING_STATE = "training_state.safetensors"
"""What a checkpoint needs beside its weights for training to go on from it."""
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True, slots=True, order=True)
class Checkpoint:
    """A checkpoint whose marker was written, so everything in it is whole."""

    step: int
    path: Path

    @property
    def holds_state(self) -> bool:
        """Whether training can go on from it; with save_only_model it holds weights alone."""
        return (self.path / TRAINING_STATE).is_file()


@dataclass(frozen=True, slots=True)
class RunLayout:
    """Where the parts of the run in `root` lie."""

    root: Path

    @property
    def asked(self) -> Path:
        """The configuration as the user wrote it."""
        return self.root / "config.yaml"

    @property
    def resolved(self) -> Path:
        """The configuration as it ran; training with this file repeats the run."""
        return self.root / "resolved.yaml"

    @property
    def environment(self) -> Path:
        return self.root / "env.json"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.jsonl"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def samples(self) -> Path:
        return self.root / "samples.jsonl"

    @property
    def refused(self) -> Path:
        """Data rows that could not be used, one per line with file, line and reason."""
        return self.root / "refused.jsonl"

    @property
    def trainer_log(self) -> Path:
        """The progress in LLaMA-Factory's keys, which its users' tools read."""
        return self.root / "trainer_log.jsonl"

    @property
    def stop(self) -> Path:
        """A file that asks the run to save and end."""
        return self.root / "stop"

    @property
    def tags(self) -> Path:
        """Words that people gave the run to find it by."""
        return self.root / "tags.json"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def previous(self) -> Path:
        """A whole run that the present one replaces once it has trained a step."""
        return self.root / ".previous"

    @property
    def moving(self) -> Path:
        """Files of the run on their way out of its directory or back."""
        return self.root / ".moving"

    def attempt_log(self, attempt: int) -> Path:
        return self.logs / f"attempt_{attempt}.log"

    def last_attempt(self) -> int:
        """The highest attempt that has a log, 0 when none has."""
        numbers = [int(path.stem.rpartition("_")[2]) for path in self.logs.glob("attempt_*.log")]
        return max(numbers, default=0)

    @property
    def launch_log(self) -> Path:
        """What a detached process printed."""
        return self.logs / "launch.log"

    @property
    def journal(self) -> Path:
        """The answers that a job of asking a model has received. They cost money, so no new run ever clears them."""
        return self.root / "journal.sqlite"

    @property
    def decisions(self) -> Path:
        """What a person decided about the rows that came of the answers; kept as they are."""
        return self.root / "decisions.jsonl"

    @property
    def report(self) -> Path:
        """What a job of asking a model came to."""
        return self.root / "report.json"

    @property
    def predictions(self) -> Path:
        """The answers of an evaluation, one per line with its scores, in LLaMA-Factory's name and keys."""
        return self.root / "generated_predictions.jsonl"

    def results(self, kind: str) -> Path:
        """What a `train`, `eval` or `predict` came to, in LLaMA-Factory's names; `all` holds all of it."""
        return self.root / f"{kind}_results.json"

    @property
    def loss_plot(self) -> Path:
        return self.root / "training_loss.png"

    @property
    def adapter_config(self) -> Path:
        return self.root / "adapter_config.json"

    @property
    def model_card(self) -> Path:
        return self.root / "README.md"

    def checkpoint(self, step: int) -> Path:
        return self.root / f"checkpoint-{step}"

    def checkpoints(self) -> list[Checkpoint]:
        """The complete checkpoints, lowest step first."""
        if not self.root.is_dir():
            return []
        found = []
        for path in self.root.iterdir():
            name = _CHECKPOINT.fullmatch(path.name)
            if name and is_complete(path):
                found.append(Checkpoint(int(name[1]), path))
        return sorted(found)

    def holds_weights(self) -> bool:
        """Whether there is anything trained in the directory: a complete checkpoint, an adapter or a model."""
        return bool(self.checkpoints()) or any(path.match(name) for path in self.own_files() for name in WEIGHTS)

    def only_launched(self) -> bool:
        """Whether there is nothing yet but the words of the process that is to begin the run."""
        return self.own_files() == [self.logs] and list(self.logs.iterdir()) == [self.launch_log]

    def own_files(self) -> list[Path]:
        """Everything in the directory that a run writes; files of anyone else are not among them."""
        if not self.root.is_dir():
            return []
        return sorted(path for path in self.root.iterdir() if _is_own(path))


def complete_marker(checkpoint: Path) -> Path:
    """The file written last into a checkpoint."""
    return checkpoint / "COMPLETE"


def is_complete(checkpoint: Path) -> bool:
    return complete_marker(checkpoint).is_file()


def is_run(path: Path) -> bool:
    return os.path.isfile(path / "state.json")  # Path.is_file fails where a folder may not be entered


def _is_own(path: Path) -> bool:
    half_written = path.name.startswith(".") and path.name.endswith(".part")
    if path.name in RECORD_NAMES or _CHECKPOINT.fullmatch(path.name) or half_written:
        return True
    return any(path.match(pattern) for pattern in OUTPUT_PATTERNS)
