"""Which rows are taken from which data set."""

from __future__ import annotations

from collections import Counter

import pytest

from tunesmith.data.mixing import mix, sample_rows, split, split_each
from tunesmith.errors import UserError


def pairs(sizes, strategy, probs=(), seed=1):
    which, rows = mix(sizes, strategy, probs, seed)
    return list(zip(which.tolist(), rows.tolist(), strict=True))


def test_concat_is_one_after_the_other():
    assert pairs([2, 1], "concat") == [(0, 0), (0, 1), (1, 0)]


def test_under_stops_with_the_first_over_with_the_last_once_takes_each_row_once():
    assert pairs([2, 4], "interleave_under") == [(0, 0), (1, 0), (0, 1)]
    assert pairs([1, 3], "interleave_over") == [(0, 0), (1, 0), (0, 0), (1, 1), (0, 0), (1, 2)]
    assert pairs([1, 3], "interleave_once") == [(0, 0), (1, 0), (1, 1), (1, 2)]


def test_probabilities_are_kept_and_the_same_seed_gives_the_same_mixture():
    taken = pairs([10_000, 10_000], "interleave_under", [3, 1], seed=5)
    share = Counter(which for which, _ in taken)[0] / len(taken)
    assert 0.72 < share < 0.78
    assert taken == pairs([10_000, 10_000], "interleave_under", [3, 1], seed=5)
    assert taken != pairs([10_000, 10_000], "interleave_under", [3, 1], seed=6)
    once = pairs([30, 10], "interleave_once", [0.5, 0.5])
    assert len(set(once)) == len(once) == 40


@pytest.mark.parametrize("probs", [[1.0], [1.0, 0.0], [1, 1, 1]])
def test_probabilities_that_do_not_fit(probs):
    with pytest.raises(UserError, match="2 data sets"):
        mix([1, 1], "interleave_under", probs, 0)


def test_num_samples_draws_each_row_before_any_twice_and_max_samples_takes_the_first():
    assert sample_rows(5, None, 3, 0).tolist() == [0, 1, 2]
    drawn = sample_rows(5, 12, None, 0)
    assert sorted(Counter(drawn.tolist()).values()) == [2, 2, 2, 3, 3]
    assert sample_rows(5, 12, 4, 0).tolist() == drawn[:4].tolist()


def test_split_by_share_and_by_number():
    for size in (0.2, 2):
        train, held = split(10, size, seed=1)
        assert (len(train), len(held)) == (8, 2)
        assert sorted([*train, *held]) == list(range(10))
        assert train.tolist() == sorted(train)
    for size in (0.01, 10):
        with pytest.raises(UserError, match="val_size"):
            split(10, size, seed=1)


@pytest.mark.parametrize(("sizes", "size", "held"), [([100, 100], 0.1, 20), ([7, 1, 93], 10, 10), ([3, 3, 3], 1, 1)])
def test_a_split_of_several_sets_holds_back_what_is_asked_for_in_all(sizes, size, held):
    parts = split_each(sizes, size, seed=1)
    assert sum(len(apart) for _, apart in parts) == held
    for rows, (kept, apart) in zip(sizes, parts, strict=True):
        assert len(kept) > 0
        assert sorted([*kept, *apart]) == list(range(rows))
    with pytest.raises(UserError, match="val_size"):
        split_each([1, 2], 2, seed=1)
