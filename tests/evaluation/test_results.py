"""Answers are read back in pages, from a file that grows and may end in half a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunesmith.evaluation.results import Predictions


def line(index: int, score: float | None, **more: Any) -> str:
    scores = {} if score is None else {"scores": {"a": score, "b": score / 2}}
    row = {"prompt": f"Question {index}", "predict": f"Answer {index}", "label": "L", "index": index, **scores, **more}
    return json.dumps(row, ensure_ascii=False) + "\n"


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_a_growing_file_is_read_once_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    read = Predictions(path)
    assert len(read.refresh()) == 0 and read.page(0, 10) == ([], 0) and read.means() == {}
    append(path, line(0, 10) + line(1, 30) + line(2, None, error="too long")[:20])
    assert len(read.refresh()) == 2 and read.means() == {"a": 20, "b": 10}
    append(path, line(2, None, error="too long")[20:])
    assert len(read.refresh()) == 3 and read.answered == 2
    path.write_text(line(5, 1), encoding="utf-8")
    assert [row["index"] for row in read.refresh().page(0, 10)[0]] == [5], "a file that was begun anew"


def test_another_run_in_the_same_folder_is_read_anew(tmp_path: Path) -> None:
    path, state = tmp_path / "p.jsonl", tmp_path / "state.json"
    state.write_text('{"created": 1.0}', encoding="utf-8")
    append(path, line(0, 10))
    read = Predictions(path).refresh()
    state.write_text('{"created": 2.0}', encoding="utf-8")
    path.write_text(line(3, 30) + line(4, 50), encoding="utf-8")  # the inode is the same
    assert [row["index"] for row in read.refresh().page(0, 10)[0]] == [3, 4]


def test_pages_in_every_order_and_by_words(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    append(path, "".join(line(index, score) for index, score in enumerate((50, 10, 90, 30))) + "damaged\n")
    append(path, line(4, 70, base='ÄPFEL "quoted"', base_scores={"a": 5.0}))
    read = Predictions(path).refresh()

    def indices(*args: Any, **how: Any) -> list[int]:
        return [row["index"] for row in read.page(*args, **how)[0]]

    assert indices(0, 3) == [0, 1, 2] and indices(3, 3) == [3, 4] and indices(9, 3) == []
    assert indices(0, 2, sort="worst") == [1, 3] and indices(0, 2, sort="best") == [2, 4]
    assert read.page(0, 1, search="question") == ([json.loads(line(0, 50))], 5)
    assert indices(0, 9, search='äpfel "Q') == [4] and indices(0, 9, search="prompt") == []
    assert read.base_means() == {"a": 5.0}


def test_the_last_answer_to_a_question_counts(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    append(path, line(0, 10, predict="before") + line(1, 20) + line(0, 80, predict="after"))
    read = Predictions(path).refresh()
    assert len(read) == 2 and read.means()["a"] == 50
    assert [row["predict"] for row in read.page(0, 9)[0]] == ["after", "Answer 1"]
    assert read.page(0, 9, search="before") == ([], 0)
