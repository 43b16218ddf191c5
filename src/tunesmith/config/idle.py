"""Keys that do nothing beside others, as data: every harmless combination worth a word."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.config.job import Job, answers
from tunesmith.config.legacy import EVAL, TRAINING_VERBS
from tunesmith.config.rules import EXPORT_VERBS, Condition


@dataclass(frozen=True, slots=True)
class Idle:
    """Keys that do nothing where `when` holds: said, not refused, when somebody set them. verbs: the commands that it
    is said in."""

    keys: tuple[str, ...]
    when: Condition
    because: str
    verbs: frozenset[str] = TRAINING_VERBS


def _lora(job: Job) -> bool:
    return job.adapter.finetuning_type == "lora"


IDLE: tuple[Idle, ...] = (
    Idle(
        ("lora_rank", "lora_alpha", "lora_dropout", "lora_target", "additional_target", "create_new_adapter"),
        lambda job: not _lora(job),
        "finetuning_type is not lora",
    ),
    Idle(
        (
            "lora_rank",
            "lora_alpha",
            "lora_dropout",
            "lora_target",
            "additional_target",
            "use_rslora",
            "use_dora",
            "pissa_init",
        ),
        lambda job: _lora(job) and bool(job.adapter.adapter_name_or_path) and not job.adapter.create_new_adapter,
        "the adapter of adapter_name_or_path is trained further as it is; create_new_adapter: true makes a new one",
    ),
    Idle(
        ("freeze_trainable_layers", "freeze_trainable_modules", "freeze_extra_modules"),
        lambda job: job.adapter.finetuning_type != "freeze",
        "finetuning_type is not freeze",
    ),
    Idle(("pissa_iter",), lambda job: not job.adapter.pissa_init, "pissa_init is off"),
    Idle(("loraplus_lr_embedding",), lambda job: job.adapter.loraplus_lr_ratio is None, "loraplus_lr_ratio is not set"),
    Idle(
        ("quantization_type", "double_quantization"),
        lambda job: job.model.quantization_bit != 4,
        "quantization_bit is not 4",
    ),
    Idle(("num_train_epochs",), lambda job: job.training.max_steps > 0, "max_steps says when to end"),
    Idle(("warmup_ratio",), lambda job: job.optimizer.warmup_steps > 0, "warmup_steps is set too"),
    Idle(
        ("predict_with_generate", "predict_base"),
        lambda job: not job.evaluation.do_predict,
        "after a training the model answers only where do_predict asks for it",
    ),
    Idle(
        ("predict_base",),
        lambda job: not answers(job),
        "no answers are asked for (predict_with_generate)",
        frozenset({EVAL}),
    ),
    Idle(("eval_steps",), lambda job: job.training.eval_strategy != "steps", "eval_strategy is not steps"),
    Idle(("buffer_size",), lambda job: not job.data.streaming, "streaming is off"),
    Idle(
        ("export_quantization_dataset", "export_quantization_nsamples", "export_quantization_maxlen"),
        lambda job: job.export.export_quantization_bit is None and job.export.export_quantization_method == "auto",
        "no quantized safetensors are asked for (export_quantization_bit)",
        EXPORT_VERBS,
    ),
    Idle(
        ("export_quantization_dataset", "export_quantization_nsamples", "export_quantization_maxlen"),
        lambda job: job.export.export_quantization_method in ("fp8", "int8"),
        "export_quantization_method: fp8 and int8 are not calibrated",
        EXPORT_VERBS,
    ),
    Idle(
        ("export_ollama_base",),
        lambda job: not job.export.export_ollama or "gguf" in job.export.export_to or not job.export.export_to,
        "it is for an adapter alone in Ollama (export_to: gguf-adapter, export_ollama)",
        EXPORT_VERBS,
    ),
    Idle(
        ("overwrite_output_dir",),
        lambda job: job.run.overwrite_output_dir and bool(job.run.resume_from_checkpoint),
        "a resumed run is not cleared",
    ),
)
"""Combinations that LLaMA-Factory's users often write and that are harmless."""
