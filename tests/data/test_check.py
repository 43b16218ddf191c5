"""`data check` and `data preview` tell what a user needs to know before training."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from doubles import CharEncoder, text_of
from rich.console import Console

from tunesmith.data.check import check_dataset, render_check
from tunesmith.data.entry import DatasetEntry
from tunesmith.data.preview import PreviewRow, preview_rows, render_preview
from tunesmith.data.seen import NOWHERE, Seen


@pytest.fixture
def entry(tmp_path):
    def make(name, *pairs):
        path = tmp_path / f"{name}.jsonl"
        rows = [{"instruction": question, "output": answer} for question, answer in pairs]
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        return DatasetEntry(name=name, place="file", location=str(path))

    return make


def check(entry, tmp_path, **more):
    return check_dataset(entry, stage="sft", cache_dir=tmp_path, placeholders={}, **more)


def shown(renderable) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_duplicates_contradictions_and_refusals(entry, tmp_path):
    made = entry("a", ("Hi", "Hello."), ("Hi", "Hello."), ("hi ", "hello!"), ("Hi", "Go away"), ("x", ""), ("y", "z"))
    report = check(made, tmp_path)
    assert (report.rows, report.usable) == (6, 5)
    assert (report.duplicates, report.near_duplicates, report.contradictions) == (1, 1, 1)
    assert report.twins == (("a.jsonl:2", "a.jsonl:1"), ("a.jsonl:3", "a.jsonl:1"))
    text = shown(render_check(report))
    assert "6, of which 5 can be used" in text and "the answer is empty" in text
    assert "1 exact, 1 but for case" in text and "a.jsonl:3 = a.jsonl:1" in text


def test_a_row_without_a_question_is_trained_and_named(entry, tmp_path):
    report = check(entry("a", ("Hi", "Hello."), (None, "b"), (" ", "c")), tmp_path)
    assert (report.usable, report.unasked, report.unasked_at) == (3, 2, ("a.jsonl:2", "a.jsonl:3"))
    assert "2 rows: a.jsonl:2, a.jsonl:3" in shown(render_check(report))


def test_lengths_and_the_share_that_is_cut(entry, tmp_path):
    made = entry("a", *[("q", "a" * n) for n in (1, 20, 20, 99)])
    report = check(made, tmp_path, encoder=CharEncoder(), cutoff=50)
    assert report.lengths.tolist() == [2, 21, 21, 100]
    assert report.truncated == 1
    text = shown(render_check(report))
    assert "144 tokens" in text
    assert "Longer than cutoff_len 50: 1 row (25.0 %)." in text
    histogram = [line.split() for line in text.splitlines() if "█" in line]
    assert [(line[0], line[-1]) for line in histogram] == [("0", "1"), ("16", "2"), ("64", "1")]


def test_overlap_with_evaluation_data(entry, tmp_path):
    train, held = entry("train", ("q", "a"), ("r", "b")), entry("held", ("Q", "A."), ("new", "c"))
    report = check(train, tmp_path, against=[held])
    assert report.overlap == {"held": 1}
    assert "1 row of held" in shown(render_check(report))


class Chars:
    """The decoder that belongs to CharEncoder."""

    def decode(self, ids):
        return text_of(ids)


def test_preview_shows_text_ids_and_what_is_trained(entry, tmp_path):
    made = entry("a", ("x", ""), ("Hi", "Yo"))
    refused, row = preview_rows(
        made, stage="sft", cache_dir=tmp_path, encoder=CharEncoder(), tokenizer=Chars(), placeholders={}, count=2
    )
    assert "the answer is empty" in shown(render_preview(refused))
    assert isinstance(row, PreviewRow)
    assert row.runs == ((False, (72, 105), "Hi"), (True, (89, 111), "Yo"))
    text = shown(render_preview(row))
    assert "a.jsonl:2 — 4 tokens, 2 trained" in text and "HiYo" in text and "72 105 89 111" in text


def test_what_was_seen_is_known_with_the_first_of_its_kind():
    random = np.random.default_rng(1)
    seen, known = Seen(), {}
    number = 0
    for size in (1, 5, 300, 2, 40, 0, 300, 1):
        digests = random.integers(-200, 200, size)
        numbers = np.arange(number, number + size)
        number += size
        expected = []
        for digest, each in zip(digests.tolist(), numbers.tolist(), strict=True):
            expected.append(known.get(digest, NOWHERE))
            known.setdefault(digest, each)
        assert seen.add(digests, numbers).tolist() == expected
    every = np.arange(-210, 210)
    assert seen.find(every).tolist() == [known.get(digest, NOWHERE) for digest in every.tolist()]
    assert len(seen) == len(known)
