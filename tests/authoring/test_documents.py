"""Documents of every kind come out as passages in order, and what can't be read says why."""

from __future__ import annotations

import contextlib
import json
import random
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from tests.authoring import documents

from tunesmith.authoring.document import Passage, find_documents, open_document, read_document
from tunesmith.authoring.documents.pdf import paragraphs
from tunesmith.authoring.records import read_records
from tunesmith.errors import UserError


def told(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_document(path)
    assert str(path.name) in error.value.message
    return str(error.value)


def test_word(tmp_path: Path) -> None:
    document = read_document(documents.docx(tmp_path / "a.docx"))
    assert document.title == "Handbook"
    assert document.passages == (
        Passage("Plug it in.", ("Handbook", "Setup")),
        Passage("- Wait a minute.", ("Handbook", "Setup")),
        Passage("Light | Meaning", ("Handbook", "Setup", "Faults")),
        Passage("red | blinking | too hot", ("Handbook", "Setup", "Faults")),
        Passage("每年清洗一次。", ("Handbook", "保养")),
    )


def test_slides(tmp_path: Path) -> None:
    document = read_document(documents.pptx(tmp_path / "a.pptx"))
    assert document.passages == (
        Passage("Sales doubled", ("Results",), 1),
        Passage("Year | Sales", ("Results",), 1),
        Passage("2025 | 12", ("Results",), 1),
        Passage("Thank the team.", ("Results",), 1),
        Passage("展望"),
    )


def test_pdf_under_its_outline_without_what_repeats(tmp_path: Path) -> None:
    story = "was late when the ship came in and nobody stood at the pier to catch the rope that was thrown."
    pages = [f"{word} {story} Page {word} ends." for word in ("One", "Two", "Three", "Four", "Five")]
    path = documents.pdf(tmp_path / "a.pdf", pages, header="The Ship - a novel", outline=True)
    document = read_document(path)
    assert [passage.text for passage in document.passages] == pages
    assert document.passages[2].heading == ("Part 3",)
    assert document.passages[2].page == 3
    assert any("repeat" in note and "The Ship" in note for note in document.notes)


def test_lines_of_a_page_are_joined_into_paragraphs() -> None:
    lines = ["The first line is as long as it", "can be, then stops.", "The second paragraph is as lo-", "ng and ends."]
    assert paragraphs(lines) == [
        "The first line is as long as it can be, then stops.",
        "The second paragraph is as long and ends.",
    ]
    assert paragraphs(["臣亮言先帝创业未半而中道崩殂今天", "下三分益州疲弊。"]) == [
        "臣亮言先帝创业未半而中道崩殂今天下三分益州疲弊。"
    ]


def test_a_chinese_pdf(tmp_path: Path) -> None:
    lines = [
        "滚滚长江东逝水，浪花淘尽英雄。青山依旧在，几度夕阳",
        "红。",
        "白发渔樵江渚上，惯看秋月春风。一壶浊酒喜相逢。",
    ]
    assert [passage.text for passage in read_document(documents.chinese_pdf(tmp_path / "a.pdf", lines)).passages] == [
        "滚滚长江东逝水，浪花淘尽英雄。青山依旧在，几度夕阳红。",
        "白发渔樵江渚上，惯看秋月春风。一壶浊酒喜相逢。",
    ]


def test_a_scan_is_told_with_what_to_do(tmp_path: Path) -> None:
    assert "OCR" in told(documents.pdf(tmp_path / "scan.pdf", ["", ""]))


def test_a_locked_pdf_is_told(tmp_path: Path) -> None:
    assert "password" in told(documents.pdf(tmp_path / "locked.pdf", ["secret"], password="pw"))


def test_web_page(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_bytes(
        '<html><head><meta charset="gbk"><title>菜谱</title><style>p{}</style></head><body><nav>首页</nav>'
        "<h1>红烧肉</h1><p>五花肉<b>切块</b>，<br>焯水。</p><ul><li>糖</li><li>酱油</li></ul>"
        "<table><tr><th>料</th><th>量</th></tr><tr><td>糖</td><td>30 克</td></tr></table>"
        "<pre>a\n  b</pre><script>x()</script><footer>版权</footer></body></html>".encode("gbk")
    )
    document = read_document(page)
    assert document.title == "菜谱"
    assert [passage.text for passage in document.passages] == [
        "五花肉切块，\n焯水。", "- 糖", "- 酱油", "料 | 量", "糖 | 30 克", "a\n  b",
    ]  # fmt: skip
    assert document.passages[0].heading == ("红烧肉",)
    assert "GB18030" in document.notes[0]


def test_book_in_reading_order(tmp_path: Path) -> None:
    chapters = {"z.xhtml": "<h1>One</h1><p>First.</p>", "a.xhtml": "<h1>Two</h1><p>Second &amp; last.</p>"}
    document = read_document(documents.epub(tmp_path / "a.epub", chapters))
    assert document.title == "The Book"
    assert document.passages == (Passage("First.", ("One",)), Passage("Second & last.", ("Two",)))


def test_a_book_with_copy_protection(tmp_path: Path) -> None:
    assert "DRM" in told(documents.epub(tmp_path / "a.epub", {"a.xhtml": "<p>x</p>"}, locked=True))


def test_markdown(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(
        "---\nlayout: post\n---\n# Top\n\nText with *stars*\nand a second line.\n\nSub\n---\n\n- one\n- two\n\n"
        "```sh\n# no heading\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        encoding="utf-8",
    )
    document = read_document(path)
    assert [passage.text for passage in document.passages] == [
        "Text with *stars*\nand a second line.", "- one\n- two", "```sh\n# no heading\n```",
        "| a | b |\n|---|---|\n| 1 | 2 |",
    ]  # fmt: skip
    assert document.passages[1].heading == ("Top", "Sub")


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "big5", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_novel_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    opening = "第一回　宴桃園豪傑三結義\n\n　　話說天下大勢，分久必合，合久必分。\n　　周末七國分爭，並入於秦。"
    path.write_bytes(f"{opening}\n\n第二回\n\n後來。\n".encode(encoding))
    document = read_document(path)
    assert document.passages[0] == Passage("話說天下大勢，分久必合，合久必分。", ("第一回 宴桃園豪傑三結義",))
    assert document.passages[1].text == "周末七國分爭，並入於秦。"
    assert bool(document.notes) == (encoding != "utf-8")


def test_a_play_keeps_the_lines_of_a_speech(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("ACT I\n\nSCENE I. Elsinore.\n\nBERNARDO\nWho's there?\n\nFRANCISCO\nNay, answer me.\n", "utf-8")
    assert read_document(path).passages == (
        Passage("BERNARDO\nWho's there?", ("ACT I", "SCENE I. Elsinore.")),
        Passage("FRANCISCO\nNay, answer me.", ("ACT I", "SCENE I. Elsinore.")),
    )


def test_a_long_text_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("w", encoding="utf-8") as file:
        for number in range(20_000):
            file.write(f"Paragraph {number} of a text that goes on for quite a while, as texts do.\n\n" * 5)
    read_document_size = path.stat().st_size
    tracemalloc.start()
    count = sum(1 for _ in open_document(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100_000
    assert peak < read_document_size / 2


def test_subtitles_with_speakers(tmp_path: Path) -> None:
    srt = tmp_path / "a.srt"
    srt.write_text(
        "1\n00:00:01,000 --> 00:00:02,000\n<i>Hello</i>\nthere.\n\n2\n00:00:02,500 --> 00:00:03,000\nHi.\n\n"
        "3\n00:01:00,000 --> 00:01:01,000\nLater.\n",
        encoding="utf-8",
    )
    assert [passage.text for passage in read_document(srt).passages] == ["Hello there.\nHi.", "Later."]
    vtt = tmp_path / "a.vtt"
    vtt.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ada>Hello</v>\n", encoding="utf-8")
    assert read_document(vtt).passages[0].text == "Ada: Hello"


def test_exported_chats(tmp_path: Path) -> None:
    def node(parent: str | None, role: str, text: str, *children: str) -> dict[str, object]:
        message = {"author": {"role": role}, "content": {"parts": [text]}}
        return {"parent": parent, "message": message, "children": list(children)}

    mapping = {
        "a": node(None, "user", "Hi", "b", "c"),
        "b": node("a", "assistant", "Dropped answer"),
        "c": node("a", "assistant", "Kept answer"),
    }
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([{"title": "Greeting", "mapping": mapping, "current_node": "c"}]), encoding="utf-8")
    assert read_document(path).passages == (
        Passage("user: Hi", ("Greeting",)),
        Passage("assistant: Kept answer", ("Greeting",)),
    )


def test_a_spreadsheet_is_text_row_by_row(tmp_path: Path) -> None:
    path = documents.xlsx(tmp_path / "a.xlsx", {"Cards": [["Card", "Meaning"], ["Fool", "a start"]]})
    assert read_document(path).passages == (Passage("Card: Fool\nMeaning: a start", ("Cards",)),)


def test_damaged_and_hostile_files_each_get_one_line(tmp_path: Path) -> None:
    setup = tmp_path / "setup.exe"
    setup.write_bytes(b"MZ")
    with pytest.raises(UserError, match=r"\.exe is not a kind of document") as refused:
        find_documents([setup])
    assert refused.value.hint.startswith("Documents end in .") and "Did you mean" not in refused.value.hint
    for suffix in ("docx", "pptx", "xlsx", "epub", "pdf", "xls"):
        broken = tmp_path / f"broken.{suffix}"
        broken.write_bytes(b"PK\x03\x04 this is no file of that kind" * 20)
        assert "damaged" in told(broken)
    cut = documents.docx(tmp_path / "cut.docx")
    cut.write_bytes(cut.read_bytes()[:2000])
    assert "damaged" in told(cut)
    line = b"<w:p><w:r><w:t>The same words once more, and once more.</w:t></w:r></w:p>"
    for name, part in (("bomb.docx", "word/document.xml"), ("bomb.xlsb", "xl/worksheets/sheet1.bin")):
        bomb = tmp_path / name
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(part, line * 130_000)  # 9 MB
        assert "would unpack to" in told(bomb)
    locked = tmp_path / "locked.docx"
    locked.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)
    assert "password" in told(locked)


def test_bytes_that_were_changed_on_the_way_end_in_one_line_or_are_read(tmp_path: Path) -> None:
    """Whatever a parser of a foreign format makes of damage, the user sees a UserError."""
    rows = [["a", "b"], [1, 2], [3, 4]]
    whole = [
        documents.docx(tmp_path / "a.docx"),
        documents.pdf(tmp_path / "a.pdf", ["Text"], outline=True),
        documents.xlsx(tmp_path / "a.xlsx", {"S": rows}),
        documents.xls(tmp_path / "a.xls", rows),
        documents.epub(tmp_path / "a.epub", {"a.xhtml": "<p>x</p>"}),
    ]
    chance = random.Random(3)
    for path in whole:
        data = path.read_bytes()
        damaged = path.with_stem("damaged")
        for _ in range(40):
            changed = bytearray(data[: chance.randrange(1, len(data))] if chance.random() < 0.3 else data)
            for _ in range(chance.choice((1, 3, 20))):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            damaged.write_bytes(changed)
            with contextlib.suppress(UserError):
                assert read_document(damaged).passages


def test_a_folder_is_searched_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.txt", "a.md", "sub/c.txt", ".hidden.txt"):
        (tmp_path / name).write_text("Text.", encoding="utf-8")
    (tmp_path / "photo.png").write_bytes(b"x")
    (tmp_path / "old.doc").write_bytes(b"x")
    (tmp_path / "~$b.docx").write_bytes(b"x")
    (tmp_path / "empty.txt").touch()
    found = find_documents([tmp_path])
    assert [path.relative_to(tmp_path).as_posix() for path in found.documents] == ["a.md", "b.txt", "sub/c.txt"]
    reasons = {skipped.path.name: skipped.reason for skipped in found.skipped}
    assert reasons.keys() == {"photo.png", "old.doc", "~$b.docx", "empty.txt"}
    assert "Save it as .docx" in reasons["old.doc"]
    assert "0 bytes" in reasons["empty.txt"]


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match=r"Did you mean .*novel\.txt"):
        find_documents([tmp_path / "novl.txt"])


def test_a_file_too_large_is_told(tmp_path: Path) -> None:
    large = tmp_path / "large.pdf"
    with large.open("wb") as file:
        file.truncate(500 << 20)
    (tmp_path / "a.txt").write_text("Text.", encoding="utf-8")
    found = find_documents([tmp_path])
    assert [path.name for path in found.documents] == ["a.txt"]
    assert "500 MiB" in found.skipped[0].reason


def test_what_is_read_as_a_whole_has_a_limit_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, wrapped = tmp_path / "a.txt", tmp_path / "object.json"
    text.write_text("Some words.\n" * 200_000, encoding="utf-8")
    rows = ", ".join(['{"a": "b"}'] * 200_000)
    wrapped.write_text(f'{{"rows": [{rows}]}}', encoding="utf-8")
    for module in ("document", "records"):
        monkeypatch.setattr(f"tunesmith.authoring.{module}.MOST_BYTES", 1 << 20)
    with pytest.raises(UserError, match="at most 1 are read as a whole"):
        read_document(text)
    assert next(iter(open_document(text))).text
    with pytest.raises(UserError, match="one object of 2 MiB"):
        next(read_records(wrapped))


def test_a_list_in_one_line_is_not_read_to_see_that_it_is_one(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    row = '{"a": "' + "b" * 1000 + '"}'
    path.write_text(f"[{', '.join([row] * 30_000)}]", encoding="utf-8")
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_records(path)) == 30_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size
