"""All data of a job, from names to samples to train and to evaluate on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.config.data import DataConfig
from tunesmith.config.model import Hub
from tunesmith.config.objective import ObjectiveConfig
from tunesmith.data.catalog import resolve
from tunesmith.data.entry import DatasetEntry
from tunesmith.data.mixing import Indices, mix, sample_rows, split_each
from tunesmith.data.report import DataReport
from tunesmith.data.saved import PreparedData, is_saved, load_prepared, save_prepared
from tunesmith.data.stream import SampleStream, StreamSettings
from tunesmith.data.tokenize import Report, TokenizeOptions, tokenize_dataset
from tunesmith.data.tokens import ChunkedStore, Samples, SampleStore, TokenStore
from tunesmith.text.encode import EncodeOptions, Encoder

if TYPE_CHECKING:
    from tunesmith.text.template import ChatTemplate
    from tunesmith.text.tokenizer import Tokenizer


def _silent(done: int, total: int) -> None:
    """Nobody watches."""


def prepare(
    data: DataConfig,
    objective: ObjectiveConfig,
    tokenizer: Tokenizer,
    template: ChatTemplate | None,
    *,
    seed: int,
    cache_dir: Path,
    hub: Hub = "auto",
    report: Report = _silent,
) -> PreparedData:
    """Tokenize every data set of the job (or find it in the cache), mix, split, and lay documents in full rows.

    template may be None for stage pt. report(done, total) is called with bytes of the current data set.
    Raises UserError for whatever can't be used.
    """
    options = tokenize_options(data, objective, tokenizer, template)
    if data.tokenized_path is None:
        return _prepare(data, options, seed, cache_dir, hub, report)
    folder = Path(data.tokenized_path)
    settings = {**_settings(data), "stage": options.stage, "seed": seed}
    if is_saved(folder):
        return load_prepared(folder, settings, tokenizer.fingerprint)
    prepared = _prepare(data, options, seed, cache_dir, hub, report)
    return save_prepared(prepared, folder, settings, tokenizer.fingerprint)


@dataclass(frozen=True, slots=True)
class StreamedData:
    """Data read while training. evals: name → samples, prepared beforehand."""

    stream: SampleStream
    evals: Mapping[str, SampleStore]
    report: DataReport


def prepare_stream(
    data: DataConfig,
    objective: ObjectiveConfig,
    tokenizer: Tokenizer,
    template: ChatTemplate | None,
    *,
    seed: int,
    shuffle: bool,
    cache_dir: Path,
    hub: Hub = "auto",
    report: Report = _silent,
) -> StreamedData:
    """What `streaming` trains on: the first rows are read to tell the layout, eval data is prepared as usual."""
    beforehand = replace(data, dataset=(), val_size=0.0, tokenized_path=None)
    shared: dict[str, Any] = {"seed": seed, "cache_dir": cache_dir, "hub": hub, "report": report}
    prepared = prepare(beforehand, objective, tokenizer, template, **shared)
    chunked = packs_documents(data, objective.stage)
    settings = StreamSettings(
        strategy=data.mix_strategy,
        probs=data.interleave_probs,
        buffer_size=data.buffer_size,
        shuffle=shuffle,
        seed=seed,
        held=int(data.val_size),
        cutoff=data.cutoff_len if chunked or data.packing or data.neat_packing else None,
        chunked=chunked,
        window=data.preprocessing_batch_size,
    )
    options = tokenize_options(data, objective, tokenizer, template)
    stream = SampleStream(resolve(data.dataset, data.dataset_dir, hub=hub), options, settings, cache_dir)
    held = {"eval": stream.held_back()} if data.val_size else {}
    found = replace(prepared.report, notes=prepared.report.notes + stream.notes)
    return StreamedData(stream, {**prepared.evals, **held}, found)


def packs_documents(data: DataConfig, stage: str) -> bool:
    """Whether documents are laid end to end and cut into full rows."""
    return stage == "pt" and data.packing is not False


def encode_options(data: DataConfig, stage: str, cutoff_len: int | None) -> EncodeOptions:
    """How the encoder treats a row of the job. cutoff_len: None measures rows in full."""
    return EncodeOptions(
        cutoff_len=cutoff_len,
        train_on_prompt=data.train_on_prompt,
        mask_history=data.mask_history,
        thinking=data.enable_thinking,
        cut_documents=not packs_documents(data, stage),
    )


def tokenize_options(
    data: DataConfig, objective: ObjectiveConfig, tokenizer: Tokenizer, template: ChatTemplate | None
) -> TokenizeOptions:
    """How the job makes token samples of rows."""
    encode = encode_options(data, objective.stage, data.cutoff_len)
    return TokenizeOptions(
        stage=objective.stage,
        encoder=Encoder(tokenizer, template, encode),
        encoder_key=repr((tokenizer.fingerprint, template and template.fingerprint, encode)),
        placeholders=data.placeholders,
        max_samples=data.max_samples,
        strict=data.strict,
        batch_rows=data.preprocessing_batch_size,
        overwrite=data.overwrite_cache,
    )


def _prepare(
    data: DataConfig, options: TokenizeOptions, seed: int, cache_dir: Path, hub: Hub, report: Report
) -> PreparedData:
    asked = resolve(data.dataset, data.dataset_dir, hub=hub)
    held = resolve(data.eval_dataset, data.dataset_dir, key="eval_dataset", hub=hub)
    done = [tokenize_dataset(entry, options, cache_dir, report) for entry in asked + held]
    chosen = [
        sample_rows(len(file), entry.num_samples, data.max_samples, seed)
        for entry, (file, _) in zip(asked + held, done, strict=True)
    ]
    stores = [TokenStore.of(file) for file, _ in done]
    picked = [store.select(rows) for store, rows in zip(stores, chosen, strict=True)]
    evals = dict(_evals(held, picked[len(asked) :], data))
    if data.val_size and asked:  # before mixing, which may take a row more than once
        parts = split_chosen(chosen[: len(asked)], data.val_size, seed)
        evals = {"eval": _together([store.select(apart) for store, (_, apart) in zip(stores, parts, strict=False)])}
        picked = [store.select(kept) for store, (kept, _) in zip(stores, parts, strict=False)]
    train = _mixed(picked[: len(asked)], data, seed)
    rows = ChunkedStore if packs_documents(data, options.stage) else _as_they_are
    final_train = None if train is None else rows(train, data.cutoff_len)
    final_evals = {name: rows(store, data.cutoff_len) for name, store in evals.items()}
    counts = sum(len(store) for store in final_evals.values())
    found = DataReport(tuple(one for _, one in done), (), 0 if final_train is None else len(final_train), counts)
    return PreparedData(final_train, final_evals, found)


def _as_they_are(store: TokenStore, length: int) -> Samples:
    return store


def _mixed(stores: Sequence[TokenStore], data: DataConfig, seed: int) -> TokenStore | None:
    if not stores:
        return None
    which, rows = mix([len(store) for store in stores], data.mix_strategy, data.interleave_probs, seed)
    return TokenStore.joined(stores, which, rows)


def split_chosen(chosen: Sequence[Indices], val_size: float, seed: int) -> list[tuple[Indices, Indices]]:
    """(rows to train on, rows held back) of each data set; a row chosen several times is held back once or not."""
    different = [np.array(list(dict.fromkeys(rows.tolist())), dtype=np.int64) for rows in chosen]
    parts = split_each([len(rows) for rows in different], val_size, seed)
    apart = [rows[held] for rows, (_, held) in zip(different, parts, strict=True)]
    return [(rows[~np.isin(rows, held)], held) for rows, held in zip(chosen, apart, strict=True)]


def _together(stores: Sequence[TokenStore]) -> TokenStore:
    return TokenStore.joined(stores, *mix([len(store) for store in stores], "concat", (), 0))


def _unique_names(entries: Sequence[DatasetEntry]) -> list[str]:
    """The stem of each name, numbered from the second of a kind on."""
    names: list[str] = []
    for entry in entries:
        stem = Path(entry.name).stem
        tries = itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(2)))
        names.append(next(name for name in tries if name not in names))
    return names


def _evals(
    entries: Sequence[DatasetEntry], stores: Sequence[TokenStore], data: DataConfig
) -> Iterator[tuple[str, TokenStore]]:
    """One set named `eval`, or each under its own name."""
    if data.eval_on_each_dataset:
        yield from zip(_unique_names(entries), stores, strict=True)
    elif stores:
        yield "eval", _together(stores)


def _settings(data: DataConfig) -> dict[str, Any]:
    """The settings that decide what the samples are, for a word where a saved folder was made with others."""
    names = (
        "dataset eval_dataset dataset_dir placeholders max_samples val_size mix_strategy interleave_probs template"
        " default_system tool_format enable_thinking preserve_thinking cutoff_len train_on_prompt mask_history packing"
    )
    return {name: getattr(data, name) for name in names.split()}
