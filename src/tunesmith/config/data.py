"""What is learned from: data sets, the template that renders them, and how rows become training samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tunesmith.config.section import NonNegative, Positive, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig(Section):
    """What is learned from: data sets, the template that renders them, and how rows become training samples."""

    dataset: tuple[str, ...] = ()
    """Data sets to train on: names from `dataset_info.json` or paths of files."""
    eval_dataset: tuple[str, ...] = ()
    """Data sets to evaluate on. Instead of `val_size`."""
    dataset_dir: str = "data"
    """Folder with `dataset_info.json`; `ONLINE` reads names as hub repositories, `REMOTE:repo` takes the
    `dataset_info.json` of a hub repository."""
    placeholders: Mapping[str, str] = field(default_factory=dict)
    """What stands in for `{{name}}`, `{{author}}` and the like in the data: `placeholders: {name: Ada, author: Me}`,
    on the command line `--placeholders.name Ada`."""
    strict: bool = False
    """End with an error at the first row that can't be used, instead of counting and listing such rows."""
    max_samples: Positive | None = None
    """Use only the first so many rows of each data set."""
    val_size: NonNegative = 0.0
    """Hold back rows for evaluation: a share below 1, or a number of rows."""
    eval_on_each_dataset: bool = False
    """Report the evaluation of each data set apart."""
    mix_strategy: Literal["concat", "interleave_under", "interleave_over", "interleave_once"] = "concat"
    """How several data sets are mixed: one after the other, or drawn in turn until the first (`_under`) or the last
    (`_over`) is used up; `_once` draws until each row came once."""
    interleave_probs: tuple[NonNegative, ...] = ()
    """Probability of drawing from each data set, in their order. Left out: equal."""
    streaming: bool = False
    """Read the data while training instead of preparing it first. Needs `max_steps`."""
    buffer_size: Positive = 16384
    """`streaming`: rows held in memory to shuffle among."""

    template: str | None = None
    """Name of the chat format (`qwen3`, `llama3`, `chatml` …). Left out: the tokenizer's own chat template."""
    default_system: str | None = None
    """System message of conversations that have none, instead of the template's own."""
    tool_format: str | None = None
    """How tools and calls are written, instead of the template's own way."""
    enable_thinking: bool | None = True
    """For reasoning models: `true` trains and asks for thinking, `false` for answers without it, `null` leaves the data
    as it is."""
    preserve_thinking: bool = False
    """Keep the thinking of earlier turns in the context; models usually see only their latest."""

    cutoff_len: Positive = 2048
    """Longest sample in tokens; longer ones are shortened, prompt and answer in proportion."""
    train_on_prompt: bool = False
    """Train on the user's words too, not on answers alone."""
    mask_history: bool = False
    """Train on the last answer of a conversation alone."""
    packing: bool | None = None
    """Join short samples into rows of `cutoff_len`. Left out: only in pre-training."""
    neat_packing: bool = False
    """Pack so that samples in one row don't see each other. Turns packing on."""

    tokenized_path: str | None = None
    """Folder to keep the tokenized data in; when it is there already, it is used as it is."""
    overwrite_cache: bool = False
    """Tokenize anew although a cached result fits."""
    preprocessing_batch_size: Positive = 1000
    """Rows tokenized at a time."""
