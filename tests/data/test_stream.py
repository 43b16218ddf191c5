"""Streaming: a fixed order, every row of an epoch once, exact resuming, nothing held back trained on."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from doubles import CharEncoder, text_of

from tunesmith.data.entry import DatasetEntry
from tunesmith.data.loader import StreamLoader
from tunesmith.data.stream import Position, SampleStream, StreamSettings
from tunesmith.data.tokenize import TokenizeOptions
from tunesmith.errors import UserError


@pytest.fixture
def stream(tmp_path):
    def make(*sizes, **settings):
        entries = []
        for which, size in enumerate(sizes):
            path = tmp_path / f"{which}.jsonl"
            rows = [{"instruction": f"{which}", "output": f"-{n:03}"} for n in range(size)]
            path.write_text("\n".join([*map(json.dumps, rows), "damaged"]), encoding="utf-8")
            entries.append(DatasetEntry(name=str(which), place="file", location=str(path)))
        options = TokenizeOptions(
            stage="sft",
            encoder=CharEncoder(),
            encoder_key="",
            placeholders={},
            max_samples=None,
            strict=False,
            batch_rows=10,
            overwrite=False,
        )
        return SampleStream(entries, options, StreamSettings(**{"window": 7, "buffer_size": 8, **settings}), tmp_path)

    return make


def texts(stream, count, position=None):
    return [text_of(s.input_ids) for unit, _ in islice(stream.units(position or Position()), count) for s in unit]


def test_an_epoch_holds_each_row_once_in_another_order(stream):
    read = texts(stream(30), 60)
    assert Counter(read[:30]) == Counter(read[30:]) == Counter(f"0-{n:03}" for n in range(30))
    assert read[:30] != read[30:] != sorted(read[30:])
    assert read == texts(stream(30), 60)
    assert texts(stream(30, shuffle=False), 30) == sorted(read[:30])


def test_following_from_any_position_gives_the_same(stream):
    all_units = list(islice(stream(30).units(), 70))
    for cut in (1, 6, 7, 8, 29, 30, 31, 50):
        rest = texts(stream(30), 70 - cut, all_units[cut - 1][1])
        assert rest == [text_of(s.input_ids) for unit, _ in all_units[cut:] for s in unit]


def test_rows_held_back_are_never_trained_on(stream):
    made = stream(20, held=5)
    held = made.held_back()
    kept = {text_of(held.ids(row)) for row in range(len(held))}
    assert len(kept) == 5
    assert not kept & set(texts(made, 45))


def test_mixing(stream):
    under = texts(stream(2, 4, strategy="interleave_under", shuffle=False), 4)
    assert under == ["0-000", "1-000", "0-001", "1-001"]
    once = texts(stream(2, 4, strategy="interleave_once", shuffle=False), 6)
    assert len(set(once)) == 6
    over = Counter(text[0] for text in texts(stream(2, 9, strategy="interleave_over", shuffle=False), 16))
    assert over["0"] >= 7


def test_steps_are_the_same_whether_followed_or_jumped_to(stream):
    def ids(step):
        return [batch.input_ids.tolist() for batch in step]

    def loader(rank=0, world=1):
        return StreamLoader(stream(40), batch_size=2, accumulation=2, rank=rank, world=world, joined=False)

    followed = loader()
    steps, positions = [], []
    for number in range(12):
        steps.append(ids(followed.step(number)))
        positions.append(followed.position)
    assert [len(step) for step in steps] == [2] * 12
    assert ids(loader().step(9)) == steps[9]
    resumed = loader()
    resumed.seek(5, positions[4])
    assert [ids(resumed.step(number)) for number in (5, 6)] == steps[5:7]
    assert ids(resumed.step(2)) == steps[2]
    both = [ids(loader(rank, 2).step(0)) for rank in range(2)]
    assert both[0] != both[1]


def test_documents_laid_end_to_end_lose_nothing_and_resume_exactly(stream):
    for length in (4, 17, 60):  # within a sample of 5 tokens, across samples, across windows of 7 samples
        settings = {"cutoff": length, "chunked": True}
        whole = list(islice(stream(30, **settings).units(), 2 * -(-150 // length)))
        epochs = [whole[: len(whole) // 2], whole[len(whole) // 2 :]]
        for epoch in epochs:
            lengths = [len(sample.input_ids) for (sample,), _ in epoch]
            assert set(lengths[:-1]) == {length} and sum(lengths) == 150
            text = text_of(np.concatenate([sample.input_ids for (sample,), _ in epoch]))
            assert sorted(text[i : i + 5] for i in range(0, 150, 5)) == [f"0-{n:03}" for n in range(30)]
            assert sum(sample.weights.sum() for (sample,), _ in epoch) == 4 * 30
        read = [text_of(sample.input_ids) for (sample,), _ in whole]
        for cut in range(1, len(whole)):
            assert texts(stream(30, **settings), len(whole) - cut, whole[cut - 1][1]) == read[cut:], (length, cut)


def test_what_is_held_back_of_documents_is_cut_as_well(stream):
    held = stream(20, held=5, cutoff=10, chunked=True).held_back()
    assert held.lengths.tolist() == [10, 10, 5]


def test_rows_held_back_are_usable_ones(stream, tmp_path):
    made = stream(6, held=2)
    good = [json.dumps({"instruction": "0", "output": f"-{n}"}) for n in range(5)]
    rows = ["damaged", '{"instruction": "a", "output": ""}', *good]
    (tmp_path / "0.jsonl").write_text("\n".join(rows), encoding="utf-8")
    held = made.held_back()
    assert [text_of(held.ids(row)) for row in range(len(held))] == ["0-0", "0-1"]
    assert set(texts(made, 9)) == {"0-2", "0-3", "0-4"}
    assert [refusal.line for refusal in made.take_refusals()] == [1, 2]
    with pytest.raises(UserError, match="val_size: 7"):
        stream(6, held=7).held_back()


def test_rows_held_back_do_not_come_back_when_a_data_set_starts_again(stream):
    made = stream(4, 20, held=4, strategy="interleave_over", shuffle=False)
    held = made.held_back()
    kept = {text_of(held.ids(row)) for row in range(len(held))}
    assert kept == {"0-000", "1-000", "0-001", "1-001"}
    assert not kept & set(texts(made, 60))


def test_packs_of_a_window(stream):
    loader = StreamLoader(stream(40, cutoff=20), batch_size=1, joined=True)
    (batch,) = loader.step(0)
    assert batch.cu_seqlens.tolist() == [0, 20]
    apart = StreamLoader(stream(40, cutoff=20), batch_size=1, joined=False).step(0)[0]
    assert apart.cu_seqlens.tolist() == [0, 5, 10, 15, 20]


def test_each_refused_row_is_told_once_however_often_it_is_read(stream, tmp_path):
    made = stream(30)
    rows = ["damaged" if n % 3 == 0 else json.dumps({"instruction": "0", "output": f"-{n}"}) for n in range(30)]
    (tmp_path / "0.jsonl").write_text("\n".join(rows), encoding="utf-8")
    loader = StreamLoader(made, batch_size=2, joined=False)
    loader.step(0)
    first = loader.take_refusals()
    loader.step(0)
    assert first and loader.take_refusals() == []
    loader.step(25)  # in the third epoch
    later = loader.take_refusals()
    assert sorted(refusal.line for refusal in first + later) == list(range(1, 31, 3))
    position = loader.position
    resumed = StreamLoader(stream(30), batch_size=2, joined=False)
    resumed.seek(26, position)
    resumed.step(26)
    assert resumed.take_refusals() == []


def test_refusals_are_counted_and_nothing_usable_is_an_error(stream, tmp_path):
    made = stream(3)
    texts(made, 3)
    assert made.refusals.count == 1
    (tmp_path / "0.jsonl").write_text('{"instruction": "a", "output": ""}', encoding="utf-8")
    with pytest.raises(UserError, match="No row of the data can be used"):
        next(made.units())
