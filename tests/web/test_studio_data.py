"""Data in the studio: what is told of it, and changing it without losing anything."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from starlette.testclient import TestClient

from tunesmith.data.editing import keep_rows, put_back, replace_row, row_of, taken_out
from tunesmith.data.entry import DatasetEntry
from tunesmith.data.sources import SourceFile, locate, read_rows
from tunesmith.errors import UserError
from tunesmith.jobs import memory
from tunesmith.jobs.lines import CalledOff
from tunesmith.jobs.memory import Memory
from tunesmith.jobs.questions import operations
from tunesmith.text.rows import RowError
from tunesmith.web.studio import Studio
from tunesmith.web.uploads import receive

ROWS = [
    {"instruction": "一", "output": "1"},
    {"instruction": "two, too", "output": "2"},
    {"instruction": "3", "output": "3"},
]


def written(path: Path) -> SourceFile:
    """ROWS in the form that the file's name asks for."""
    if path.suffix == ".json":
        path.write_text(json.dumps(ROWS, ensure_ascii=False), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n", encoding="utf-8")
    elif path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        mark = "\t" if path.suffix == ".tsv" else ","
        lines = [mark.join(f'"{cell}"' for cell in row.values()) for row in ROWS]
        path.write_text("\n".join([mark.join(ROWS[0]), *lines]) + "\n", encoding="utf-8")
    (source,) = locate(DatasetEntry(name="x", place="file", location=str(path)), path.parent)
    return source


def rows_of(source: SourceFile) -> list[object]:
    return [row.row for row in read_rows([source])]


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".tsv", ".parquet"])
def test_one_row_is_replaced_and_the_others_stay(tmp_path: Path, suffix: str) -> None:
    source = written(tmp_path / f"rows{suffix}")
    changed = {"instruction": 'zwei\n"2"', "output": "新"}
    replace_row(source, 1, changed)
    assert rows_of(source) == [ROWS[0], changed, ROWS[2]]
    with pytest.raises(UserError, match="no row 3"):
        replace_row(source, 3, changed)
    assert rows_of(source) == [ROWS[0], changed, ROWS[2]]
    assert [path.name for path in tmp_path.iterdir()] == [f"rows{suffix}"]


def test_a_broken_line_is_replaced_and_other_lines_stay_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a" :  1}\n{broken\n\n{"b":2}')
    replace_row(SourceFile(path, "utf-8"), 1, {"fixed": True})
    assert path.read_bytes() == b'{"a" :  1}\n{"fixed": true}\n\n{"b":2}'


@pytest.mark.parametrize(
    ("name", "content", "text", "mended"),
    [
        ("rows.jsonl", '{"a": "x"}\n{"a": "y"\n', '{"a": "y"', '{"a": "y"}'),
        ("rows.json", '[{"a": "x"}, ["y"]]', '["y"]', '{"a": "y"}'),
        ("rows.csv", 'a,b\nx,1\n"y, z",1,2\n', '"y, z",1,2', '"y, z",1'),
    ],
)
def test_what_cannot_be_read_is_corrected_as_it_stands_there(
    tmp_path: Path, name: str, content: str, text: str, mended: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    source = SourceFile(path, "utf-8")
    broken = list(read_rows([source]))[1].row
    assert isinstance(broken, RowError) and broken.text == text
    for wrong in (text, ""):
        with pytest.raises(UserError, match=r"JSON|columns|expected"):
            row_of(source, wrong)
    with pytest.raises(UserError, match="holds nothing"):
        replace_row(source, 1, {})
    assert path.read_text(encoding="utf-8") == content
    replace_row(source, 1, row_of(source, mended))
    assert isinstance(after := list(read_rows([source]))[1].row, dict) and after["a"][0] == "y"


@pytest.mark.parametrize(
    ("name", "content", "after"),
    [
        ("rows.csv", "a,b\n1,2,3\nx,y,z\n", [{"a": "1", "b": "2"}, "x,y,z"]),
        ("rows.json", '[[1], ["z"]]', [{"a": "1", "b": "2"}, '["z"]']),
    ],
)
def test_one_of_two_broken_rows_is_corrected_and_the_other_waits(
    tmp_path: Path, name: str, content: str, after: list[object]
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    replace_row(SourceFile(path, "utf-8"), 0, {"a": "1", "b": "2"})
    rows = rows_of(SourceFile(path, "utf-8"))
    assert [row.text if isinstance(row, RowError) else row for row in rows] == after


def test_a_table_keeps_its_columns(tmp_path: Path) -> None:
    source = written(tmp_path / "rows.csv")
    with pytest.raises(UserError, match="no column 'new'"):
        replace_row(source, 0, {"instruction": "a", "output": "b", "new": "c"})
    assert rows_of(source) == ROWS


def test_rows_that_are_taken_out_are_kept_beside(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{broken\n{"a": 3}\n', encoding="utf-8")
    source = SourceFile(path, "utf-8")
    assert keep_rows(source, lambda at, row: not isinstance(row.row, RowError), tmp_path / "rows.removed.txt") == 1
    assert rows_of(source) == [{"a": 1}, {"a": 3}]
    (line,) = (tmp_path / "rows.removed.txt").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["line"] == 2 and "not JSON" in json.loads(line)["reason"]
    assert keep_rows(source, lambda at, row: True, tmp_path / "rows.removed.txt") == 0


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_a_row_that_was_taken_out_is_put_back(tmp_path: Path, suffix: str) -> None:
    source = written(tmp_path / f"rows{suffix}")
    aside = taken_out(source)
    keep_rows(source, lambda at, row: at == 1, aside)
    first, third = aside.read_text(encoding="utf-8").splitlines()
    put_back(source, third)
    assert rows_of(source) == [ROWS[1], ROWS[2]]
    assert aside.read_text(encoding="utf-8") == f"{first}\n"
    with pytest.raises(UserError, match="not among"):
        put_back(source, third)


def test_from_upload_to_mask(client: TestClient, tiny_model: str, workspace: Path) -> None:
    again = '{"question": "a?", "reply": "b"}\n'
    body = again + "{bad\n" + again + '{"question": "c?", "reply": "d 好"}\n'
    assert client.post("/api/datasets/upload?name=mine.jsonl", content=body.encode()).json() == {"name": "mine"}
    listed = {entry["name"]: entry for entry in client.get("/api/datasets").json()}
    assert list(listed) == ["mine", "numbers"] and listed["mine"]["bytes"] == len(body.encode())

    look = client.post("/api/datasets/mine/look", json={"settings": {"model_name_or_path": tiny_model}}).json()
    assert (look["format"], look["rows"], look["usable"], look["duplicates"]) == ("alpaca", 4, 3, 1)
    assert look["refusals"][0]["line"] == 2 and look["columns"]["prompt"] == "question"
    assert look["lengths"]["longest"] > 0 and look["lengths"]["cutoffs"][0]["fill"] > 0

    shown = client.post("/api/datasets/mine/rows", json={"offset": 1, "limit": 2}).json()
    assert [row["number"] for row in shown["rows"]] == [1, 2] and shown["rows"][0]["text"] == "{bad"
    assert shown["columns"] == ["question", "reply"]
    empty = client.put("/api/datasets/mine/rows/1", json={"row": {}, "revision": shown["revision"]})
    assert empty.status_code == 400 and "holds nothing" in empty.json()["message"]
    fixed = {"text": '{"question": "e?", "reply": "f"}', "revision": shown["revision"]}
    saved = client.put("/api/datasets/mine/rows/1", json=fixed)
    assert saved.status_code == 200 and saved.json()["revision"] != shown["revision"]
    assert client.put("/api/datasets/mine/rows/1", json=fixed).status_code == 409
    done = client.post("/api/datasets/mine/fix", json={"fix": "duplicates", **saved.json()}).json()
    assert done["removed"] == 1

    asked = {"settings": {"model_name_or_path": tiny_model}, "offset": 2, "limit": 1}
    (sample,) = client.post("/api/datasets/mine/mask", json=asked).json()["samples"]
    text = "".join(piece["text"] for piece in sample["pieces"])
    learned = "".join(piece["text"] for piece in sample["pieces"] if piece["trained"])
    assert "c?" in text and learned.startswith("d 好") and "c?" not in learned
    assert {"special", "masked", "trained"} <= {piece["kind"] for piece in sample["pieces"]}
    assert {piece["trained"] for piece in sample["pieces"] if piece["kind"] == "special"} == {True, False}
    asked["settings"]["cutoff_len"] = 16  # type: ignore[index]
    (cut,) = client.post("/api/datasets/mine/mask", json=asked).json()["samples"]
    kept = sum(len(piece["ids"]) for piece in cut["pieces"] if piece["kind"] != "truncated")
    assert kept == 16 and cut["tokens"] == sample["tokens"] > 16


def test_columns_that_tell_nothing_are_named_by_a_person(client: TestClient, workspace: Path) -> None:
    client.post("/api/datasets/upload?name=odd.jsonl", content=b'{"ID": "1", "Q1": "a", "A1": "b"}\n')
    look = client.post("/api/datasets/odd/look", json={}).json()
    assert look["format"] is None and look["found"] == ["ID", "Q1", "A1"] and "Q1" in look["problem"]["message"]
    assert look["guess"] == {"prompt": "Q1", "response": "A1"}
    assert client.put("/api/datasets/odd/mapping", json={"columns": {"promt": "Q1"}}).status_code == 400
    told = client.put("/api/datasets/odd/mapping", json={"columns": {"prompt": "Q1", "response": "A1"}})
    assert told.status_code == 200
    read = client.post("/api/datasets/odd/look", json={}).json()
    assert read["usable"] == 1 and read["told"] and not look["told"]
    given = {"prompt": "Q1", "response": "A1", "query": None}
    assert client.put("/api/datasets/odd/mapping", json={"columns": given}).status_code == 200
    cleared = client.post("/api/datasets/odd/look", json={}).json()["columns"]
    assert read["columns"]["query"] == look["columns"]["query"] == "input" and "query" not in cleared
    info = json.loads((workspace / "data" / "dataset_info.json").read_text(encoding="utf-8"))
    assert list(info) == ["numbers", "odd"]


@pytest.mark.parametrize("name", ["../x.jsonl", "x.exe", ".jsonl", "a\x00.jsonl", "x|y.jsonl"])
def test_a_file_is_put_where_it_belongs_or_nowhere(client: TestClient, workspace: Path, name: str) -> None:
    answer = client.post("/api/datasets/upload", params={"name": name}, content=b'{"text": "x"}\n')
    assert answer.status_code in (201, 400)
    outside = {path.name for path in workspace.parent.iterdir()}
    assert outside == {"workspace"}
    assert not any(path.name.endswith(".part") for path in (workspace / "data").iterdir())


def test_a_second_file_of_the_name_gets_another(client: TestClient, workspace: Path) -> None:
    for wanted in ("twice", "twice_2"):
        content = json.dumps({"instruction": wanted, "output": "x"}).encode()
        assert client.post("/api/datasets/upload?name=twice.jsonl", content=content).json()["name"] == wanted
    assert client.post("/api/datasets/upload?name=empty.jsonl", content=b"").status_code == 400
    assert not (workspace / "data" / "empty.jsonl").exists()


def test_two_uploads_of_one_name_at_once_each_get_a_file(studio: Studio, workspace: Path) -> None:
    class Sent:
        def __init__(self, content: bytes) -> None:
            self.content, self.headers = content, dict[str, str]()

        async def stream(self) -> AsyncIterator[bytes]:
            yield self.content
            await asyncio.sleep(0.01)
            yield b"\n"

    async def both() -> list[Path]:
        sent: list[Any] = [Sent(b"one"), Sent(b"two")]
        kept = [receive(one, workspace / "data", "x.txt", studio) for one in sent]
        return await asyncio.gather(*kept)

    paths = asyncio.run(both())
    assert [path.read_bytes() for path in paths] == [b"one\n", b"two\n"]
    assert sorted(path.name for path in paths) == ["x.txt", "x_2.txt"]


def test_the_list_of_data_sets_is_no_data_set(client: TestClient) -> None:
    answer = client.post("/api/datasets/upload?name=dataset_info.json&dataset_dir=fresh", content=b"[]")
    assert answer.status_code == 400 and answer.json()["field"] == "name"
    assert client.get("/api/datasets?dataset_dir=fresh").status_code in (200, 400)


def test_a_name_that_had_to_be_changed_is_counted_as_changed(client: TestClient, workspace: Path) -> None:
    for folder, wanted in (("one", "a-b"), ("two", "a-b_2")):
        (workspace / folder).mkdir()
        (workspace / folder / "a,b.jsonl").write_text('{"instruction": "a", "output": "b"}\n', encoding="utf-8")
        assert client.post("/api/datasets/add", json={"path": f"{folder}/a,b.jsonl"}).json() == {"name": wanted}


def test_a_file_of_the_workspace_or_a_hub_is_added(client: TestClient, workspace: Path) -> None:
    (workspace / "elsewhere").mkdir()
    (workspace / "elsewhere" / "x.jsonl").write_text('{"instruction": "a", "output": "b"}\n', encoding="utf-8")
    assert client.post("/api/datasets/add", json={"path": "elsewhere/x.jsonl"}).json() == {"name": "x"}
    assert client.post("/api/datasets/x/look", json={}).json()["usable"] == 1
    assert client.post("/api/datasets/add", json={"hub": "owner/rows", "split": "test"}).json() == {"name": "rows"}
    assert client.post("/api/datasets/add", json={"path": "/etc/passwd"}).status_code == 400
    assert client.post("/api/datasets/add", json={"hub": "no repository"}).status_code == 400
    assert client.delete("/api/datasets/x").status_code == 204
    assert (workspace / "elsewhere" / "x.jsonl").exists()


@pytest.mark.parametrize("do", ["look", "rows", "mask"])
def test_reading_ends_between_two_rows_where_nobody_waits(workspace: Path, tiny_model: str, do: str) -> None:
    stopped = threading.Event()
    stopped.set()
    asked = {"dataset": "numbers", "settings": {"model_name_or_path": tiny_model, "dataset_dir": "data"}}
    with pytest.raises(CalledOff):
        list(operations()[do](asked, stopped))


def test_memory_is_told_by_parts(client: TestClient, tiny_model: str) -> None:
    def total(**settings: object) -> dict[str, dict[str, int]]:
        asked = {"settings": {"model_name_or_path": tiny_model, "use_cpu": True, "cutoff_len": 256, **settings}}
        told: dict[str, dict[str, int]] = client.post("/api/estimate", json=asked).json()
        return told["parts"] | {"total": told["total"]}  # type: ignore[dict-item, return-value]

    small, large = total(lora_rank=4), total(lora_rank=64)
    assert set(small) == {"weights", "gradients", "optimizer", "activations", "logits", "runtime", "total"}
    assert large["optimizer"] > small["optimizer"] and large["activations"] == small["activations"]
    known, unknown = ({"cutoff_len": 2048, "dataset": name} for name in ("numbers", "no-such"))
    asked = {"model_name_or_path": tiny_model, "use_cpu": True}
    told = client.post("/api/estimate", json={"settings": asked | known}).json()
    assert told["longest"] < 100 and not told["at_most"]  # as the plan and the run would meet them
    most = client.post("/api/estimate", json={"settings": asked | unknown}).json()
    assert most["longest"] == 2048 and most["at_most"] and most["parts"]["activations"] > told["parts"]["activations"]
    assert client.post("/api/estimate", json={"settings": {}}).json()["field"] == "model_name_or_path"


@pytest.fixture
def longest(
    client: TestClient, studio: Studio, tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int | None]:
    """`longest(DATASET)`: tokens of the rows that the memory is told for; None where they are at most the cutoff."""
    here = Memory()

    class Here:
        def ask(self, do: str, wanted: object, **question: object) -> dict[str, object]:
            (answer,) = here.estimate(json.loads(json.dumps(question)), threading.Event())
            return answer

    monkeypatch.setattr(studio.children, "asked", Here)

    def tell(dataset: str, **others: object) -> int | None:
        settings = {"model_name_or_path": tiny_model, "use_cpu": True, "dataset": dataset, **others}
        told = client.post("/api/estimate", json={"settings": settings}).json()
        return None if told["at_most"] else int(told["longest"])

    return tell


def test_memory_is_told_for_the_data_as_it_is_now(workspace: Path, longest: Callable[..., int | None]) -> None:
    info, rows = workspace / "data" / "dataset_info.json", workspace / "data" / "notes" / "rows.jsonl"
    rows.parent.mkdir()

    def name(**columns: str) -> None:
        info.write_text(json.dumps({"notes": {"file_name": "notes", "columns": columns}}), encoding="utf-8")

    name(prompt="q", response="a")
    rows.write_text('{"q": "1", "a": "2", "b": "one two three four five six"}\n', encoding="utf-8")
    first = longest("notes")
    with rows.open("a", encoding="utf-8") as file:  # the folder's own time stays
        file.write('{"q": "one two three", "a": "2", "b": "3"}\n')
    grown = longest("notes")
    name(prompt="q", response="b")
    mapped = longest("notes")
    assert first and grown and mapped and first < grown < mapped


def test_the_longest_row_is_looked_for_among_those_that_are_trained_on(
    workspace: Path, longest: Callable[..., int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"instruction": "short", "output": "x"}] * 5 + [{"instruction": "the long one " * 5, "output": "x"}]
    (workspace / "data" / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    info = {"all": {"file_name": "rows.json"}, "drawn": {"file_name": "rows.json", "num_samples": 3}}
    (workspace / "data" / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    short, whole = longest("all", max_samples=2), longest("all")
    assert short and whole and short < whole
    assert longest("drawn", max_samples=2) == whole  # drawn from all, and the first two of these taken
    taken: list[object] = []
    monkeypatch.setattr(memory, "while_wanted", lambda rows, _: (taken.append(row) or row for row in rows))
    monkeypatch.setattr(memory, "_GLANCED", 4)
    assert longest("all", max_samples=6) is None and len(taken) == 5  # a form does not wait for the end of a large file
    assert longest("all", max_samples=5) is None and longest("all", max_samples=4) == short


def test_another_cutoff_is_told_from_lengths_that_are_known(
    tiny_model: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = operations()

    def ask(what: str, **settings: object) -> dict[str, Any]:
        asked = {"model_name_or_path": tiny_model, "dataset_dir": "data", **settings}
        return next(process[what]({"dataset": "numbers", "settings": asked}, threading.Event()))

    look = ask("look")
    by_look = {plan["cutoff"]: plan for plan in ask("look", cutoff_len=7)["lengths"]["cutoffs"]}
    assert by_look[7]["truncated_rows"] == 40 and look["lengths"]["total"] > by_look[7]["truncated_tokens"] > 0
    with monkeypatch.context() as counting:
        counting.setattr("tunesmith.jobs.data.checked", None)  # nothing is counted anew
        assert ask("cutoff", cutoff_len=7) == by_look[7]
    (workspace / "data" / "numbers.json").write_text('[{"instruction": "a", "output": "b"}]', encoding="utf-8")
    assert ask("cutoff", cutoff_len=7)["truncated_rows"] == 1
