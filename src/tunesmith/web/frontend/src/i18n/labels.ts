import type { Labels } from "./shapes";

// LLaMA Board's names of settings, where they differ from the key read aloud.
export const LABELS: Labels = {
  model_name_or_path: "Model", hub_name: "Hub", hf_hub_token: "Hugging Face token", ms_hub_token: "ModelScope token", finetuning_type: "Finetuning method",
  adapter_name_or_path: "Checkpoint path", quantization_bit: "Quantization bit", quantization_method: "Quantization method", template: "Chat template",
  rope_scaling: "RoPE scaling", flash_attn: "Attention", stage: "Stage", dataset_dir: "Data dir", dataset: "Dataset", learning_rate: "Learning rate",
  num_train_epochs: "Epochs", max_grad_norm: "Maximum gradient norm", max_samples: "Max samples", precision: "Compute type", cutoff_len: "Cutoff length",
  per_device_train_batch_size: "Batch size", gradient_accumulation_steps: "Gradient accumulation", val_size: "Val size", lr_scheduler_type: "LR scheduler",
  logging_steps: "Logging steps", save_steps: "Save steps", warmup_steps: "Warmup steps", neftune_noise_alpha: "NEFTune alpha", packing: "Pack sequences",
  neat_packing: "Use neat packing", train_on_prompt: "Train on prompt", mask_history: "Mask history", resize_vocab: "Resize token embeddings",
  enable_thinking: "Enable thinking", report_to: "Enable external logger", freeze_trainable_layers: "Trainable layers", freeze_trainable_modules: "Trainable modules",
  freeze_extra_modules: "Extra modules", lora_rank: "LoRA rank", lora_alpha: "LoRA alpha", lora_dropout: "LoRA dropout", loraplus_lr_ratio: "LoRA+ LR ratio",
  create_new_adapter: "Create new adapter", use_rslora: "Use rslora", use_dora: "Use DoRA", pissa_init: "Use PiSSA", lora_target: "LoRA modules",
  additional_target: "Additional modules", pref_beta: "Beta value", pref_ftx: "Ftx gamma", pref_loss: "Loss type", reward_model: "Reward model", output_dir: "Output dir",
  max_new_tokens: "Maximum new tokens", top_p: "Top-p", top_k: "Top-k", export_size: "Max shard size", export_quantization_bit: "Export quantization bit",
  export_quantization_dataset: "Export quantization dataset", export_device: "Export device", export_legacy_format: "Export legacy format", export_dir: "Export dir",
  export_hub_model_id: "HF Hub ID", export_to: "Formats", export_quant: "GGUF quantizations", out: "Name of the data set", base_url: "Server",
  entries: "Questions per chunk", styles: "Kinds of questions", rpm: "Requests a minute", tpm: "Tokens a minute", price_in: "Price of prompts",
  price_out: "Price of answers", api_key_env: "Variable of the key", to: "Format", type: "Kind of file", instruction: "Question column", output: "Answer column",
  predict_with_generate: "Save predictions", predict_base: "Base beside tuned", per_device_eval_batch_size: "Eval batch size", eval_dataset: "Eval dataset",
  do_sample: "Sample", input: "Added column", as_text: "As plain text", header: "Header row", only: "Take only", role: "Character", mode: "How documents are cut",
  export_ollama: "Ollama name", loraplus_lr_embedding: "LoRA+ LR of embeddings",
};
