"""What a job evaluates on: the data without what is trained, and its rows as examples, to be asked as questions."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from tunesmith.config.data import DataConfig
from tunesmith.config.model import Hub
from tunesmith.data.catalog import resolve
from tunesmith.data.entry import DatasetEntry
from tunesmith.data.examples import ExampleReader, ReadExample, Refusal
from tunesmith.data.mixing import sample_rows
from tunesmith.data.prepare import split_chosen
from tunesmith.data.sources import locate
from tunesmith.data.tokenize import Report, TokenizeOptions, is_usable, open_dataset, tokenize_dataset


def evaluated_alone(data: DataConfig) -> DataConfig:
    """The section with what an evaluation needs of it: eval_dataset, or dataset for the rows that val_size holds back.

    Tokens kept in tokenized_path are taken only where no data set is named.
    """
    if data.eval_dataset:
        return replace(data, dataset=(), val_size=0.0, streaming=False, tokenized_path=None)
    return replace(data, tokenized_path=None) if data.dataset else data


def evaluated_examples(
    data: DataConfig, options: TokenizeOptions, *, seed: int, cache_dir: Path, hub: Hub, report: Report
) -> list[ReadExample]:
    """The rows whose loss is evaluated, in the same order.

    data: of `evaluated_alone`; options, seed: those that the loss is evaluated with. Rows that give no
    sample are left out here as there.
    """
    held_back = not data.eval_dataset
    entries = resolve(
        data.dataset if held_back else data.eval_dataset,
        data.dataset_dir,
        key="dataset" if held_back else "eval_dataset",
        hub=hub,
    )
    sizes = [len(tokenize_dataset(entry, options, cache_dir, report)[0]) for entry in entries]
    chosen = [
        sample_rows(size, entry.num_samples, data.max_samples, seed) for entry, size in zip(entries, sizes, strict=True)
    ]
    if held_back:
        chosen = [apart for _, apart in split_chosen(chosen, data.val_size, seed)]
    found = []
    for entry, rows in zip(entries, chosen, strict=True):
        by_number = dict(_usable(entry, options, cache_dir, set(rows.tolist())))
        found += [by_number[row] for row in rows.tolist()]
    return found


def _usable(
    entry: DatasetEntry, options: TokenizeOptions, cache_dir: Path, wanted: Collection[int]
) -> Iterator[tuple[int, ReadExample]]:
    """(number among the rows that give a sample, example) of those that are wanted."""
    layout, rows = open_dataset(entry, locate(entry, cache_dir), options.stage)
    reader = ExampleReader(layout, options.placeholders)
    number, last = 0, max(wanted, default=-1)
    while number <= last and (batch := list(itertools.islice(rows, options.batch_rows))):
        read = [example for row in batch if not isinstance(example := reader.read(row), Refusal)]
        for example, sample in zip(read, options.encoder.encode([each.example for each in read]), strict=True):
            if not is_usable(sample):
                continue
            if number in wanted:
                yield number, example
            number += 1
