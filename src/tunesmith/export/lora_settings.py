"""Settings of peft's LoRA that decide whether an adapter can be more than an adapter."""

from __future__ import annotations

NOT_MERGED = {
    "layer_replication": "repeated layers (layer_replication)",
    "alora_invocation_tokens": "activated LoRA",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "arrow_config": "Arrow",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "velora_config": "VeLoRA",
    "megatron_config": "Megatron's layers (megatron_config)",
}
"""Settings under which a merged model would compute something else, or that peft itself can't merge, and what they are
called."""

GENTLE_STARTS = ("gaussian", "eva", "orthogonal", "mica")
"""Named ways to begin that leave the base as it is; others took something out of it."""
