"""The table of LLaMA-Factory's keys that are no field here, and of values of fields that it knows and we refuse."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tunesmith.config.legacy import EVAL, TRAINING_VERBS, Legacy, Noted, Refused, Renamed
from tunesmith.config.legacy_trainer import TRAINER_KEYS

NOT_YET = "not in this version"
CHAT = frozenset({"chat"})
DATA = TRAINING_VERBS | {"data"}


def _each(keys: str, entry: Legacy) -> dict[str, Legacy]:
    return dict.fromkeys(keys.split(), entry)


def _settings_of(switch: str, keys: str) -> dict[str, Legacy]:
    """Settings that mean nothing while the thing they belong to is refused."""
    return _each(keys, Noted(f"no effect; part of {switch}."))


MODEL_KEYS: dict[str, Legacy] = {
    "use_fast_tokenizer": Noted("the fast tokenizer is always used.", (True,)),
    "low_cpu_mem_usage": Noted("models are always loaded tensor by tensor.", (True,)),
    "disable_gradient_checkpointing": Renamed("gradient_checkpointing", {True: False, False: "auto"}),
    "use_reentrant_gc": Noted(
        "gradient checkpointing is always of the non-reentrant kind, with the same result.", (False,)
    ),
    "use_unsloth": Refused("Unsloth's kernels are not used; padding-free training is built in."),
    "use_unsloth_gc": Refused("Unsloth is not used; `gradient_checkpointing: true` saves memory."),
    "enable_liger_kernel": Refused("Liger kernels are not used; the loss is computed in chunks without them."),
    "use_v1_kernels": Refused("there are no separate kernels to switch on."),
    "shift_attn": Refused(
        "LongLoRA's shifted attention no longer works with today's transformers; use `rope_scaling`."
    ),
    "mixture_of_depths": Refused(f"mixture of depths is {NOT_YET}.", ()),
    "moe_aux_loss_coef": Refused(f"the router loss of mixture-of-experts models is {NOT_YET}.", (0,)),
    "new_special_tokens_config": Refused(
        "tokens with descriptions are not in this version; use `add_special_tokens`.", ()
    ),
    "init_special_tokens": Refused("new tokens start at the mean of the old ones.", ("noise_init",)),
    "infer_backend": Refused("answers come from an engine of our own.", ("huggingface", "hf"), CHAT | {EVAL}),
    "offload_folder": Noted("nothing is offloaded to disk.", ("offload",)),
    "use_kv_cache": Noted("chat always uses the key-value cache, training never.", (True,)),
    "print_param_status": Noted("what is trained is shown before the first step and in the run.", (False,)),
    "om_hub_token": Refused(
        "the Openmind hub is not supported; use a local folder, the Hugging Face hub or ModelScope.", ()
    ),
    "upcast_lmhead_output": Noted("the loss always reads logits in float32.", (False,)),
    "quantization_method": Refused("only bitsandbytes quantizes while loading.", ("bnb",), TRAINING_VERBS | CHAT),
    "quantization_device_map": Noted("the device of a quantized model is chosen by itself."),
    **_each(
        "image_max_pixels image_min_pixels image_do_pan_and_scan crop_to_patches video_max_pixels video_min_pixels"
        " video_fps video_maxlen use_audio_in_video audio_sampling_rate",
        Noted("no effect: this version trains on text only.", (False,)),
    ),
    **_settings_of(
        "the vLLM engine, which is not used",
        "vllm_maxlen vllm_gpu_util vllm_enforce_eager vllm_max_lora_rank vllm_config",
    ),
    **_settings_of(
        "the SGLang engine, which is not used",
        "sglang_maxlen sglang_mem_fraction sglang_tp_size sglang_config sglang_lora_backend",
    ),
    "use_kt": Refused("KTransformers is not used; try `quantization_bit: 4` to save memory."),
    **_settings_of(
        "use_kt, which is refused",
        "kt_cpu_activation kt_weight_path kt_non_expert_weight_path kt_expert_checkpoint_path kt_use_lora_experts"
        " kt_lora_expert_num kt_lora_expert_intermediate_size kt_config",
    ),
}

DATA_KEYS: dict[str, Legacy] = {
    "media_dir": Noted("no effect: this version trains on text only."),
    "preprocessing_num_workers": Noted("rows are tokenized in batches, without worker processes."),
    "eval_num_beams": Noted("no effect; answers are not found by beam search.", (1,)),
    "ignore_pad_token_for_loss": Noted("there is no padding, so padding is never trained.", (True,)),
    "data_shared_file_system": Noted("one process prepares the data and the others read its cache.", (False,)),
}

FINETUNING_KEYS: dict[str, Legacy] = {
    "use_llama_pro": Refused(f"LLaMA Pro is {NOT_YET}; `freeze_trainable_layers` trains the last layers."),
    "use_adam_mini": Refused(f"Adam-mini is {NOT_YET}; `optim: adamw_8bit` saves optimizer memory."),
    "use_muon": Refused(f"Muon is {NOT_YET}; use `optim: adamw_torch_fused`."),
    "use_dft_loss": Refused(f"the DFT loss is {NOT_YET}; without it the usual cross-entropy is used."),
    "use_asft_loss": Refused(f"the ASFT loss is {NOT_YET}; without it the usual cross-entropy is used."),
    "use_eaft_loss": Refused(f"the EAFT loss is {NOT_YET}; without it the usual cross-entropy is used."),
    **_settings_of("use_asft_loss, which is refused", "asft_alpha"),
    **_settings_of("use_eaft_loss, which is refused", "eaft_alpha"),
    **_each(
        "freeze_vision_tower freeze_multi_modal_projector freeze_language_model",
        Noted("no effect: this version trains on text only.", (False,)),
    ),
    "compute_accuracy": Noted("the accuracy of tokens is always part of an evaluation.", (False,)),
    "include_effective_tokens_per_second": Noted("tokens per second are always reported.", (False,)),
    "use_mca": Refused("Megatron is not used; several GPUs train together without it, each with the whole model."),
    "use_megatron_bridge": Refused(
        "Megatron is not used; several GPUs train together without it, each with the whole model."
    ),
    "use_hyper_parallel": Refused(
        "HyperParallel is not used; several GPUs train together without it, each with the whole model."
    ),
    **_settings_of("use_hyper_parallel, which is refused", "hyper_parallel_args hyper_parallel_cp_size"),
    **_settings_of("`finetuning_type: oft`, which is refused", "oft_rank oft_block_size module_dropout oft_target"),
    **_settings_of(
        "preference training, which is not in this version",
        "pref_beta pref_ftx pref_bco_weight pref_loss dpo_label_smoothing simpo_gamma ld_alpha kto_chosen_weight"
        " kto_rejected_weight ppo_buffer_size ppo_epochs ppo_score_norm ppo_target ppo_whiten_rewards ref_model"
        " ref_model_adapters ref_model_quantization_bit reward_model reward_model_adapters"
        " reward_model_quantization_bit reward_model_type",
    ),
    "use_galore": Refused(f"GaLore is {NOT_YET}; `finetuning_type: lora` trains in less memory."),
    **_settings_of(
        "use_galore, which is refused",
        "galore_target galore_rank galore_update_interval galore_scale galore_proj_type galore_layerwise",
    ),
    "use_apollo": Refused(f"APOLLO is {NOT_YET}; `finetuning_type: lora` trains in less memory."),
    **_settings_of(
        "use_apollo, which is refused",
        "apollo_target apollo_rank apollo_update_interval apollo_scale apollo_proj apollo_proj_type apollo_scale_type"
        " apollo_layerwise apollo_scale_front",
    ),
    "use_badam": Refused(f"BAdam is {NOT_YET}; `finetuning_type: lora` trains in less memory."),
    **_settings_of(
        "use_badam, which is refused",
        "badam_mode badam_start_block badam_switch_mode badam_switch_interval badam_update_ratio badam_mask_mode"
        " badam_verbose",
    ),
    "use_swanlab": Refused("name the tracker instead: `report_to: swanlab`."),
    **_settings_of(
        "use_swanlab, which is refused; with `report_to: swanlab` set it by SwanLab's own environment variables",
        "swanlab_project swanlab_workspace swanlab_run_name swanlab_mode swanlab_api_key swanlab_logdir"
        " swanlab_lark_webhook_url swanlab_lark_secret",
    ),
}

GENERATION_KEYS: dict[str, Legacy] = {
    "num_beams": Refused("answers are not found by beam search.", (1,), CHAT | {EVAL}),
    "length_penalty": Noted("no effect; part of beam search.", (1.0,)),
    "max_length": Noted("no effect; `max_new_tokens` limits the answer."),
}

BACKEND_KEYS: dict[str, Legacy] = {
    **_settings_of(
        "Ray, which is not used; start one process per node with NNODES and NODE_RANK",
        "ray_num_workers ray_init_kwargs master_addr master_port",
    ),
    "use_ray": Refused("Ray is not used; start one process per node with NNODES and NODE_RANK."),
    "enable_torch_profiler": Refused(f"the profiler is {NOT_YET}; time and tokens per second are in the run."),
    **_settings_of(
        "enable_torch_profiler, which is refused",
        "profiler_output_dir profiler_wait_steps profiler_warmup_steps profiler_active_steps profiler_repeat"
        " profiler_record_shapes profiler_profile_memory profiler_with_stack profile_modules",
    ),
    "fp8": Refused(f"FP8 training is {NOT_YET}; use `precision: bf16`."),
    **_settings_of("fp8, which is refused", "fp8_backend fp8_enable_fsdp_float8_all_gather"),
    **_settings_of(
        "benchmarks such as MMLU, which are not in this version",
        "task_dir lang n_shot save_dir download_mode",
    ),
    "task": Refused(
        "benchmarks such as MMLU are not in this version; `tunesmith eval MODEL --dataset NAME` evaluates on a data set"
        " of yours.",
        (),
        frozenset({EVAL}),
    ),
    "batch_size": Noted("no effect; `per_device_train_batch_size` is how many rows go through the model at once."),
    **_each(
        "tensor_model_parallel_size pipeline_model_parallel_size expert_model_parallel_size context_parallel_size",
        Refused(
            "Megatron is not used; several GPUs train together without it, each with the whole model.",
            (1,),
        ),
    ),
    **_settings_of(
        "Megatron, which is not used",
        "virtual_pipeline_model_parallel_size sequence_parallel recompute_granularity recompute_method"
        " recompute_num_layers account_for_embedding_in_pipeline_split account_for_loss_in_pipeline_split"
        " bias_activation_fusion apply_rope_fusion masked_softmax_fusion cross_entropy_loss_fusion moe_grouped_gemm"
        " moe_token_dispatcher_type calculate_per_token_loss use_distributed_optimizer overlap_param_gather"
        " overlap_grad_reduce use_packed_sequences mixed_precision megatron_pretrained_checkpoint"
        " export_hf_on_finish extra_config",
    ),
}

LEGACY: Mapping[str, Legacy] = MappingProxyType(
    {**TRAINER_KEYS, **MODEL_KEYS, **DATA_KEYS, **FINETUNING_KEYS, **GENERATION_KEYS, **BACKEND_KEYS}
)
"""Every key of LLaMA-Factory and of transformers' training arguments that is no field."""

_PREFERENCE = Refused("preference training is not in this version; stages here are `sft` and `pt`.", (), DATA)
_OPTIMIZER = Refused("this optimizer is not in this version; `adamw_torch_fused` and `adamw_8bit` are the nearest.", ())
_TRACKER = Refused("this tracker is not supported; trackers are tensorboard, wandb, mlflow, swanlab and trackio.", ())


def _words(words: str, entry: Refused) -> Mapping[str, Refused]:
    return dict.fromkeys(words.split(), entry)


REFUSED_VALUES: Mapping[str, Mapping[str, Refused]] = MappingProxyType(
    {
        "stage": _words("rm ppo dpo kto", _PREFERENCE),
        "finetuning_type": _words("oft", Refused(f"OFT is {NOT_YET}; use `finetuning_type: lora`.", ())),
        "lr_scheduler_type": _words("greedy", Refused(f"it is {NOT_YET}; `reduce_lr_on_plateau` is near.", ())),
        "report_to": _words("all azure_ml clearml codecarbon comet_ml dagshub dvclive flyte neptune", _TRACKER),
        "optim": _words(
            "adamw_torch_xla adamw_torch_npu_fused adamw_apex_fused adamw_anyprecision adamw_torch_4bit"
            " adamw_torch_8bit ademamix ademamix_8bit lion_8bit lion_32bit"
            " paged_ademamix_32bit paged_ademamix_8bit paged_lion_32bit paged_lion_8bit rmsprop_bnb"
            " rmsprop_bnb_8bit rmsprop_bnb_32bit galore_adamw galore_adamw_8bit galore_adafactor"
            " galore_adamw_layerwise galore_adamw_8bit_layerwise galore_adafactor_layerwise lomo adalomo grokadamw"
            " schedule_free_radam schedule_free_adamw schedule_free_sgd apollo_adamw apollo_adamw_layerwise"
            " stable_adamw",
            _OPTIMIZER,
        ),
    }
)
"""Values of fields that LLaMA-Factory knows and that are refused: key → value → why."""
