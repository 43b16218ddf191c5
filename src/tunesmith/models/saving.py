"""Writing what was trained: an adapter or a whole model, with its tokenizer, never half."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from tunesmith.errors import UserError
from tunesmith.models.pissa import as_plain_lora, is_pissa
from tunesmith.runs.files import told_plainly

_TOKENIZER = (
    "tokenizer*", "vocab.json", "vocab.txt", "merges.txt", "special_tokens_map.json", "added_tokens.json",
    "chat_template*", "*.tiktoken", "spiece.model",
)  # fmt: skip
_SHARD = "5GB"


def save_tuned(
    model: PreTrainedModel | PeftModel,
    tokenizer_folder: Path,
    folder: Path,
    *,
    masters: Mapping[str, Tensor] | None = None,
    plain_lora: bool = False,
    chat_template: str | None = None,
) -> None:
    """Write the adapter, or the whole model where there is none, and the tokenizer's files into `folder`.

    masters: weights by parameter name that stand in for the model's own in an adapter (float32 of what computes in
    bf16); a whole model is saved in its compute dtype. plain_lora: save PiSSA as a LoRA for the unchanged base.
    chat_template: Jinja that the tokenizer is saved with instead of its own. Files are written aside, synced and moved
    into place, the weights last; on UserError (disk full, no rights) what was there before is whole.
    """
    with told_plainly(folder):
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f".saving-{os.getpid()}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        try:
            _write(model, aside, masters or {}, plain_lora)
            _copy_tokenizer(tokenizer_folder, aside, chat_template)
            _move(aside, folder)
        except SafetensorError as error:  # the Rust writer's own kind of OSError
            raise UserError(
                f"Can't write {folder}: {error}.", hint="Check the free disk space.", field="output_dir"
            ) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _write(model: PreTrainedModel | PeftModel, folder: Path, masters: Mapping[str, Tensor], plain_lora: bool) -> None:
    if not isinstance(model, PeftModel):
        model.save_pretrained(folder, max_shard_size=_SHARD)
        return
    # By storage and not by name: a tied weight has two names and one master.
    master_of = {live.data_ptr(): masters[name] for name, live in model.named_parameters() if name in masters}
    state = {name: master_of.get(each.data_ptr(), each) for name, each in model.state_dict().items()}
    weights = get_peft_model_state_dict(model, state_dict=state, save_embedding_layers=False)
    config = model.peft_config["default"]
    changes: dict[str, Any] = {}
    if plain_lora and is_pissa(config):
        weights, changes = as_plain_lora(model, weights, config)
    base = model.get_base_model().name_or_path
    saved = replace(config, **changes, inference_mode=True, base_model_name_or_path=base)
    save_file(_unshared(weights), folder / "adapter_model.safetensors", metadata={"format": "pt"})
    saved.save_pretrained(folder)


def _unshared(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Safetensors holds no two names for one storage: a tied weight is written twice."""
    seen: set[int] = set()
    apart = {}
    for name, each in weights.items():
        each = each.detach().cpu().contiguous()
        apart[name] = each.clone() if each.data_ptr() in seen else each
        seen.add(each.data_ptr())
    return apart


def _copy_tokenizer(source: Path, folder: Path, chat_template: str | None) -> None:
    for pattern in _TOKENIZER:
        for file in source.glob(pattern):
            shutil.copyfile(file, folder / file.name)
    if chat_template is not None:
        (folder / "chat_template.jinja").write_text(chat_template, encoding="utf-8", newline="\n")


def _move(aside: Path, folder: Path) -> None:
    files = sorted(aside.iterdir(), key=lambda file: (file.suffix == ".safetensors", file.name))
    for file in files:
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())
    for file in files:
        file.replace(folder / file.name)
