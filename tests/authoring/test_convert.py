"""Tables, documents and other formats become a data set that trains; what can't be used is told with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.authoring import documents
from tests.authoring.library import converted

from tunesmith.authoring.convert import ConvertOptions, convert, plan
from tunesmith.authoring.mapping import Wanted
from tunesmith.authoring.sources import ReadingOptions
from tunesmith.authoring.tables import read_tables
from tunesmith.cli.main import main
from tunesmith.data.catalog import resolve
from tunesmith.data.check import check_dataset
from tunesmith.data.examples import ExampleReader, ReadExample
from tunesmith.data.sources import locate
from tunesmith.data.tokenize import open_dataset
from tunesmith.errors import UserError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def tables_of(path: Path, **options: Any) -> list[tuple[tuple[str, ...], list[dict[str, str]], list[str]]]:
    return [(table.columns, [row for _, row in table.rows], table.notes) for table in read_tables(path, **options)]


def test_the_row_that_names_the_columns_is_found(tmp_path: Path) -> None:
    rows = [["Price list 2026"], [], ["Item", "Price"], ["Tea", 3.5], [], ["Salt", 2]]
    ((columns, found, notes),) = tables_of(documents.xlsx(tmp_path / "a.xlsx", {"S": rows}))
    assert columns == ("Item", "Price")
    assert found == [{"Item": "Tea", "Price": "3.5"}, {"Item": "Salt", "Price": "2"}]
    assert any("row 3" in note and "Price list 2026" in note for note in notes)
    assert any("1 empty row is" in note for note in notes)


def test_merged_cells_are_filled(tmp_path: Path) -> None:
    rows = [["Group", "Item"], ["Drinks", "Tea"], [None, "Milk"], ["Spices", "Salt"]]
    path = documents.xlsx(tmp_path / "a.xlsx", {"S": rows}, {"S": "A2:A3"})
    ((_, found, _),) = tables_of(path)
    assert [row["Group"] for row in found] == ["Drinks", "Drinks", "Spices"]


def test_a_header_of_two_rows(tmp_path: Path) -> None:
    rows = [["Card", "Meaning", None], [None, "upright", "reversed"], ["Fool", "start", "haste"]]
    path = documents.xlsx(tmp_path / "a.xlsx", {"S": rows}, {"S": "B1:C1"})
    ((columns, found, _),) = tables_of(path)
    assert columns == ("Card", "Meaning upright", "Meaning reversed")
    assert found == [{"Card": "Fool", "Meaning upright": "start", "Meaning reversed": "haste"}]


def test_a_table_without_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,2\n3,4\n", encoding="utf-8")
    ((columns, found, notes),) = tables_of(path)
    assert columns == ("A", "B")
    assert len(found) == 2
    assert "no row names the columns" in notes[0]
    ((columns, found, _),) = tables_of(path, header=1)
    assert columns == ("1", "2")
    assert len(found) == 1


def test_old_excel_and_a_chinese_csv(tmp_path: Path) -> None:
    ((_, found, _),) = tables_of(documents.xls(tmp_path / "a.xls", [["问题", "答案"], ["几点？", 9]]))
    assert found == [{"问题": "几点？", "答案": "9"}]
    path = tmp_path / "a.csv"
    path.write_bytes('问题;答案\n"怎么;退货？";"七天内可以，\n请留发票。"\n'.encode("gbk"))
    ((_, found, notes),) = tables_of(path)
    assert found == [{"问题": "怎么;退货？", "答案": "七天内可以，\n请留发票。"}]
    assert "GB18030" in notes[0]


def test_columns_are_guessed_and_empty_answers_told(tmp_path: Path) -> None:
    rows = [["编号", "问题", "答案"], [1, "怎么退货？", "七天内可退。"], [2, "几点开门？", None]]
    found, done = converted(documents.xlsx(tmp_path / "faq.xlsx", {"客服": rows}), tmp_path)
    place = {"source": "faq.xlsx", "source_sheet": "客服", "source_row": 2}
    assert found == [{"instruction": "怎么退货？", "input": "", "output": "七天内可退。", **place}]
    assert list(done.rejected) == ["column '答案' is empty (first: faq.xlsx, sheet 客服, row 3)"]
    assert any("编号" in note for note in done.notes)
    assert done.beside is not None
    rejected = json.loads(done.beside.read_text(encoding="utf-8"))
    assert rejected["row"]["问题"] == "几点开门？"


def test_templates_over_columns_make_several_rows_of_one(tmp_path: Path) -> None:
    rows = [["Card", "Upright", "Reversed"], ["Fool", "a start", "haste"]]
    wanted = Wanted(("{Card} upright?", "{Card} reversed?"), ("Upright", "It means {Reversed}."), system="A {{name}}.")
    found, _ = converted(
        documents.xlsx(tmp_path / "a.xlsx", {"S": rows}),
        tmp_path,
        reading=ReadingOptions(wanted=wanted),
        file_type="jsonl",
    )
    asked = {"input": "", "system": "A {{name}}.", "source": "a.xlsx", "source_sheet": "S", "source_row": 2}
    assert found == [
        {"instruction": "Fool upright?", "output": "a start", **asked},
        {"instruction": "Fool reversed?", "output": "It means haste.", **asked},
    ]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(), "the headers don't tell"),
        (Wanted(("{Crad}?",), ("Upright",)), "Did you mean Card"),
        (Wanted(("Card",), ("Uprigth",)), "Did you mean Upright"),
        (Wanted(("What is it?",), ("Upright",)), "every row would ask the same"),
        (Wanted(("Card", "Upright"), ("Card", "Upright", "Card")), "given 2 times and --output 3 times"),
    ],
)
def test_a_mapping_that_is_wrong(tmp_path: Path, wanted: Wanted, message: str) -> None:
    path = documents.xlsx(tmp_path / "a.xlsx", {"S": [["Card", "Upright"], ["Fool", "a start"]]})
    with pytest.raises(UserError) as error:
        converted(path, tmp_path, reading=ReadingOptions(wanted=wanted))
    assert message in str(error.value)
    assert not (tmp_path / "data" / "dataset_info.json").exists()


def test_documents_by_paragraph_line_section_and_whole(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# One\n\nFirst.\n\nSecond\nline.\n\n# Two\n\nThird.\n", encoding="utf-8")
    (folder / "scan.pdf").write_bytes(b"no pdf")
    texts = {}
    for mode in ("paragraph", "line", "section", "whole"):
        rows, done = converted(folder, tmp_path, mode, reading=ReadingOptions(mode=mode))
        texts[mode] = [row["text"] for row in rows]
        assert [skipped.path.name for skipped in done.skipped] == ["scan.pdf"]
        assert rows[0]["source"] == "docs/a.md"
    assert texts["paragraph"] == ["First.", "Second\nline.", "Third."]
    assert texts["line"] == ["First.", "Second", "line.", "Third."]
    assert texts["section"] == ["One\n\nFirst.\n\nSecond\nline.", "Two\n\nThird."]
    assert texts["whole"] == ["One\n\nFirst.\n\nSecond\nline.\n\nTwo\n\nThird."]
    (entry,) = resolve("whole", tmp_path / "data")
    assert check_dataset(entry, stage="pt", cache_dir=tmp_path, placeholders={}).usable == 1


def test_questions_and_answers_that_are_written_in_a_text(tmp_path: Path) -> None:
    path = tmp_path / "faq.txt"
    path.write_text(
        "常见问题\n\n问：怎么退货？\n答：七天内可退。\n请留发票。\n\n问：几点开门？\n\nQ: Is it open?\n\nA: Yes.\n",
        "utf-8",
    )
    rows, done = converted(path, tmp_path, reading=ReadingOptions(mode="qa"))
    assert [(row["instruction"], row["output"]) for row in rows] == [
        ("怎么退货？", "七天内可退。\n请留发票。"),
        ("Is it open?", "Yes."),
    ]
    assert "几点开门" in next(iter(done.rejected))


def test_paragraphs_and_code_below_an_answer_belong_to_it(tmp_path: Path) -> None:
    path = tmp_path / "faq.md"
    code = "```sh\nls -a\nQ: not a question\n```"
    path.write_text(
        f"# Files\n\nQ: How do I list them?\n\nA: Like this:\n\n{code}\n\nThat is all.\n\nQ: And?\nA:\n", "utf-8"
    )
    rows, done = converted(path, tmp_path, reading=ReadingOptions(mode="qa"))
    assert [(row["instruction"], row["output"]) for row in rows] == [
        ("How do I list them?", f"Like this:\n\n{code}\n\nThat is all.")
    ]
    assert "'And?' has no answer" in next(iter(done.rejected))


CALL = {"name": "time", "arguments": {"zone": "UTC"}}
TOOLS = [{"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}}]
SHAREGPT = [
    {
        "conversations": [
            {"from": "human", "value": "What time is it?"},
            {"from": "function_call", "value": json.dumps(CALL)},
            {"from": "observation", "value": "12:00"},
            {"from": "gpt", "value": "<think>\nnoon\n</think>\n\nNoon."},
            {"from": "human", "value": "Thanks."},
            {"from": "gpt", "value": "Welcome.", "train": False},
        ],
        "system": "Be brief.",
        "tools": json.dumps(TOOLS),
        "source": "log 7",
    }
]


def test_a_conversation_goes_to_openai_and_back_whole(tmp_path: Path) -> None:
    there, _ = converted(written(tmp_path / "a.jsonl", SHAREGPT), tmp_path, "there", to="openai")
    assert [message["role"] for message in there[0]["messages"]] == [
        "system", "user", "assistant", "tool", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert json.loads(there[0]["messages"][2]["tool_calls"][0]["function"]["arguments"]) == {"zone": "UTC"}
    assert there[0]["messages"][4]["reasoning_content"] == "noon"
    assert there[0]["source"] == "log 7"
    back, _ = converted("there", tmp_path, "back", to="sharegpt")
    assert back == SHAREGPT


def test_turns_go_to_alpaca_and_back(tmp_path: Path) -> None:
    row = {"instruction": "C?", "input": "", "output": "c", "system": "s", "history": [["A?", "a"], ["B?", "b"]]}
    there, _ = converted(written(tmp_path / "a.jsonl", [row]), tmp_path, "there", to="sharegpt")
    assert len(there[0]["conversations"]) == 6
    back, _ = converted("there", tmp_path, "back", to="alpaca")
    assert back == [row]


def test_what_a_format_can_not_hold_is_refused_with_its_place(tmp_path: Path) -> None:
    plain = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
    rows, done = converted(written(tmp_path / "a.jsonl", [*SHAREGPT, plain]), tmp_path, to="alpaca")
    assert len(rows) == 1
    assert list(done.rejected) == [
        "it has tool calls, which alpaca has no place for; sharegpt and openai have (first: a.jsonl:1)"
    ]
    with pytest.raises(UserError, match="The only row is left out"):
        converted(written(tmp_path / "b.jsonl", SHAREGPT), tmp_path, "b", to="alpaca")


def test_keys_of_messages_that_get_lost_are_told(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "a", "name": "Ada"}, {"role": "assistant", "content": "b"}]}
    _, done = converted(written(tmp_path / "a.jsonl", [row]), tmp_path, to="sharegpt")
    assert any("'name'" in note for note in done.notes)


@pytest.mark.parametrize("file_type", ["json", "parquet"])
def test_rows_of_one_format_are_kept_as_they_are(tmp_path: Path, file_type: Any) -> None:
    rows = [{"instruction": "a", "input": "more", "output": "b", "score": 1.5}]
    options = ConvertOptions(out="out", dataset_dir=str(tmp_path / "data"), file_type=file_type)
    done = convert(plan([str(written(tmp_path / "a.jsonl", rows))], options), options)
    again, _ = converted(done.published.path, tmp_path, "again")
    assert again == rows


def test_rated_answers_are_kept_in_every_format(tmp_path: Path) -> None:
    row = {"instruction": "Which?", "input": "", "chosen": "good", "rejected": "bad"}
    there, done = converted(written(tmp_path / "a.jsonl", [row]), tmp_path, "there", to="sharegpt")
    assert there == [
        {
            "conversations": [{"from": "human", "value": "Which?"}],
            "chosen": {"from": "gpt", "value": "good"},
            "rejected": {"from": "gpt", "value": "bad"},
        }
    ]
    entry = json.loads(done.published.info.read_text(encoding="utf-8"))["there"]
    assert entry["ranking"] is True
    assert entry["columns"]["chosen"] == "chosen"
    middle, _ = converted("there", tmp_path, "middle", to="openai")
    assert middle[0]["rejected"] == {"role": "assistant", "content": "bad"}
    back, _ = converted("middle", tmp_path, "back", to="alpaca")
    assert back == [row]


def test_rated_answers_as_whole_conversations(tmp_path: Path) -> None:
    asked = {"role": "user", "content": "Which?"}
    row = {
        "prompt": "Which?",
        "chosen": [asked, {"role": "assistant", "content": "good"}],
        "rejected": [asked, {"role": "assistant", "content": "bad"}],
    }
    rows, _ = converted(written(tmp_path / "a.jsonl", [row]), tmp_path, to="alpaca")
    assert rows == [{"instruction": "Which?", "input": "", "chosen": "good", "rejected": "bad"}]


def test_verdicts_are_kept(tmp_path: Path) -> None:
    row = {"instruction": "a", "input": "", "output": "b", "label": True}
    rows, done = converted(written(tmp_path / "a.jsonl", [row]), tmp_path, to="openai")
    assert rows[0]["label"] is True
    assert json.loads(done.published.info.read_text(encoding="utf-8"))["out"]["columns"]["kto_tag"] == "label"


def test_an_exported_chat(tmp_path: Path) -> None:
    messages = [
        {"sender": "human", "text": "Hi"},
        {"sender": "assistant", "text": "Hello."},
        {"sender": "human", "text": "?"},
    ]
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([{"name": "Greeting", "chat_messages": messages}]), encoding="utf-8")
    rows, _ = converted(path, tmp_path)
    assert rows == [
        {
            "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}],
            "title": "Greeting",
        }
    ]


def test_tables_and_texts_do_not_mix_unless_asked(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("Text.", encoding="utf-8")
    documents.xlsx(folder / "b.xlsx", {"S": [["question", "answer"], ["a", "b"]]})
    with pytest.raises(
        UserError, match=r"questions with answers in 1 \(docs/b.xlsx, sheet S\), plain text in 1 \(docs/a.txt\)"
    ):
        converted(folder, tmp_path)
    rows, done = converted(folder, tmp_path, only="questions", replace=True)
    assert [row["output"] for row in rows] == ["b"] and [one.path.name for one in done.skipped] == ["a.txt"]
    rows, _ = converted(folder, tmp_path, only="text", replace=True)
    assert [row["text"] for row in rows] == ["Text."]
    rows, _ = converted(folder, tmp_path, reading=ReadingOptions(as_text=True), replace=True)
    assert [row["text"] for row in rows] == ["Text.", "question: a\nanswer: b"]


def test_a_sheet_that_does_not_fit_is_skipped_and_told(tmp_path: Path) -> None:
    sheets = {"FAQ": [["question", "answer"], ["a", "b"]], "Notes": [["x", "y"], ["1", "2"]]}
    rows, done = converted(documents.xlsx(tmp_path / "a.xlsx", sheets), tmp_path)
    assert len(rows) == 1
    assert "sheet Notes" in str(done.skipped[0])
    with pytest.raises(UserError, match="There are: FAQ, Notes"):
        converted(tmp_path / "a.xlsx", tmp_path, "b", reading=ReadingOptions(sheets=("FAQS",)))


def test_the_command_shows_the_guess_the_check_and_three_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_tokenizer_dir: Path
) -> None:
    rows = [["question", "answer"], *([f"Question {n}?", f"Answer {n}."] for n in range(5))]
    path = str(documents.xlsx(tmp_path / "faq.xlsx", {"S": rows}))
    data = ["--dataset-dir", str(tmp_path / "data")]
    assert main(["data", "convert", path, "--out", "faq", *data, "--dry-run"]) == 0
    assert not (tmp_path / "data").exists()
    assert main(["data", "convert", path, "--out", "faq", *data]) == 0
    shown = capsys.readouterr().out
    assert "Question 2? → Answer 2." in shown
    assert "5, of which 5 can be used" in shown
    assert "user: Question 2?\nassistant: Answer 2." in shown
    assert main(["data", "convert", "faq", "--out", "faq2", *data, "--model", str(tiny_tokenizer_dir)]) == 0
    assert "<|im_start|>assistant" in capsys.readouterr().out
    assert main(["data", "convert", path, "--out", "x", *data, "--instrution", "a"]) == 2
    assert "Did you mean --instruction" in capsys.readouterr().err


def test_a_comma_in_a_template_is_part_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(
        documents.xlsx(tmp_path / "t.xlsx", {"S": [["city", "land", "fact"], ["Bergen", "Norway", "It rains."]]})
    )
    data = ["--dataset-dir", str(tmp_path / "data")]
    pairs = [
        "--instruction",
        "{city}, {land}?",
        "--output",
        "fact",
        "--instruction",
        "Rain in {city}?",
        "--output",
        "{fact}",
    ]
    assert main(["data", "convert", path, "--out", "c", *data, *pairs]) == 0
    lines = (tmp_path / "data" / "c.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["instruction"] for line in lines] == ["Bergen, Norway?", "Rain in Bergen?"]


def test_a_registered_data_set_in_another_file_keeps_even_what_means_nothing(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "a", "name": "Ada"}, {"role": "assistant", "content": "b"}]}
    _, first = converted(written(tmp_path / "a.jsonl", [row]), tmp_path, "first")
    again, done = converted("first", tmp_path, "again")
    assert again == [row]
    assert not (first.notes or done.notes)


@pytest.mark.parametrize("name", ["identity", "alpaca_zh_demo", "sharegpt_demo", "openai_tools_demo"])
def test_the_demo_data_survives_a_way_through_another_format(tmp_path: Path, name: str) -> None:
    """What is trained on is the same before and after, row by row."""
    source = Path(__file__).parents[2] / "data"
    there = "openai" if name != "openai_tools_demo" else "sharegpt"
    data = str(tmp_path / "data")
    file = next(source.glob(f"{name}.*"))
    options = ConvertOptions(out="there", dataset_dir=data, to=there, file_type="parquet")  # type: ignore[arg-type]
    done = convert(plan([str(file)], options), options)
    assert not done.rejected
    assert examples(str(file), data) == examples("there", data)


def examples(name: str, data: str) -> list[Any]:
    (entry,) = resolve(name, data)
    layout, rows = open_dataset(entry, locate(entry, Path(data)), "sft")
    read = [ExampleReader(layout, {}).read(row) for row in rows]
    return [one.example for one in read if isinstance(one, ReadExample)]
