"""`data roles`: hand-written scripts and prose in Chinese and English, and what becomes of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.authoring.chat_server import Answer, Body, serving

from tunesmith.authoring.dialogue.line import Line, paragraphs
from tunesmith.authoring.dialogue.novel import read_novel
from tunesmith.authoring.dialogue.script import is_script, read_script
from tunesmith.authoring.document import Document, Passage
from tunesmith.authoring.options import RolesOptions
from tunesmith.authoring.prompting import Prompts
from tunesmith.authoring.roles import read_dialogue
from tunesmith.authoring.roles import rows as dialogue_rows
from tunesmith.cli.main import main

pytestmark = pytest.mark.usefixtures("workplace")

SCRIPT_ZH = """\
第一幕 养心殿

【夜。皇帝独坐灯下。】
时间：三更

皇帝：今日御膳房送来的点心，你可尝了？
甄嬛（行礼）：回皇上，臣妾尝了，甚是可口。
皇帝：（笑）那便好。朕记得你爱吃甜的。
甄嬛：皇上日理万机，还记得这些小事。
苏培盛：皇上，时辰不早了。
皇上：知道了，退下吧。

第二幕 御花园

甄嬛：四郎，你来了。
四郎：嬛嬛，朕来迟了。
"""

SCREENPLAY = """\
INT. KITCHEN - NIGHT

ANNA
(quietly)
Did you lock the door?

BEN (O.S.)
Twice. Why do you
ask?

ANNA
I heard steps.

EXT. GARDEN - DAY

BEN
Good morning.

ANNA
Is it?
"""

NOVEL_ZH = """\
夜已经深了。甄嬛捧着茶走进来，轻声道：“皇上，该歇息了。”

皇上放下朱笔，看着她笑道：“你来得正好，朕正想找人说说话。”

“皇上想说什么？”甄嬛把茶放在案上。

“说说你小时候的事。”

“臣妾小时候，”甄嬛想了想，说道，“最怕打雷。”

这时苏培盛进来禀道：“皇上，华妃娘娘求见。”皇上皱眉道：“不见。”

他又名“四郎”，宫里无人敢叫。

甄嬛道：“皇上，该用膳了。”

甄嬛又问道：“皇上还想听吗？”

第二天，众人问道：“皇上安好？”皇上谓左右曰：“朕很好。”
"""

NOVEL_EN = """\
It was past midnight when the captain came on deck.

“Who goes there?” asked Starbuck.

“Only I,” said Captain Ahab, “and the wind.”

“The men are afraid, sir,” Starbuck said quietly.

“Let them be afraid.”

Stubb laughed. “They are not afraid of the whale,” he said.

“They are hungry,” added Stubb.

Ahab turned and answered, “Then they are fools. Get below!”
"""


def passages(text: str) -> list[Passage]:
    """As a text file is read: its paragraphs."""
    return [Passage(part.strip("\n")) for part in re.split(r"\n\s*\n", text) if part.strip()]


def script(text: str, *roles: str) -> list[Line]:
    found = paragraphs(passages(text))
    assert is_script(found)
    return read_script(found, roles)


def novel(text: str, *roles: str) -> list[Line]:
    found = paragraphs(passages(text))
    assert not is_script(found)
    return read_novel(found, roles)


def said(lines: list[Line]) -> list[tuple[str | None, str]]:
    return [(line.speaker, line.text) for line in lines]


def extract(text: str, *flags: str, code: int = 0) -> list[dict[str, Any]]:
    Path("play.txt").write_text(text, encoding="utf-8")
    assert main(["data", "roles", "play.txt", "--out", "role", *flags]) == code
    path = Path("data/role.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def test_a_chinese_script() -> None:
    lines = script(SCRIPT_ZH, "皇帝")
    assert said(lines)[:3] == [
        ("皇帝", "今日御膳房送来的点心，你可尝了？"),
        ("甄嬛", "回皇上，臣妾尝了，甚是可口。"),
        ("皇帝", "那便好。朕记得你爱吃甜的。"),
    ]
    assert [line.speaker for line in lines][3:] == ["甄嬛", "苏培盛", "皇上", "甄嬛", "四郎"]
    assert lines[-1].scene > lines[0].scene


def test_a_screenplay() -> None:
    lines = script(SCREENPLAY, "ANNA")
    assert said(lines) == [
        ("ANNA", "Did you lock the door?"),
        ("BEN", "Twice. Why do you\nask?"),
        ("ANNA", "I heard steps."),
        ("BEN", "Good morning."),
        ("ANNA", "Is it?"),
    ]
    assert [line.scene for line in lines] == [lines[0].scene] * 3 + [lines[3].scene] * 2
    assert lines[0].scene != lines[3].scene


@pytest.mark.parametrize(
    "text",
    [
        "Anna: Hello there.\nBen: Hello, Anna.\nAnna: [smiles] How are you?\nBen: Fine.",
        "ANNA: Hello there.\n\nBEN: Hello, Anna.\n\nANNA: (smiling) How are you?\n\nBEN: Fine.",
        "**Anna**: Hello there.\n\n**Ben**: Hello, Anna.\n\n**Anna**: How are you?\n\n**Ben**: Fine.",
        "Anna. Hello there.\n\nBen. Hello, Anna.\n\nAnna. How are you?\n\nBen. Fine.",
        "Anna.\nHello there.\n\nBen.\nHello, Anna.\n\nAnna.\nHow are you?\n\nBen.\nFine.",
    ],
)
def test_ways_of_writing_a_script(text: str) -> None:
    expected = [("anna", "Hello there."), ("ben", "Hello, Anna."), ("anna", "How are you?"), ("ben", "Fine.")]
    assert [(str(name).lower(), words) for name, words in said(script(text))] == expected


def test_a_chinese_novel() -> None:
    lines = novel(NOVEL_ZH, "皇上")
    assert said(lines) == [
        ("甄嬛", "皇上，该歇息了。"),
        ("皇上", "你来得正好，朕正想找人说说话。"),
        ("甄嬛", "皇上想说什么？"),
        ("皇上", "说说你小时候的事。"),
        ("甄嬛", "臣妾小时候，最怕打雷。"),
        ("?", "皇上，华妃娘娘求见。"),
        ("皇上", "不见。"),
        ("甄嬛", "皇上，该用膳了。"),
        ("甄嬛", "皇上还想听吗？"),
        ("?", "皇上安好？"),
        ("皇上", "朕很好。"),
    ]
    assert [line.attribution for line in lines][2:4] == ["turn", "turn"]


def test_an_english_novel() -> None:
    lines = novel(NOVEL_EN, "Ahab", "Captain Ahab")
    assert said(lines) == [
        ("Starbuck", "Who goes there?"),
        ("Captain Ahab", "Only I, and the wind."),
        ("Starbuck", "The men are afraid, sir,"),
        ("Captain Ahab", "Let them be afraid."),
        ("Stubb", "They are not afraid of the whale,"),
        ("Stubb", "They are hungry,"),
        ("Ahab", "Then they are fools. Get below!"),
    ]


def test_corner_marks_and_straight_quotes() -> None:
    assert said(novel("皇上道：「朕『真的』累了。」\n\n甄嬛說：「那就歇息吧。」", "皇上")) == [
        ("皇上", "朕『真的』累了。"),
        ("甄嬛", "那就歇息吧。"),
    ]
    assert said(novel('"Stay here," said Anna.\n\n"Never!" cried Ben.')) == [
        ("Anna", "Stay here,"),
        ("Ben", "Never!"),
    ]


def test_letters_and_poems_are_nobodys_words() -> None:
    lines = novel("玄德大喜曰：“此天佑我也！”后人有诗叹曰：“是非成败转头空。”", "玄德")
    assert said(lines) == [("玄德", "此天佑我也！")]


def test_places_are_those_of_the_document() -> None:
    for text, lines in ((NOVEL_ZH, novel(NOVEL_ZH, "皇上")), (SCRIPT_ZH, script(SCRIPT_ZH))):
        whole = "\n\n".join(passage.text for passage in passages(text))
        for line in lines:
            assert line.text[-4:] in whole[line.start : line.end]


def test_rows_of_a_character_under_all_its_names() -> None:
    made = extract(SCRIPT_ZH, "--role", "皇帝,皇上,四郎", "--turns", "2", "--context", "100")
    assert [(row["instruction"], row["output"]) for row in made] == [
        ("甄嬛：皇上日理万机，还记得这些小事。\n苏培盛：皇上，时辰不早了。", "知道了，退下吧。"),
        ("四郎，你来了。", "嬛嬛，朕来迟了。"),
    ]
    assert made[0]["history"] == [["回皇上，臣妾尝了，甚是可口。", "那便好。朕记得你爱吃甜的。"]]
    assert made[0]["system"].startswith("你是皇帝。请用皇帝的身份和口吻回答。\n\n场景：")
    assert "皇帝独坐灯下" in made[0]["system"] and "臣妾" not in made[0]["system"]
    assert (made[1]["source"], made[1]["source_heading"], made[1]["asked_by"]) == ("play.txt", "第二幕 御花园", "甄嬛")
    (held,) = (json.loads(line) for line in Path("data/role.rejected.jsonl").read_text(encoding="utf-8").splitlines())
    assert held["reason"] == "nobody speaks to the character before this line" and "点心" in held["text"]
    assert main(["data", "check", "role"]) == 0


@pytest.mark.parametrize("format", ["alpaca", "sharegpt", "openai"])
@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_every_shape_is_read_as_several_turns(format: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    extract(SCRIPT_ZH, "--role", "皇帝,皇上", "--turns", "3", "--format", format, "--type", kind)
    told = capsys.readouterr().out
    assert "1, of which 1 can be used" in told
    assert "assistant: 那便好。朕记得你爱吃甜的。\nuser: 甄嬛：皇上日理万机" in told


def test_no_answer_is_trained_on_twice() -> None:
    lines = "".join(f"甄嬛：这是第{number}个问题吗？\n皇帝：这是第{number}个回答。\n\n" for number in range(8))
    made = extract(lines, "--role", "皇帝", "--turns", "3")
    assert [len(row.get("history", [])) + 1 for row in made] == [3, 3, 2]
    answers = [answer for row in made for answer in (*(pair[1] for pair in row.get("history", [])), row["output"])]
    assert answers == [f"这是第{number}个回答。" for number in range(8)]


def test_a_dialogue_that_comes_again_one_exchange_off_is_trained_once() -> None:
    said = [f"甄嬛：这是第{number}个问题吗？\n皇帝：这是第{number}个回答。\n\n" for number in range(4)]
    made = extract("第一幕\n\n" + "".join(said) + "第二幕\n\n" + "".join(said[1:]), "--role", "皇帝", "--turns", "2")
    answers = [answer for row in made for answer in (*(pair[1] for pair in row.get("history", [])), row["output"])]
    assert answers == [f"这是第{number}个回答。" for number in range(4)]


@pytest.mark.parametrize("name", ["Ham.", "HAM", "Ham:"])
def test_a_name_may_be_given_as_the_script_writes_it(name: str) -> None:
    made = extract("Hor. Hail to your lordship!\n\nHam. I am glad to see you well.\n\n" * 3, "--role", name)
    assert made[0]["output"] == "I am glad to see you well."


def test_the_persona_is_the_users_to_say() -> None:
    (row, *_) = extract(SCRIPT_ZH, "--role", "皇帝,皇上", "--persona", "你是{role}，话很少。")
    assert row["system"] == "你是皇帝，话很少。"
    (row, *_) = extract(SCRIPT_ZH, "--role", "皇帝,皇上", "--no-persona", "--others", "--replace")
    assert row["system"] == "" and row["instruction"].startswith("甄嬛：")


def test_inferred_speakers_can_be_left_out() -> None:
    made = extract(NOVEL_ZH, "--role", "皇上")
    assert [row["attribution"] for row in made][:2] == ["named", "turn"]
    named = extract(NOVEL_ZH, "--role", "皇上", "--only-named", "--replace")
    assert named and {row["attribution"] for row in named} == {"named"} and len(named) < len(made)


def test_a_name_that_nobody_has_is_told_with_those_who_speak(capsys: pytest.CaptureFixture[str]) -> None:
    assert extract(SCRIPT_ZH, "--role", "华妃", code=2) == []
    told = capsys.readouterr().err
    assert "Nobody called 华妃 speaks" in told and "甄嬛 (3)" in told
    assert extract(SCRIPT_ZH, code=2) == []
    assert not Path("data").exists()


def test_a_model_is_asked_only_about_lines_that_name_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    prose = NOVEL_EN.replace("“Let them be afraid.”", "Nobody moved for a while.\n\n“Let them be afraid.”")

    def answer(body: Body, number: int) -> Answer:
        prompt = body["messages"][-1]["content"]
        assert "[1] Let them be afraid." in prompt and "Starbuck" in prompt
        return Answer(json.dumps({"speakers": [{"line": 1, "speaker": "Ahab"}]}))

    assert "Let them be afraid." not in {row["output"] for row in extract(prose, "--role", "Ahab,Captain Ahab")}
    with serving(answer) as server:
        flags = ["--role", "Ahab,Captain Ahab", "--base-url", server.url, "--model", "tester", "--replace"]
        made = extract(prose, *flags)
        assert {row["output"]: row["attribution"] for row in made}["Let them be afraid."] == "model"
        extract(prose, *flags)
        assert len(server.requests) == 1


def test_a_split_keeps_scenes_whole() -> None:
    acts = "".join(
        f"第{number}幕\n\n甄嬛：这是第{number}个问题吗？\n皇帝：这是第{number}个回答。\n\n" for number in "一二三四五六"
    )
    extract(acts, "--role", "皇帝", "--val-size", "0.3")
    scenes = [
        {json.loads(line)["scene"] for line in Path("data", name).read_text(encoding="utf-8").splitlines()}
        for name in ("role.jsonl", "role_val.jsonl")
    ]
    assert all(scenes) and not scenes[0] & scenes[1]


def test_a_scene_alone_is_split_between_what_is_said_and_nothing_hides_that_it_can_not_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = "".join(f"甄嬛：这是第{number}个问题吗？\n皇帝：这是第{number}个回答。\n\n" for number in range(10))
    assert len(extract(lines, "--role", "皇帝", "--val-size", "0.2")) == 8
    assert "No validation set" not in capsys.readouterr().out
    assert len(extract(lines, "--role", "皇帝", "--val-size", "0.2", "--turns", "10", "--replace")) == 1
    assert "No validation set: all rows hang together" in capsys.readouterr().out


def test_a_dry_run_only_tells(capsys: pytest.CaptureFixture[str]) -> None:
    assert extract(SCRIPT_ZH, "--role", "皇帝,皇上", "--dry-run") == []
    assert "script, 8 lines, 3 of 皇帝" in capsys.readouterr().out


def test_a_forgotten_or_mistaken_closing_mark_costs_one_line_at_most() -> None:
    forgotten = novel("操曰：“此非英雄也。玄德曰：“谁能当之？”操大笑。", "玄德", "操")
    assert said(forgotten) == [("操", "此非英雄也。"), ("玄德", "谁能当之？")]
    mistaken = novel("玄德曰：“恐难轻动。“孔融曰：“亦为大义。”", "玄德", "孔融")
    assert said(mistaken) == [("玄德", "恐难轻动。"), ("孔融", "亦为大义。")]


def test_the_work_grows_with_the_text_alone() -> None:
    """Paragraphs are not gone through once more for each row."""

    class Counted(tuple[Any, ...]):
        times = 0

        def __iter__(self) -> Any:
            Counted.times += 1
            return super().__iter__()

    play = "\n".join(f"Ann: What is number {at}?\nBob: Number {at} it is." for at in range(30))
    options = RolesOptions(role=("Bob",), out="bob")
    spoken = read_dialogue(Document(Path("a.txt"), "a", (Passage(play),)), Path("a.txt"), options)
    counted = replace(spoken, paragraphs=Counted(spoken.paragraphs))
    assert len(list(dialogue_rows(counted, options, Prompts(None), lambda row: None))) == 30
    assert Counted.times < 5


def test_without_a_name_the_command_lists_who_speaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "script.txt"
    path.write_text(SCRIPT_ZH, encoding="utf-8")
    assert main(["data", "roles", str(path)]) == 0
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["3", "甄嬛"] in told and told.index(["3", "甄嬛"]) < told.index(["1", "苏培盛"])
    assert main(["data", "roles", str(path), "--out", "somebody"]) == 2  # whose lines is not said
    assert "--role" in capsys.readouterr().err
    path.write_text("Nothing is said here.", encoding="utf-8")
    assert main(["data", "roles", str(path)]) == 2
    assert "--layout" in capsys.readouterr().err
