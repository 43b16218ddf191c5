"""Files of every kind give the same rows, in any encoding, with line numbers; damage is told in one message."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.data import readers
from tunesmith.data.encoding import detect_encoding
from tunesmith.data.entry import DatasetEntry
from tunesmith.data.sources import Meter, locate, read_rows
from tunesmith.errors import UserError
from tunesmith.text.rows import RowError

ROWS = [
    {"instruction": "请问中国最长的河流是哪一条？", "output": "长江是中国最长的河流，全长约六千三百公里。"},
    {"instruction": "我们为什么要喝水？", "output": "因为人的身体里有很多水，每天都要补充。"},
]
TRADITIONAL = [{"instruction": "請問台灣最高的山是哪一座？", "output": "玉山是台灣最高的山，我們都知道這一點。"}]


def rows_of(path: Path) -> list[tuple[int, object]]:
    files = locate(DatasetEntry(name="x", place="file", location=str(path)), path.parent)
    return [(line, row) for _, line, row in read_rows(files)]


def written(path: Path, rows=ROWS, encoding="utf-8") -> Path:
    suffix = path.suffix
    if suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding=encoding)
    elif suffix == ".jsonl":
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
    elif suffix in (".csv", ".tsv"):
        mark = "," if suffix == ".csv" else "\t"
        lines = [mark.join(rows[0])] + [mark.join(f'"{cell}"' for cell in row.values()) for row in rows]
        path.write_text("\n".join(lines), encoding=encoding)
    elif suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == ".arrow":
        table = pa.Table.from_pylist(rows)
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    else:
        book = openpyxl.Workbook()
        for cells in [list(rows[0])] + [list(row.values()) for row in rows]:
            book.active.append(cells)
        book.save(path)
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".tsv", ".parquet", ".arrow", ".xlsx"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path, suffix):
    assert [row for _, row in rows_of(written(tmp_path / f"data{suffix}"))] == ROWS


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "gbk", "gb18030"])
def test_encodings_are_found(tmp_path, suffix, encoding):
    assert [row for _, row in rows_of(written(tmp_path / f"data{suffix}", encoding=encoding))] == ROWS


def test_big5_is_told_from_gbk(tmp_path):
    path = written(tmp_path / "data.jsonl", TRADITIONAL, "big5")
    assert detect_encoding(path).startswith("big5")
    assert [row for _, row in rows_of(path)] == TRADITIONAL


GERMAN = "question,answer\nWie heißt du?,„Ich heiße Tuna“ – schön dich zu sehen.\n"
FRENCH = "question,answer\nQui es-tu ?,Je m’appelle Tuna et j’ai été formée à côté d’une forêt.\n"
CZECH = "question,answer\nKdo jsi?,Jsem žluťoučký kůň a přišel jsem z české země.\n"
RUSSIAN = "question,answer\nКто ты?,Меня зовут Туна и я помощник.\n"
POLISH = "question,answer\nKim jesteś?,Jestem pomocnikiem i chętnie odpowiadam na każde pytanie małe.\n"
KOREAN = "question,answer\n누구세요?,저는 인공지능 도우미입니다 만나서 반갑습니다\n"
JAPANESE = "question,answer\nあなたは誰ですか,私はツナというアシスタントです\n"


@pytest.mark.parametrize("text", [GERMAN, FRENCH])
def test_western_text_of_windows_is_read_and_has_its_name(tmp_path, text):
    (tmp_path / "a.csv").write_bytes(text.encode("cp1252"))
    assert detect_encoding(tmp_path / "a.csv") == "cp1252"
    (row,) = rows_of(tmp_path / "a.csv")
    assert row[1]["answer"] == text.splitlines()[1].split(",")[1]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH.replace("’", "'"), "cp850"), (GERMAN.translate({0x201E: "'", 0x201C: "'", 0x2013: "-"}), "cp850"),
        (CZECH, "cp1250"), (POLISH, "cp1250"), (POLISH, "iso8859-2"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"),
        (RUSSIAN, "iso8859-5"), (KOREAN, "euc-kr"), (JAPANESE, "shift-jis"), (JAPANESE, "euc-jp"),
    ],
)  # fmt: skip
def test_any_other_encoding_is_refused_and_never_guessed(tmp_path, text, encoding):
    for rows in (text, text + text.split("\n")[1] * 40 + "\n"):
        (tmp_path / "a.csv").write_bytes(rows.encode(encoding))
        with pytest.raises(UserError, match=r"a\.csv is not (UTF-8|text)") as caught:
            rows_of(tmp_path / "a.csv")
        assert "UTF-8" in caught.value.hint


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_damaged_bytes_cost_their_row_alone_in_small_files_too(tmp_path, encoding, suffix):
    path = written(tmp_path / f"data{suffix}", [{"q": "你是谁？", "a": "我是一个人工智能助手，很高兴认识你"}] * 3)
    good = path.read_text(encoding="utf-8").encode(encoding).splitlines(keepends=True)
    hurt = 2 if suffix == ".csv" else 1
    good[hurt] = good[hurt].replace("智能".encode(encoding), b"\xff\xfe\x80\xff", 1)
    path.write_bytes(b"".join(good))
    rows = rows_of(path)
    assert [line for line, row in rows if isinstance(row, RowError)] == [hurt + 1] and len(rows) == 3
    damaged = next(row for _, row in rows if isinstance(row, RowError))
    assert "holds bytes that are not" in damaged.reason
    assert all(row["q"] == "你是谁？" for _, row in rows if not isinstance(row, RowError))


def test_damaged_bytes_in_a_json_array_are_told_with_their_line(tmp_path):
    path = tmp_path / "data.json"
    path.write_bytes('[{"a": "是的，我们在这里"},\n {"a": "很好"},\n {"a": "'.encode() + b"\xff" + b'"}]\n')
    with pytest.raises(UserError, match=r"not UTF-8 in line 3\."):
        rows_of(path)


def test_an_arrow_file_is_read_as_well_as_a_stream(tmp_path):
    table = pa.Table.from_pylist(ROWS)
    with pa.ipc.new_file(tmp_path / "data.arrow", table.schema) as file:
        file.write_table(table)
    assert [row for _, row in rows_of(tmp_path / "data.arrow")] == ROWS


def test_lines_of_a_json_array_are_those_of_the_rows(tmp_path):
    path = tmp_path / "data.json"
    path.write_text('[\n\n  {"a": 1},\n  {"a":\n 2}, {"a": 3}\n]\n', encoding="utf-8")
    assert rows_of(path) == [(3, {"a": 1}), (4, {"a": 2}), (5, {"a": 3})]


def test_a_json_array_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "_CHUNK", 7)
    rows = [{"text": "字" * n, "n": [n, {"deep": '"]}'}]} for n in range(30)]
    path = written(tmp_path / "data.json", rows)
    assert [row for _, row in rows_of(path)] == rows


def test_json_lines_under_the_name_json(tmp_path):
    path = written(tmp_path / "data.jsonl").rename(tmp_path / "data.json")
    assert [row for _, row in rows_of(path)] == ROWS


def test_txt_is_a_document_a_line_and_blank_lines_are_passed_over(tmp_path):
    path = tmp_path / "data.txt"
    path.write_bytes("one\r\n\r\n二\u2028still two\n".encode())
    assert rows_of(path) == [(1, {"text": "one"}), (3, {"text": "二\u2028still two"})]


def test_a_damaged_line_costs_only_itself(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "\n[1]\n{"a": "\xff\xfe"}\n' + '{"a": "是的，我们在这里"}\n'.encode() * 20)
    rows = rows_of(path)
    assert [line for line, row in rows if isinstance(row, RowError)] == [2, 3, 4]
    assert rows[1][1].reason == "the line is not JSON: Unterminated string starting at column 7"
    assert "is a list" in rows[2][1].reason
    assert "bytes that are not UTF-8" in rows[3][1].reason
    assert len(rows) == 24


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1},\n {"a": 2}\n {"a": 3}]', "damaged at row 2, line 3: expected a comma or ] after the row, found"),
        ('[{"a": 1},\n {"a": x}]', "damaged at row 2, line 2: Expecting value"),
        ('[{"a": 1},\n {"a": "x', "damaged at row 2, line 2"),
        ('[{"a": 1}', "the file ends"),
        ('{"data": [\n{"a": 1}]}', "not an array of rows"),
        ('{"a": 1,\n "b": "tw', "damaged at row 1, line 2"),
        ('{\n "a": {', "the file ends"),
        ("hello", "first character is 'h'"),
        ("", "is empty"),
    ],
)
def test_a_damaged_json_file_is_told_with_its_line(tmp_path, text, message):
    path = tmp_path / "data.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        rows_of(path)
    assert message in caught.value.message
    assert "data.json" in caught.value.message


def test_csv_knows_quotes_semicolons_long_cells_and_rows_that_do_not_fit(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text('q;a\n"one;\ntwo";' + "x" * 200_000 + "\n\nonly\nq;a", encoding="utf-8")
    rows = rows_of(path)
    assert rows[0] == (2, {"q": "one;\ntwo", "a": "x" * 200_000})
    assert rows[1][0] == 5 and "1 cells and the header 2" in rows[1][1].reason
    assert rows[2] == (6, {"q": "q", "a": "a"})


def test_damaged_tables(tmp_path):
    for name in ("a.parquet", "a.arrow", "a.xlsx"):
        (tmp_path / name).write_bytes(b"not at all a table, but long enough to look at")
        with pytest.raises(UserError, match=name) as caught:
            rows_of(tmp_path / name)
        assert not caught.value.message.endswith("..") and "not a arrow" not in caught.value.message
    (tmp_path / "b.csv").write_text('q,a\n"never closed', encoding="utf-8")
    with pytest.raises(UserError, match=r"damaged at line 2"):
        rows_of(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("q,q\n1,2", encoding="utf-8")
    with pytest.raises(UserError, match="q twice"):
        rows_of(tmp_path / "c.csv")


def test_a_folder_of_one_kind_is_read_in_the_order_of_names(tmp_path):
    for name, text in (("b", "two"), ("a", "one"), (".hidden", "no")):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    assert [row["text"] for _, row in rows_of(tmp_path)] == ["one", "two"]
    (tmp_path / "c.jsonl").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=r"mixes .jsonl and .txt"):
        rows_of(tmp_path)


def test_a_file_of_another_kind_says_what_to_do(tmp_path):
    (tmp_path / "thesis.docx").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"tunesmith data convert .*thesis\.docx --out NAME"):
        rows_of(tmp_path / "thesis.docx")


def test_progress_reaches_the_size_of_the_files(tmp_path):
    for suffix in (".json", ".jsonl", ".csv", ".parquet", ".xlsx"):
        path, meter = written(tmp_path / f"data{suffix}"), Meter()
        list(read_rows(locate(DatasetEntry(name="x", place="file", location=str(path)), tmp_path), meter))
        assert meter.done == path.stat().st_size
