"""A data set becomes token samples once; what could not be used is counted, listed and told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from doubles import CharEncoder, Sample, text_of

from tunesmith.data.catalog import resolve
from tunesmith.data.entry import DatasetEntry
from tunesmith.data.tokenize import TokenizeOptions, tokenize_dataset
from tunesmith.data.tokens import ChunkedStore, TokenFile, TokenStore, TokenWriter
from tunesmith.errors import UserError


def options(**changed):
    usual = {
        "stage": "sft",
        "encoder": CharEncoder(),
        "encoder_key": "chars",
        "placeholders": {},
        "max_samples": None,
        "strict": False,
        "batch_rows": 2,
        "overwrite": False,
    }
    return TokenizeOptions(**{**usual, **changed})


def write_rows(path: Path, rows) -> DatasetEntry:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return DatasetEntry(name=path.stem, place="file", location=str(path))


def alpaca(count: int):
    return [{"instruction": f"q{n}", "output": f"a{n}"} for n in range(count)]


def tokenize(entry, tmp_path, **changed):
    return tokenize_dataset(entry, options(**changed), tmp_path / "cache", lambda done, total: None)


def test_samples_and_counts(tmp_path):
    rows = [*alpaca(3), {"instruction": "x", "output": ""}, {"instruction": "refuse me", "output": "b"}]
    file, report = tokenize(write_rows(tmp_path / "a.jsonl", rows), tmp_path, encoder=CharEncoder(3))
    store = TokenStore.of(file)
    assert [text_of(store.ids(row)) for row in range(len(store))] == ["q0a", "q1a", "q2a"]
    assert store.weights(0).tolist() == [0, 0, 1] and store.weights(0).dtype == np.float32
    assert (report.rows, report.samples, report.refused, report.truncated) == (5, 3, 2, 3)
    assert (report.tokens, report.trained) == (9, 3)
    assert report.reasons == {"the answer is empty": 1, "the encoder refuses it": 1}
    assert [(refusal.line, str(refusal)) for refusal in report.refusals] == [
        (4, "a.jsonl, line 4: the answer is empty"),
        (5, "a.jsonl, line 5: the encoder refuses it"),
    ]


def test_a_row_without_a_trained_token_is_refused(tmp_path):
    rows = [{"instruction": "long question", "output": "a"}, {"instruction": "q", "output": "a"}]
    _, report = tokenize(write_rows(tmp_path / "a.jsonl", rows), tmp_path, encoder=CharEncoder(5))
    assert report.samples == 1
    assert "cut off by cutoff_len" in next(iter(report.reasons))


def test_strict_ends_at_the_first_refusal_also_from_the_cache(tmp_path):
    entry = write_rows(tmp_path / "a.jsonl", [*alpaca(1), {"instruction": "x"}])
    for _ in range(2):
        with pytest.raises(UserError, match=r"a\.jsonl, line 2: column 'output' is missing"):
            tokenize(entry, tmp_path, strict=True)
        tokenize(entry, tmp_path)


def test_no_usable_row_says_why_and_what_it_looks_like(tmp_path):
    rows = [{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}]
    write_rows(tmp_path / "a.jsonl", rows)
    info = {"a": {"file_name": "a.jsonl", "formatting": "alpaca"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        tokenize(resolve("a", tmp_path)[0], tmp_path)
    assert "'instruction' is missing" in caught.value.message
    assert "formatting: openai" in caught.value.hint


def test_the_cache_answers_for_the_same_and_only_the_same(tmp_path):
    entry, encoder = write_rows(tmp_path / "a.jsonl", alpaca(4)), CharEncoder()
    first = tokenize(entry, tmp_path, encoder=encoder)[1]
    again = tokenize(entry, tmp_path, encoder=encoder)[1]
    assert encoder.rows == 4 and again.cached and not first.cached
    assert (again.samples, again.tokens, again.trained) == (first.samples, first.tokens, first.trained)
    tokenize(entry, tmp_path, encoder=encoder, encoder_key="others")
    assert encoder.rows == 8
    tokenize(entry, tmp_path, encoder=encoder, placeholders={"name": "Ada"})
    assert encoder.rows == 12
    tokenize(entry, tmp_path, encoder=encoder, overwrite=True)
    assert encoder.rows == 16
    changed = write_rows(tmp_path / "a.jsonl", alpaca(5))
    assert tokenize(changed, tmp_path, encoder=encoder)[1].rows == 5


def test_max_samples_reads_no_further(tmp_path):
    encoder = CharEncoder()
    _, report = tokenize(write_rows(tmp_path / "a.jsonl", alpaca(9)), tmp_path, encoder=encoder, max_samples=3)
    assert (encoder.rows, report.rows) == (3, 3)


def test_placeholders_are_filled_and_those_left_are_told(tmp_path):
    rows = [{"instruction": "Who are you?", "output": "{{name}} by {{author}}, {{ author }}."}]
    file, report = tokenize(write_rows(tmp_path / "a.jsonl", rows), tmp_path, placeholders={"name": "Ada"})
    assert text_of(file.sample(0)[0]).endswith("Ada by {{author}}, {{ author }}.")
    assert report.placeholders == {"author": 2}
    assert any("{{author}} 2 ×" in line for line in report.lines())


def test_an_encoding_other_than_utf8_is_told(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"instruction": "我们为什么要喝水？", "output": "因为人的身体里有很多水。"}] * 3
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="gbk")
    _, report = tokenize(DatasetEntry(name="a", place="file", location=str(path)), tmp_path)
    assert "a.jsonl is read as GB18030." in report.lines()


def test_headers_are_understood_as_where_tables_are_converted(tmp_path):
    entry = write_rows(
        tmp_path / "a.jsonl", [{"ID": "1", "Question": "q"}, {"ID": "2", "Question": "q", "Answer": "a"}]
    )
    tokens, report = tokenize(entry, tmp_path)
    assert len(tokens) == 1 and "'Question'" in " ".join(report.lines())


@pytest.mark.parametrize(
    ("rows", "stage", "message"),
    [
        ([{"prompt": "q", "chosen": "a", "rejected": "b"}], "sft", "rated answers for preference tuning"),
        ([{"text": "once"}], "sft", "holds plain text"),
        ([{"messages": [{"role": "user", "content": "q"}]}], "pt", "holds conversations"),
        ([{"foo": "q", "bar": "a"}], "sft", "don't tell its format: foo, bar"),
        ([1, 2], "sft", "None of the first 2 rows"),
    ],
)
def test_data_that_does_not_suit_the_stage(tmp_path, rows, stage, message):
    with pytest.raises(UserError, match=message):
        tokenize(write_rows(tmp_path / "a.jsonl", rows), tmp_path, stage=stage)


def test_kto_data_is_refused_by_its_entry(tmp_path):
    write_rows(tmp_path / "a.jsonl", alpaca(1))
    info = {"a": {"file_name": "a.jsonl", "columns": {"kto_tag": "label"}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(UserError, match="kto"):
        tokenize(resolve("a", tmp_path)[0], tmp_path)


def test_usual_column_names_are_guessed_and_told(tmp_path):
    file, report = tokenize(write_rows(tmp_path / "a.jsonl", [{"question": "q", "answer": "a"}]), tmp_path)
    assert text_of(file.sample(0)[0]) == "qa"
    assert "'question'" in report.notes[0] and "'answer'" in report.notes[0]


def test_progress_is_reported_in_bytes(tmp_path):
    entry, seen = write_rows(tmp_path / "a.jsonl", alpaca(9)), []
    tokenize_dataset(entry, options(), tmp_path / "cache", lambda done, total: seen.append((done, total)))
    size = (tmp_path / "a.jsonl").stat().st_size
    assert seen[-1] == (size, size) and seen == sorted(seen)


def sample(text: str) -> Sample:
    ids = np.array([ord(char) for char in text], dtype=np.int32)
    return Sample(ids, np.ones(len(ids), dtype=np.float32), False)


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), TokenWriter(tmp_path / "x") as writer:
        writer.append([sample("abc")])
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_the_faster_of_two_writers_wins(tmp_path):
    with TokenWriter(tmp_path / "x") as slow, TokenWriter(tmp_path / "x") as fast:
        fast.append([sample("ab"), sample("c")])
        slow.append([sample("ab"), sample("c")])
        fast.finish({})
        assert len(slow.finish({})) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_killed_writer_leaves_no_folder_that_is_taken_for_whole(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from tunesmith.data.tokens import TokenWriter; from test_tokenize import sample\n"
        "writer = TokenWriter(Path(sys.argv[1])); writer.append([sample('abc')] * 1000)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "x"), str(Path(__file__).parent)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not TokenFile.exists(tmp_path / "x")
    assert len(os.listdir(tmp_path)) == 1
    with TokenWriter(tmp_path / "x") as writer:
        writer.append([sample("abc")])
        assert len(writer.finish({})) == 1


def test_chunks_hold_every_token_once_in_order(tmp_path):
    texts = ["abcdefg", "h", "ijklm", "nopqrstuvwxyz"]
    with TokenWriter(tmp_path / "x") as writer:
        writer.append([sample(text) for text in texts])
        store = TokenStore.of(writer.finish({}))
    chunks = ChunkedStore(store, 4)
    read = [text_of(chunks.ids(row)) for row in range(len(chunks))]
    assert "".join(read) == "".join(texts)
    assert [len(text) for text in read] == chunks.lengths.tolist() == [4, 4, 4, 4, 4, 4, 2]
    assert chunks.weights(6).tolist() == [1.0, 1.0]
