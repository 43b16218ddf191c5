"""What must hold between keys, as data (long, because one table is easier to check than several)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tunesmith.config.job import Job, answers, evaluates_alone
from tunesmith.config.legacy import EVAL, TRAINING_VERBS

Condition = Callable[[Job], bool]
DATA_VERBS = TRAINING_VERBS | {"data"}
EXPORT_VERBS = frozenset({"export"})
ANSWERING_VERBS = TRAINING_VERBS | {"chat", EVAL}
EVAL_VERBS = frozenset({EVAL})
_BITS = {"auto": (8, 4, 3, 2), "gptq": (8, 4, 3, 2), "awq": (4,), "fp8": (8,), "int8": (8,)}


@dataclass(frozen=True, slots=True)
class Rule:
    """Where `when` holds, `requires` must hold and `excludes` must not. verbs: the commands it matters to."""

    field: str
    when: Condition
    message: str
    hint: str
    requires: Condition | None = None
    excludes: Condition | None = None
    verbs: frozenset[str] = TRAINING_VERBS

    def broken(self, job: Job) -> bool:
        if not self.when(job):
            return False
        return (self.requires is not None and not self.requires(job)) or (
            self.excludes is not None and self.excludes(job)
        )


def _evaluates(job: Job) -> bool:
    return bool(job.data.eval_dataset) or job.data.val_size > 0 or job.data.tokenized_path is not None


def _lora(job: Job) -> bool:
    return job.adapter.finetuning_type == "lora"


def _quantized(job: Job) -> bool:
    return job.model.quantization_bit is not None


def _formats(job: Job) -> set[str]:
    """The number formats that were asked for, by `precision` and by the older switches."""
    switches = {"bf16": job.training.bf16, "fp16": job.training.fp16, "pure_bf16": job.training.pure_bf16}
    asked = {name for name, on in switches.items() if on} - ({"bf16"} if switches["pure_bf16"] else set())
    return asked | ({job.training.precision} - {"auto"})


def _writes(job: Job, form: str) -> bool:
    """Whether it is asked for, or nothing is, so that the other keys decide."""
    return not job.export.export_to or form in job.export.export_to


def _quantizes_safetensors(job: Job) -> bool:
    return job.export.export_quantization_bit is not None or job.export.export_quantization_method != "auto"


def _saves_when_it_evaluates(job: Job) -> bool:
    training = job.training
    if training.save_strategy == "best":
        return True
    if training.save_strategy != training.eval_strategy:
        return False
    return training.save_strategy != "steps" or training.save_steps % (training.eval_steps or training.save_steps) == 0


def _lora_only(field: str, when: Condition) -> Rule:
    return Rule(
        field,
        when,
        requires=_lora,
        message=f"{field} is a setting of LoRA, but finetuning_type is something else.",
        hint=f"Set finetuning_type: lora, or remove {field}.",
    )


MODEL_RULES: tuple[Rule, ...] = (
    Rule(
        "model_name_or_path",
        lambda job: not job.model.model_name_or_path,
        requires=lambda job: False,
        message="model_name_or_path is missing: there is no model to work with.",
        hint="Give a hub id such as Qwen/Qwen3-0.6B, a folder with a model, or a .gguf file.",
        verbs=ANSWERING_VERBS,
    ),
    Rule(
        "quantization_bit",
        _quantized,
        requires=lambda job: job.model.quantization_bit in (4, 8),
        message="quantization_bit must be 4 or 8.",
        hint="Set quantization_bit: 4.",
        verbs=ANSWERING_VERBS,
    ),
    Rule(
        "quantization_bit",
        _quantized,
        requires=_lora,
        message="A quantized model can't be trained itself, only an adapter on it.",
        hint="Set finetuning_type: lora, or remove quantization_bit.",
    ),
    Rule(
        "quantization_bit",
        _quantized,
        excludes=lambda job: job.model.resize_vocab or bool(job.model.add_tokens or job.model.add_special_tokens),
        message="The vocabulary of a quantized model can't grow (resize_vocab, add_tokens, add_special_tokens).",
        hint="Remove quantization_bit, or the keys about new tokens.",
    ),
    Rule(
        "quantization_bit",
        _quantized,
        excludes=lambda job: job.adapter.create_new_adapter or len(job.adapter.adapter_name_or_path) > 1,
        message="Adapters can't be merged into a quantized model.",
        hint="Give one adapter and no create_new_adapter, or remove quantization_bit.",
    ),
    Rule(
        "quantization_bit",
        _quantized,
        excludes=lambda job: job.adapter.pissa_init,
        message="pissa_init needs the full weights, which a quantized model doesn't have.",
        hint="Remove quantization_bit or pissa_init.",
    ),
    Rule(
        "quantization_bit",
        _quantized,
        excludes=lambda job: job.model.train_from_scratch,
        message="train_from_scratch starts from random weights: there is nothing to quantize.",
        hint="Remove quantization_bit or train_from_scratch.",
    ),
)

ADAPTER_RULES: tuple[Rule, ...] = (
    Rule(
        "adapter_name_or_path",
        lambda job: bool(job.adapter.adapter_name_or_path),
        requires=_lora,
        message="adapter_name_or_path names LoRA adapters, but finetuning_type is something else.",
        hint="Set finetuning_type: lora, or give a merged model as model_name_or_path.",
    ),
    Rule(
        "adapter_folder",
        lambda job: job.adapter.adapter_folder is not None,
        requires=lambda job: bool(job.adapter.adapter_name_or_path),
        message="adapter_folder is a folder inside an adapter, but adapter_name_or_path is missing.",
        hint="Give adapter_name_or_path too.",
        verbs=ANSWERING_VERBS,
    ),
    _lora_only("loraplus_lr_ratio", lambda job: job.adapter.loraplus_lr_ratio is not None),
    _lora_only("use_rslora", lambda job: job.adapter.use_rslora),
    _lora_only("use_dora", lambda job: job.adapter.use_dora),
    _lora_only("pissa_init", lambda job: job.adapter.pissa_init),
    Rule(
        "pissa_convert",
        lambda job: job.adapter.pissa_convert,
        requires=lambda job: job.adapter.pissa_init,
        message="pissa_convert converts an adapter that pissa_init made, but pissa_init is off.",
        hint="Set pissa_init: true, or remove pissa_convert.",
    ),
    Rule(
        "freeze_trainable_layers",
        lambda job: job.adapter.finetuning_type == "freeze",
        requires=lambda job: job.adapter.freeze_trainable_layers != 0 or bool(job.adapter.freeze_extra_modules),
        message="freeze_trainable_layers: 0 leaves nothing to train.",
        hint="Use 2 for the last two layers, or -2 for the first two.",
    ),
)

DATA_RULES: tuple[Rule, ...] = (
    Rule(
        "dataset",
        lambda job: not job.data.dataset,
        requires=lambda job: job.data.tokenized_path is not None,
        message="dataset is missing: there is nothing to train on.",
        hint="Give the path of a data file, or a name from dataset_info.json.",
    ),
    Rule(
        "val_size",
        lambda job: job.data.val_size > 0,
        excludes=lambda job: bool(job.data.eval_dataset),
        message="val_size and eval_dataset both say what to evaluate on.",
        hint="Keep one of them.",
        verbs=DATA_VERBS,
    ),
    Rule(
        "val_size",
        lambda job: job.data.val_size >= 1,
        requires=lambda job: job.data.val_size.is_integer(),
        message="val_size is neither a share below 1 nor a whole number of rows.",
        hint="Use 0.1 for a tenth, or 100 for a hundred rows.",
        verbs=DATA_VERBS,
    ),
    Rule(
        "interleave_probs",
        lambda job: bool(job.data.interleave_probs),
        requires=lambda job: job.data.mix_strategy != "concat",
        message="interleave_probs are for drawing from data sets in turn, but mix_strategy is concat.",
        hint="Set mix_strategy: interleave_under, or remove interleave_probs.",
        verbs=DATA_VERBS,
    ),
    Rule(
        "interleave_probs",
        lambda job: bool(job.data.interleave_probs),
        requires=lambda job: len(job.data.interleave_probs) == len(job.data.dataset),
        message="interleave_probs needs exactly one number for each data set in dataset.",
        hint="Give as many numbers as data sets.",
        verbs=DATA_VERBS,
    ),
    Rule(
        "interleave_probs",
        lambda job: bool(job.data.interleave_probs),
        requires=lambda job: sum(job.data.interleave_probs) > 0,
        message="interleave_probs are all 0.",
        hint="Give at least one data set a probability above 0.",
        verbs=DATA_VERBS,
    ),
    Rule(
        "max_steps",
        lambda job: job.data.streaming,
        requires=lambda job: job.training.max_steps > 0,
        message="streaming reads data without knowing its end, so max_steps must say when to stop.",
        hint="Set max_steps, for example max_steps: 1000, or streaming: false.",
    ),
    Rule(
        "val_size",
        lambda job: job.data.streaming and 0 < job.data.val_size < 1,
        requires=lambda job: False,
        message="streaming can't hold back a share of data whose size it doesn't know.",
        hint="Give val_size as a number of rows, for example val_size: 100.",
        verbs=DATA_VERBS,
    ),
    Rule(
        "max_samples",
        lambda job: job.data.streaming,
        excludes=lambda job: job.data.max_samples is not None,
        message="max_samples has no meaning with streaming.",
        hint="Limit the run by max_steps instead, or set streaming: false.",
        verbs=DATA_VERBS,
    ),
    Rule(
        "mask_history",
        lambda job: job.data.mask_history,
        excludes=lambda job: job.data.train_on_prompt,
        message="mask_history trains less than all answers, train_on_prompt more: they contradict each other.",
        hint="Keep one of them.",
        verbs=DATA_VERBS,
    ),
    Rule(
        "neat_packing",
        lambda job: job.data.neat_packing,
        excludes=lambda job: job.data.packing is False,
        message="neat_packing is a way of packing, but packing is off.",
        hint="Remove packing: false, or neat_packing.",
        verbs=DATA_VERBS,
    ),
    *(
        Rule(
            field,
            when,
            requires=lambda job: job.objective.stage == "sft",
            message=f"{field} is about conversations, but stage is pt (plain text).",
            hint=f"Set stage: sft, or remove {field}.",
            verbs=DATA_VERBS,
        )
        for field, when in (
            ("mask_history", lambda job: job.data.mask_history),
            ("train_on_prompt", lambda job: job.data.train_on_prompt),
            ("neat_packing", lambda job: job.data.neat_packing),
        )
    ),
)

TRAINING_RULES: tuple[Rule, ...] = (
    Rule(
        "precision",
        lambda job: len(_formats(job)) > 1,
        requires=lambda job: False,
        message="bf16, fp16, pure_bf16 and precision ask for different number formats.",
        hint="Keep one; precision: auto picks what the machine does best.",
    ),
    Rule(
        "eval_strategy",
        lambda job: job.training.eval_strategy != "no" or job.training.do_eval,
        requires=_evaluates,
        message="There is nothing to evaluate on, but eval_strategy or do_eval asks for it.",
        hint="Set val_size: 0.1 or eval_dataset, or eval_strategy: no.",
    ),
    Rule(
        "do_train",
        lambda job: job.training.do_train is False,
        requires=evaluates_alone,
        message="do_train is false, and neither do_eval nor do_predict asks for anything else.",
        hint="Set do_train: true, or do_eval: true to evaluate a model as it is.",
    ),
    Rule(
        "do_predict",
        lambda job: job.evaluation.do_predict,
        requires=_evaluates,
        message="There is nothing to answer, but do_predict asks for it.",
        hint="Set eval_dataset or val_size: 0.1, or do_predict: false.",
    ),
    Rule(
        "load_best_model_at_end",
        lambda job: job.training.load_best_model_at_end,
        requires=lambda job: job.training.eval_strategy != "no",
        message="load_best_model_at_end needs evaluations to tell what is best.",
        hint="Set eval_strategy: steps and val_size: 0.1.",
    ),
    Rule(
        "load_best_model_at_end",
        lambda job: job.training.load_best_model_at_end and job.training.eval_strategy != "no",
        requires=_saves_when_it_evaluates,
        message="load_best_model_at_end needs a checkpoint wherever an evaluation may be the best.",
        hint="Set save_strategy like eval_strategy, and save_steps to a multiple of eval_steps.",
    ),
    Rule(
        "save_strategy",
        lambda job: job.training.save_strategy == "best",
        requires=lambda job: job.training.eval_strategy != "no",
        message="save_strategy: best needs evaluations to tell what is best.",
        hint="Set eval_strategy: steps and val_size: 0.1.",
    ),
    Rule(
        "early_stopping_steps",
        lambda job: job.training.early_stopping_steps is not None,
        requires=lambda job: job.training.eval_strategy != "no",
        message="early_stopping_steps counts evaluations, but there are none.",
        hint="Set eval_strategy: steps and val_size: 0.1.",
    ),
    Rule(
        "lr_scheduler_type",
        lambda job: job.optimizer.lr_scheduler_type == "reduce_lr_on_plateau",
        requires=lambda job: job.training.eval_strategy != "no",
        message="lr_scheduler_type: reduce_lr_on_plateau follows the evaluations, but there are none.",
        hint="Set eval_strategy: steps and val_size: 0.1, or take another schedule such as cosine.",
    ),
    Rule(
        "resume_from_checkpoint",
        lambda job: job.run.resume_from_checkpoint is True,
        requires=lambda job: bool(job.run.output_dir),
        message="resume_from_checkpoint: true goes on in output_dir, but output_dir is missing.",
        hint="Give the run's folder as output_dir, or the checkpoint's folder as resume_from_checkpoint.",
    ),
)

EVALUATION_RULES: tuple[Rule, ...] = (
    Rule(
        "eval_dataset",
        lambda job: not _evaluates(job),
        requires=lambda job: False,
        message="There is nothing to evaluate on: eval_dataset is missing, and no rows were held back (val_size).",
        hint="Name a data set: tunesmith eval … --dataset NAME, or eval_dataset in the file.",
        verbs=EVAL_VERBS,
    ),
    Rule(
        "val_size",
        lambda job: job.data.val_size > 0 and not job.data.eval_dataset,
        requires=lambda job: bool(job.data.dataset) or job.data.tokenized_path is not None,
        message="val_size holds back rows of dataset, which is missing.",
        hint="Give the dataset that it was trained on, or eval_dataset instead of val_size.",
        verbs=EVAL_VERBS,
    ),
    Rule(
        "eval_dataset",
        lambda job: answers(job) and not job.data.eval_dataset,
        requires=lambda job: bool(job.data.dataset) and not job.data.streaming,
        message="Rows that were held back from a stream, or kept as tokens alone, can't be asked as questions.",
        hint="Name a data set: --dataset NAME, or evaluate the loss alone: --no-predict.",
        verbs=EVAL_VERBS,
    ),
    Rule(
        "predict_with_generate",
        answers,
        requires=lambda job: job.objective.stage == "sft",
        message="stage: pt is about plain text, which asks nothing that could be answered.",
        hint="Evaluate the loss alone: --no-predict, or predict_with_generate: false and do_predict: false.",
        verbs=EVAL_VERBS,
    ),
    Rule(
        "predict_base",
        lambda job: job.evaluation.predict_base and answers(job),
        requires=lambda job: bool(job.adapter.adapter_name_or_path),
        message="predict_base asks the model with its adapter off, and there is no adapter.",
        hint="Remove predict_base; evaluate the base model in a run of its own.",
        verbs=EVAL_VERBS,
    ),
)

EXPORT_RULES: tuple[Rule, ...] = (
    Rule(
        "export_quant",
        lambda job: bool(job.export.export_quant),
        requires=lambda job: _writes(job, "gguf"),
        message="export_quant says how GGUF files are quantized, but gguf is not in export_to.",
        hint="Add gguf to export_to; safetensors are quantized by export_quantization_bit.",
        verbs=EXPORT_VERBS,
    ),
    Rule(
        "export_ollama",
        lambda job: job.export.export_ollama is not None,
        requires=lambda job: _writes(job, "gguf") or _writes(job, "gguf-adapter"),
        message="export_ollama needs a GGUF file, but gguf is not in export_to.",
        hint="Add gguf to export_to; or gguf-adapter, with export_ollama_base for the model that it goes on top of.",
        verbs=EXPORT_VERBS,
    ),
    Rule(
        "export_quantization_bit",
        lambda job: job.export.export_quantization_bit is not None,
        requires=lambda job: job.export.export_quantization_bit in _BITS[job.export.export_quantization_method],
        message="export_quantization_bit is not a number that the method does: GPTQ has 8, 4, 3 or 2 bits, AWQ 4, fp8 "
        "and int8 have 8.",
        hint="Change it, or set export_quantization_method.",
        verbs=EXPORT_VERBS,
    ),
    Rule(
        "export_quantization_bit",
        _quantizes_safetensors,
        excludes=lambda job: (
            bool(job.export.export_quant or job.export.export_ollama)
            if not job.export.export_to
            else not _writes(job, "safetensors")
        ),
        message="Quantized safetensors are asked for, but safetensors are not in export_to.",
        hint="Add safetensors to export_to; GGUF files are quantized by export_quant.",
        verbs=EXPORT_VERBS,
    ),
    Rule(
        "export_legacy_format",
        lambda job: job.export.export_legacy_format,
        excludes=_quantizes_safetensors,
        message="export_legacy_format writes .bin files, and quantized weights are safetensors only.",
        hint="Remove export_legacy_format, or export_quantization_bit.",
        verbs=EXPORT_VERBS,
    ),
    Rule(
        "export_quantization_dataset",
        lambda job: _quantizes_safetensors(job) and job.export.export_quantization_method not in ("fp8", "int8"),
        requires=lambda job: bool(
            job.export.export_quantization_dataset
            or (job.data.dataset and not job.data.streaming)
            or job.data.tokenized_path
        ),
        message="GPTQ and AWQ look at how the model reads real text, and none is named.",
        hint="Set dataset to what it was trained on, or export_quantization_dataset to a text file.",
        verbs=EXPORT_VERBS,
    ),
)

RULES: tuple[Rule, ...] = MODEL_RULES + ADAPTER_RULES + DATA_RULES + TRAINING_RULES + EVALUATION_RULES + EXPORT_RULES
