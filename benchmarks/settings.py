"""The one configuration that both tools are given, and where its data set is registered."""

import json
from pathlib import Path

import yaml

RANK = 8
BATCH = 4
INFO = "dataset_info.json"

TOKEN_SETTINGS = {
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "lora",
    "template": "qwen3_nothink",
    "preprocessing_num_workers": 1,
    "overwrite_cache": True,
    "use_cpu": True,
}

TRAIN_SETTINGS = {
    **TOKEN_SETTINGS,
    "cutoff_len": 512,
    "lora_rank": RANK,
    "lora_alpha": 16,
    "lora_dropout": 0.0,
    "lora_target": "all",
    "per_device_train_batch_size": BATCH,
    "gradient_accumulation_steps": 1,
    "learning_rate": 1.0e-4,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 4,
    "logging_steps": 1,
    "save_strategy": "no",
    "disable_shuffling": True,
    "seed": 42,
    "report_to": "none",
    "dataloader_num_workers": 0,
    "plot_loss": False,
    "bf16": True,
}

Extra = tuple[tuple[str, object], ...]
FP32: dict[str, Extra] = {"llamafactory": (("bf16", False),), "tunesmith": (("bf16", False), ("precision", "fp32"))}
NO_CHECKPOINTING: Extra = (("disable_gradient_checkpointing", True),)


def register(data: Path) -> None:
    """Write `dataset_info.json` for the alpaca files in the folder `data`, each under its name."""
    info = {path.stem: {"file_name": path.name} for path in sorted(data.glob("*.json")) if path.name != INFO}
    (data / INFO).write_text(json.dumps(info, indent=2), encoding="utf-8")


def token_settings(work: Path, dataset: str, *, cutoff: int, out: Path) -> dict[str, object]:
    """Settings of a preprocessing run."""
    return {**TOKEN_SETTINGS, "model_name_or_path": str(work / "q150m"), "dataset_dir": str(work / "data"),
            "dataset": dataset, "cutoff_len": cutoff, "output_dir": str(out)}  # fmt: skip


def train_settings(work: Path, *, steps: int, out: Path, **more: object) -> dict[str, object]:
    """Settings of a LoRA run that continues the shared adapter for `steps` steps on the first rows, in file order."""
    return {**TRAIN_SETTINGS, "model_name_or_path": str(work / "q150m"),
            "adapter_name_or_path": str(work / "q150m_adapter"), "dataset_dir": str(work / "data"),
            "dataset": "train_2k", "max_steps": steps, "output_dir": str(out),
            **more}  # fmt: skip


def write(path: Path, settings: dict[str, object]) -> Path:
    """Write settings as YAML (or JSON, by the path's ending)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(settings) if path.suffix == ".json" else yaml.safe_dump(settings, sort_keys=False)
    path.write_text(text, encoding="utf-8")
    return path
