"""The keys of transformers' training arguments, of releases 4.55 to 5, that are no field here."""

from __future__ import annotations

from tunesmith.config.legacy import Legacy, Noted, Refused, Renamed

_LOADER = Noted("batches are made from memory-mapped tokens, without loader processes.", (0, False))
_DEVICE = Noted("the device is found by itself; `use_cpu: true` leaves the GPU alone.", (False,))
_GROUPED = Noted("rows are not padded, so sorting them by length would gain nothing.", (False,))
_PUSH = Noted("no effect; part of push_to_hub.", (False, "every_save"))
_LAUNCH = Noted("processes are set up by `tunesmith train` itself.")
_SHARDING = Refused(
    "sharding a model over GPUs is not in this version; several GPUs train together without it, each with the whole"
    " model. To save memory: `finetuning_type: lora`, `quantization_bit: 4`.",
    ([],),
)
_METRICS = Noted("evaluation keeps sums, so its memory doesn't grow.", (False,))
_HALF = Noted("`precision` alone decides about number formats.", ("auto", "O1", False))

RUNNING: dict[str, Legacy] = {
    "generation_max_length": Noted("no effect; `max_new_tokens` limits an answer."),
    "generation_num_beams": Noted("no effect; answers are not found by beam search.", (1,)),
    "generation_config": Noted("no effect; answers are drawn as `temperature`, `top_p` and the like say."),
    "sortish_sampler": _GROUPED,
    "group_by_length": _GROUPED,
    "length_column_name": _GROUPED,
    "train_sampling_strategy": Refused(
        "order is shuffled, or with `disable_shuffling: true` the file's; lengths don't matter without padding.",
        ("random",),
    ),
    "auto_find_batch_size": Refused("`tunesmith plan` says what fits; set `per_device_train_batch_size` by it."),
    "full_determinism": Refused("it is not in this version; equal seeds give equal runs on a CPU."),
    "ignore_data_skip": Refused("a resumed run always goes on at the right place in the data."),
    "restore_callback_states_from_checkpoint": Noted("a checkpoint always restores everything.", (False,)),
    "average_tokens_across_devices": Noted("the loss is always divided by the tokens of all devices.", (True,)),
    "label_smoothing_factor": Refused("label smoothing is not in this version.", (0,)),
    "torch_empty_cache_steps": Noted("memory is not emptied between steps."),
    "label_names": Noted("data sets know their own columns."),
    "remove_unused_columns": Noted("columns that aren't needed are never read.", (True,)),
    "past_index": Refused("no model needs it.", (-1,)),
    "use_legacy_prediction_loop": Noted("there is one evaluation loop.", (False,)),
    "use_cache": Noted("training never uses the key-value cache.", (False,)),
    "per_gpu_train_batch_size": Renamed("per_device_train_batch_size"),
    "per_gpu_eval_batch_size": Renamed("per_device_eval_batch_size"),
    "optim_args": Refused("optimizers take their settings from keys such as `adam_beta1`.", ()),
    "optim_target_modules": Refused("it belongs to GaLore and APOLLO, which are not in this version.", ()),
    "adafactor": Refused("name the optimizer instead: `optim: adafactor`."),
}

COMPUTING: dict[str, Legacy] = {
    "no_cuda": Renamed("use_cpu"),
    "use_mps_device": _DEVICE,
    "use_ipex": Noted("PyTorch's own CPU kernels are used.", (False,)),
    "jit_mode_eval": Noted("models are not traced.", (False,)),
    "fp16_opt_level": _HALF,
    "half_precision_backend": _HALF,
    "fp16_backend": _HALF,
    "bf16_full_eval": _HALF,
    "fp16_full_eval": _HALF,
    "tf32": Noted("PyTorch's own setting is kept."),
    "torch_compile": Refused("torch.compile is not in this version."),
    "torch_compile_backend": Refused("torch.compile is not in this version.", ()),
    "torch_compile_mode": Refused("torch.compile is not in this version.", ()),
    "torchdynamo": Refused("torch.compile is not in this version.", ()),
    "use_liger_kernel": Refused("Liger kernels are not used; the loss is computed in chunks without them."),
    "liger_kernel_config": Noted("no effect; part of use_liger_kernel."),
    "activation_checkpointing": Renamed("gradient_checkpointing"),
    "activation_checkpointing_kwargs": Noted("gradient checkpointing is always of the non-reentrant kind."),
    "gradient_checkpointing_kwargs": Noted("gradient checkpointing is always of the non-reentrant kind."),
    "tpu_num_cores": Refused("TPUs are not supported.", ()),
    "tpu_metrics_debug": Refused("TPUs are not supported."),
    "debug": Refused("there are no debug modes of this kind; `tunesmith runs show` has the run's events.", ([],)),
    "mp_parameters": Refused("SageMaker's model parallelism is not supported.", ()),
}

LOADING: dict[str, Legacy] = {
    "dataloader_drop_last": Refused("every row is trained; the last step of an epoch may be smaller."),
    "dataloader_num_workers": _LOADER,
    "dataloader_pin_memory": Noted("batches are a few integers, too small for pinned memory to matter.", (True,)),
    "dataloader_persistent_workers": _LOADER,
    "dataloader_prefetch_factor": _LOADER,
    "dataloader_multiprocessing_context": _LOADER,
    "dataloader_in_order": Noted("batches always come in order.", (True,)),
}

REPORTING: dict[str, Legacy] = {
    "logging_strategy": Noted("the loss is reported every `logging_steps`.", ("steps",)),
    "logging_dir": Noted("trackers write into the run directory."),
    "log_on_each_node": Noted("the first process alone reports.", (True,)),
    "logging_nan_inf_filter": Noted("a loss that is not a number ends the run with checkpoints intact.", (True,)),
    "include_num_input_tokens_seen": Noted("tokens seen are always counted.", (False, "no")),
    "include_tokens_per_second": Noted("tokens per second are always reported.", (False,)),
    "log_level": Noted("no effect; the run's log holds everything.", ("passive",)),
    "log_level_replica": Noted("no effect; the run's log holds everything.", ("warning",)),
    "disable_tqdm": Noted("progress is drawn on a terminal and printed as lines elsewhere."),
    "skip_memory_metrics": Noted("memory is always measured.", (True,)),
    "project": Noted("the tracker's own environment variable names the project.", ("huggingface",)),
    "trackio_space_id": Noted("set it by Trackio's own environment variable.", ("trackio",)),
    "trackio_bucket_id": Noted("set it by Trackio's own environment variable."),
    "trackio_static_space_id": Noted("set it by Trackio's own environment variable.", (False,)),
}

EVALUATING: dict[str, Legacy] = {
    "evaluation_strategy": Renamed("eval_strategy"),
    "eval_on_start": Refused("it is not in this version; `do_eval: true` evaluates at the end."),
    "eval_delay": Refused("it is not in this version.", (0,)),
    "prediction_loss_only": _METRICS,
    "eval_do_concat_batches": Noted("evaluation keeps sums, so its memory doesn't grow.", (True,)),
    "eval_use_gather_object": _METRICS,
    "eval_accumulation_steps": _METRICS,
    "include_for_metrics": Noted("evaluation reports loss, perplexity and accuracy of tokens.", ([],)),
    "include_inputs_for_metrics": _METRICS,
    "batch_eval_metrics": _METRICS,
}

SAVING: dict[str, Legacy] = {
    "save_safetensors": Refused("weights are saved as safetensors only.", (True,)),
    "save_on_each_node": Noted("the first process alone saves.", (False,)),
    "enable_jit_checkpoint": Noted("from the first step on, Ctrl-C and SIGTERM save before they stop.", (False,)),
    "push_to_hub": Refused("uploading is not in this version; use `hf upload` on the run's folder."),
    "hub_model_id": _PUSH,
    "hub_strategy": _PUSH,
    "hub_token": _PUSH,
    "hub_private_repo": _PUSH,
    "hub_always_push": _PUSH,
    "hub_revision": _PUSH,
    "push_to_hub_model_id": _PUSH,
    "push_to_hub_organization": _PUSH,
    "push_to_hub_token": _PUSH,
}

SEVERAL_DEVICES: dict[str, Legacy] = {
    "local_rank": _LAUNCH,
    "ddp_backend": _LAUNCH,
    "ddp_find_unused_parameters": _LAUNCH,
    "ddp_bucket_cap_mb": _LAUNCH,
    "ddp_broadcast_buffers": _LAUNCH,
    "ddp_static_graph": _LAUNCH,
    "accelerator_config": _LAUNCH,
    "deepspeed": _SHARDING,
    "parallelism_config": _SHARDING,
    "fsdp": _SHARDING,
    "fsdp_config": Noted("no effect; part of fsdp."),
    "fsdp_min_num_params": Noted("no effect; part of fsdp.", (0,)),
    "fsdp_transformer_layer_cls_to_wrap": Noted("no effect; part of fsdp."),
    "ray_scope": Noted("there is no search over settings.", ("last",)),
}

TRAINER_KEYS: dict[str, Legacy] = {
    **RUNNING,
    **COMPUTING,
    **LOADING,
    **REPORTING,
    **EVALUATING,
    **SAVING,
    **SEVERAL_DEVICES,
}
