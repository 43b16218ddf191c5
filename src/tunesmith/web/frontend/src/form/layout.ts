// Where LLaMA Board's users look for a setting. A setting that is named nowhere here stands in Advanced, by section.
import type { FieldSpec, Texts } from "./schema";

export type GroupName = "model" | "main" | "extra" | "freeze" | "lora" | "preference" | "output" | "quantized" | "merge" | "making" | "evaluated" | "answers";
export interface Group { name: GroupName; keys: string[]; open: boolean; shown?: (texts: Texts) => boolean }

const method = (texts: Texts) => texts["finetuning_type"] ?? "lora";
const stage = (texts: Texts) => texts["stage"] ?? "sft";

export const TRAIN: Group[] = [
  { name: "model", open: true, keys: ["model_name_or_path", "hub_name", "finetuning_type", "adapter_name_or_path", "quantization_bit", "quantization_method", "template", "rope_scaling", "flash_attn"] },
  {
    name: "main", open: true,
    keys: [
      "stage", "dataset_dir", "dataset", "learning_rate", "num_train_epochs", "max_grad_norm", "max_samples", "precision", "cutoff_len",
      "per_device_train_batch_size", "gradient_accumulation_steps", "val_size", "lr_scheduler_type",
    ],
  },
  { name: "output", open: true, keys: ["output_dir", "run_name"] },
  { name: "lora", open: false, shown: (texts) => method(texts) === "lora", keys: ["lora_rank", "lora_alpha", "lora_dropout", "loraplus_lr_ratio", "create_new_adapter", "use_rslora", "use_dora", "pissa_init", "lora_target", "additional_target"] },
  { name: "freeze", open: true, shown: (texts) => method(texts) === "freeze", keys: ["freeze_trainable_layers", "freeze_trainable_modules", "freeze_extra_modules"] },
  { name: "preference", open: true, shown: (texts) => ["dpo", "kto", "ppo", "grpo", "rm"].includes(stage(texts)), keys: ["pref_beta", "pref_ftx", "pref_loss", "kto_chosen_weight", "kto_rejected_weight", "simpo_gamma", "reward_model", "ppo_score_norm", "ppo_whiten_rewards", "ref_model"] },
  {
    name: "extra", open: false,
    keys: [
      "logging_steps", "save_steps", "warmup_steps", "neftune_noise_alpha", "eval_strategy", "eval_steps", "packing", "neat_packing",
      "train_on_prompt", "mask_history", "resize_vocab", "enable_thinking", "seed", "report_to", "plot_loss",
    ],
  },
];

/** Settings of each verb, by section of the config. */
const SECTIONS: Record<string, string[]> = {
  train: ["model", "adapter", "data", "objective", "optimizer", "training", "run"],
  export: ["export", "model", "adapter", "data"],
  eval: ["model", "data", "evaluation", "generation", "training", "run"],
  chat: ["generation", "inference", "model", "adapter", "data"],
};
const OTHERS = new Set(["export", "generation", "authoring", "evaluation", "inference"]);
/** Other spellings of settings that have a place of their own, and what the choice of the page says already. */
const DOUBLES = new Set(["bf16", "fp16", "pure_bf16", "do_train", "do_predict"]);

export function fieldsFor(verb: string, fields: FieldSpec[]): FieldSpec[] {
  const sections = SECTIONS[verb];
  return fields.filter((field) => !DOUBLES.has(field.name) && (sections?.includes(field.section) || (verb === "train" && !OTHERS.has(field.section))));
}

export function advanced(fields: FieldSpec[], groups: Group[]): [section: string, fields: FieldSpec[]][] {
  const placed = new Set(groups.flatMap((group) => group.keys));
  const rest = fields.filter((field) => !placed.has(field.name));
  return [...new Set(rest.map((field) => field.section))].map((section) => [section, rest.filter((field) => field.section === section)]);
}

export const EXPORT: Group[] = [
  { name: "quantized", open: false, keys: ["export_quantization_bit", "export_quantization_method", "export_quantization_dataset", "export_quantization_nsamples", "export_quantization_maxlen"] },
  { name: "merge", open: false, keys: ["template", "export_dtype", "export_size", "export_device", "export_legacy_format", "export_verify", "export_importance_data"] },
];

export const EVALUATE: Group[] = [
  { name: "evaluated", open: true, keys: ["dataset_dir", "eval_dataset", "cutoff_len", "max_samples", "per_device_eval_batch_size", "predict_with_generate", "predict_base"] },
  { name: "answers", open: true, shown: (texts) => texts["predict_with_generate"] !== "false", keys: ["max_new_tokens", "top_p", "temperature", "do_sample", "seed"] },
  { name: "output", open: true, keys: ["output_dir"] },
];
