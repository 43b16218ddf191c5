"""Batches: shifted targets, borders, order as a function of the step, packing, ranks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from tunesmith.data.loader import BatchLoader, eval_batches, make_batch
from tunesmith.data.packing import pack


class Store:
    """Row r holds the tokens 100·r, 100·r + 1, …; its first token is not trained."""

    def __init__(self, lengths):
        self.lengths = np.array(lengths, dtype=np.int64)

    def __len__(self):
        return len(self.lengths)

    def ids(self, row):
        return np.arange(self.lengths[row], dtype=np.int32) + 100 * row

    def weights(self, row):
        weights = np.ones(self.lengths[row], dtype=np.float32)
        weights[0] = 0.0
        return weights


def rows_of(batch):
    return [int(batch.input_ids[start]) // 100 for start in batch.cu_seqlens[:-1]]


def test_targets_and_weights_are_those_of_the_following_token_of_the_same_row():
    store = Store([3, 2])
    (batch,) = BatchLoader(store, batch_size=2, shuffle=False).step(0)
    assert batch.input_ids.tolist() == [0, 1, 2, 100, 101]
    assert batch.targets.tolist() == [1, 2, 0, 101, 0]
    assert batch.weights.tolist() == [1, 1, 0, 1, 0]
    assert batch.positions.tolist() == [0, 1, 2, 0, 1]
    assert batch.cu_seqlens.tolist() == [0, 3, 5]
    kinds = [getattr(batch, name).dtype for name in batch.__slots__]
    assert kinds == [torch.int64, torch.int64, torch.float32, torch.int64, torch.int32]


def test_a_weight_stays_with_its_token():
    batch = make_batch([(np.array([5, 6, 7], dtype=np.int32), np.array([1, 0, 0.5], dtype=np.float32))])
    assert batch.weights.tolist() == [0, 0.5, 0]


def test_an_epoch_holds_each_row_once_and_ends_with_a_shorter_step():
    loader = BatchLoader(Store([2] * 11), batch_size=2, accumulation=4, seed=3)
    assert (loader.batches_per_epoch, loader.steps_per_epoch) == (6, 2)
    steps = [loader.step(number) for number in range(2)]
    assert [len(step) for step in steps] == [4, 2]
    assert sorted(row for step in steps for batch in step for row in rows_of(batch)) == list(range(11))


def test_a_step_depends_on_seed_and_number_alone():
    def rows(loader, number):
        return [rows_of(batch) for batch in loader.step(number)]

    first = BatchLoader(Store([2] * 50), batch_size=5, seed=3)
    forward = [rows(first, number) for number in range(25)]
    fresh = BatchLoader(Store([2] * 50), batch_size=5, seed=3)
    assert [rows(fresh, number) for number in reversed(range(25))] == forward[::-1]
    assert forward[:10] != forward[10:20]
    assert rows(BatchLoader(Store([2] * 50), batch_size=5, seed=4), 0) != forward[0]
    plain = BatchLoader(Store([2] * 50), batch_size=5, shuffle=False)
    assert rows(plain, 0) == rows(plain, 10) == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("count", [13, 16, 17])
def test_ranks_share_the_rows_and_keep_step(count):
    ranks = [BatchLoader(Store([2] * count), batch_size=2, accumulation=2, rank=r, world=3) for r in range(3)]
    seen = []
    for number in range(ranks[0].steps_per_epoch):
        steps = [loader.step(number) for loader in ranks]
        assert len({len(step) for step in steps}) == 1
        seen += [row for step in steps for batch in step if batch.trained for row in rows_of(batch)]
    assert sorted(seen) == list(range(count))


def test_packing_fills_rows_and_loses_none():
    lengths = np.random.default_rng(0).integers(1, 64, 3000)
    plan = pack(lengths, 64, window=1000)
    assert sorted(np.concatenate(plan).tolist()) == list(range(3000))
    assert max(int(lengths[row].sum()) for row in plan) <= 64
    assert len(plan) <= 1.04 * -(-int(lengths.sum()) // 64)
    assert [row.tolist() for row in pack(np.array([100, 3]), 64)] == [[0], [1]]


def test_neat_packing_keeps_samples_apart_and_plain_packing_joins_them():
    store = Store([3, 2, 3])
    (neat,) = BatchLoader(store, batch_size=1, shuffle=False, packing="neat", cutoff=8).step(0)
    apart = make_batch([(store.ids(row), store.weights(row)) for row in range(3)])
    assert all(torch.equal(getattr(neat, name), getattr(apart, name)) for name in neat.__slots__)
    (joined,) = BatchLoader(store, batch_size=1, shuffle=False, packing="packed", cutoff=8).step(0)
    assert joined.cu_seqlens.tolist() == [0, 8]
    assert joined.positions.tolist() == list(range(8))
    assert joined.targets.tolist() == [1, 2, 100, 101, 200, 201, 202, 0]
    assert joined.weights.tolist() == [1, 1, 0, 1, 0, 1, 1, 0]


def test_evaluation_sees_each_row_once_over_all_ranks():
    seen = Counter()
    counts = set()
    for rank in range(2):
        batches = list(eval_batches(Store([2, 3, 4, 5, 6]), batch_size=2, rank=rank, world=2))
        counts.add(len(batches))
        seen.update(row for batch in batches if batch.trained for row in rows_of(batch))
    assert seen == Counter(range(5)) and len(counts) == 1
