"""Chunks: exact places in the source, cut where a reader would, never above the limit."""

from __future__ import annotations

import itertools
import random

import pytest

from tunesmith.authoring.chunk import JOIN, Chunk, cut, estimate_all, estimate_tokens
from tunesmith.authoring.document import Passage

ZH = "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。及秦灭之后，楚、汉分争，又并入于汉。"
EN = "Call me Ishmael. Some years ago, having little money, I thought I would sail about. It is a way I have. "


def text_of(passages: list[Passage]) -> str:
    return JOIN.join(passage.text for passage in passages)


def chunks_of(passages: list[Passage], size: int, overlap: int = 0) -> list[Chunk]:
    return list(cut(passages, size=size, overlap=overlap))


@pytest.mark.parametrize("sentence", [ZH, EN, ZH + EN])
@pytest.mark.parametrize("size", [20, 64, 300])
def test_every_character_is_in_one_chunk_at_its_place(sentence: str, size: int) -> None:
    random.seed(1)
    passages = [Passage(sentence * random.randint(1, 9), ("Part", str(at // 3))) for at in range(12)]
    text, chunks = text_of(passages), chunks_of(passages, size)
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join(text.split())
    assert all(chunk.tokens <= size + 1 for chunk in chunks)
    assert all(first.end <= second.start for first, second in itertools.pairwise(chunks))


def test_sentences_stay_whole_where_they_fit() -> None:
    for sentence in (ZH, EN):
        chunks = chunks_of([Passage(sentence * 40)], 100)
        assert len(chunks) > 5
        assert all(chunk.text.endswith(("。", ".")) for chunk in chunks)


def test_a_quotation_is_not_parted_from_its_closing_mark() -> None:
    chunks = chunks_of([Passage("玄德曰：“此天佑我也！”三人出庄迎接。" * 30)], 40)
    assert not any(chunk.text.startswith("”") for chunk in chunks)


def test_headings_are_preferred_to_paragraphs_and_paragraphs_to_sentences() -> None:
    section = [Passage(EN * 2, ("One",)), Passage(EN * 2, ("One",)), Passage(EN * 2, ("Two",)), Passage(EN, ("Two",))]
    first, second = chunks_of(section, int(estimate_tokens(EN) * 6.7))
    assert (first.heading, second.heading) == (("One",), ("Two",))
    first, *_ = chunks_of(section[:2], int(estimate_tokens(EN) * 3.5))
    assert first.text == section[0].text.strip()


def test_a_heading_inside_a_chunk_is_shown_there() -> None:
    (chunk,) = chunks_of([Passage("First.", ("A",)), Passage("Second.", ("A", "B"))], 200)
    assert chunk.text == "First.\n\nSecond."
    assert chunk.shown == "First.\n\n# A > B\n\nSecond."


def test_a_sentence_longer_than_a_chunk_is_cut_at_a_clause() -> None:
    chunks = chunks_of([Passage("一二三四五六七八九十，" * 100)], 50)
    assert all(chunk.text.endswith("，") for chunk in chunks)
    assert all(chunk.tokens <= 51 for chunk in chunks_of([Passage("字" * 3000)], 50))


def test_what_precedes_is_handed_along_in_whole_sentences() -> None:
    chunks = chunks_of([Passage(ZH * 40)], 100, overlap=40)
    for first, second in itertools.pairwise(chunks):
        assert second.before and first.text.endswith(second.before)
        assert estimate_tokens(second.before) <= 40
        assert second.before in ZH * 2
    assert chunks[0].before == ""
    parts = ("The first part ends here.", "The second part goes on for a while.", "The third part stands below it.")
    text = JOIN.join(parts)
    last = chunks_of([Passage(part) for part in parts], 22, overlap=20)[-1]
    assert last.before and last.before == text[: last.start].strip()[-len(last.before) :]
    assert JOIN in last.before


def test_chunks_come_while_the_document_is_still_read() -> None:
    read = 0

    def passages():  # type: ignore[no-untyped-def]
        nonlocal read
        for _ in range(1000):
            read += 1
            yield Passage(ZH)

    next(iter(cut(passages(), size=100)))
    assert read < 20


def test_a_counter_of_tokens_decides() -> None:
    def characters(texts):  # type: ignore[no-untyped-def]
        return [len(text) for text in texts]

    chunks = list(cut([Passage(ZH * 10)], size=100, overlap=0, count=characters))
    assert max(len(chunk.text) for chunk in chunks) <= 100 < len(ZH) * 10 / (len(chunks) - 1)


def test_the_estimate_is_near_a_real_vocabulary() -> None:
    """0.6–0.8 tokens a Chinese character and 4 characters a token of English are what present vocabularies need."""
    assert 0.6 <= estimate_tokens("天下大势" * 100) / 400 <= 0.85
    assert 0.2 <= estimate_tokens(EN * 10) / (10 * len(EN)) <= 0.3
    assert estimate_all(["", "a"]) == [0, 1]
