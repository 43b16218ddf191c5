"""The checks that decide what becomes a row, one by one."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import pytest

from tunesmith.authoring.candidates import Candidate
from tunesmith.authoring.chunk import Chunk
from tunesmith.authoring.duplicates import Duplicates
from tunesmith.authoring.holdout import validation_groups
from tunesmith.authoring.journal import Source
from tunesmith.authoring.language import fits, same_language, script_of
from tunesmith.authoring.options import MakeOptions, read_options
from tunesmith.authoring.quality import Failed, Passed, check, find_quote, grounding, words
from tunesmith.errors import UserError

ZH = "刘备字玄德，涿郡人，是汉中山靖王刘胜之后。他与关羽、张飞在桃园结义，誓同生死。"
EN = "The whale sank the ship within ten minutes. Only Ishmael survived, floating on a coffin."


def candidate(question: str, answer: str, evidence: str = "", text: str = EN) -> Candidate:
    chunk = Chunk(text, 1000, 1000 + len(text), 50)
    return Candidate(question, answer, evidence, "what", Source(0, Path("a.txt"), "a", chunk), "en", "p")


def verdict(candidate: Candidate, **options: object) -> str:
    found = check(candidate, MakeOptions(**options))  # type: ignore[arg-type]
    return found.kind if isinstance(found, Failed) else "kept"


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("Who survived?", "Only Ishmael survived, floating on a coffin.", "kept"),
        ("Who survived?", "Only one man lived: Ishmael, who was floating upon a coffin.", "kept"),
        ("Who survived?", "Captain Picard commanded USS Enterprise during several interstellar missions.", "grounding"),
        ("Who survived?", "I'm sorry, but I cannot help with that.", "refusal"),
        ("Who survived?", "As an AI language model I have no opinion on whales.", "refusal"),
        ("What does the passage say?", "Only Ishmael survived.", "refers to the text"),
        ("Who survived?", "According to the text, only Ishmael survived.", "refers to the text"),
        ("Who survived?", "…", "empty"),
        ("Who survived?", "x", "length"),
        ("谁活了下来？", "只有以实玛利活了下来。", "language"),
    ],
)
def test_verdicts_in_english(question: str, answer: str, kind: str) -> None:
    assert verdict(candidate(question, answer)) == kind


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("刘备与谁结义？", "刘备与关羽、张飞在桃园结义。", "kept"),
        ("刘备是谁的后代？", "刘备是中山靖王刘胜的后代，字玄德。", "kept"),
        ("刘备与谁结义？", "诸葛亮六出祁山，病逝于五丈原军中。", "grounding"),
        ("根据文本，刘备与谁结义？", "刘备与关羽、张飞结义。", "refers to the text"),
        ("刘备与谁结义？", "抱歉，我无法回答这个问题。", "refusal"),
        ("劉備與誰結義？", "劉備與關羽、張飛在桃園結義。", "language"),
        ("Who is Liu Bei?", "A descendant of Liu Sheng.", "language"),
    ],
)
def test_verdicts_in_chinese(question: str, answer: str, kind: str) -> None:
    assert verdict(candidate(question, answer, text=ZH)) == kind


@pytest.mark.parametrize(
    ("source", "question"),
    [
        ("日本文化深受佛教影响。", "日本文化深受什么影响？"),
        ("他在论文中提出了相对论。", "他在论文中提出了什么？"),
        ("历史上文明的兴起离不开河流。", "历史上文明的兴起离不开什么？"),
        ("材料力学研究构件的强度。", "根据材料力学，研究什么？"),
        ("Inflation rose in the context of a war.", "What happened to inflation in the context of a war?"),
        ("A field is indexed in the document database.", "What is indexed in the document database?"),
        ("Each key is stored in the document.", "What is stored in the document?"),
        ("The thief fled through the passage.", "Who fled through the passage?"),
        ("Todo el mundo habla español en Madrid.", "¿Quién habla español? ¿Todo el mundo?"),
    ],
)
def test_words_of_the_matter_itself_are_no_reference_to_the_text(source: str, question: str) -> None:
    assert verdict(candidate(question, source, text=source)) == "kept"


@pytest.mark.parametrize(
    ("source", "question", "kind"),
    [
        (EN, "Who survived in the given passage?", "refers to the text"),
        (EN, "Who survived in the text?", "refers to the text"),
        (EN, "Why does this excerpt mention a coffin?", "refers to the text"),
        (EN, "Who survived? TODO", "empty"),
        (ZH, "文中提到谁与刘备结义？", "refers to the text"),
        (ZH, "本文说刘备是谁？", "refers to the text"),
        (ZH, "根据以上内容，刘备是谁？", "refers to the text"),
        (ZH, "这段文字讲了谁？", "refers to the text"),
    ],
)
def test_questions_that_nobody_understands_alone(source: str, question: str, kind: str) -> None:
    assert verdict(candidate(question, source, text=source)) == kind


def test_limits_are_the_users() -> None:
    whole = candidate("Who survived?", "Only Ishmael survived, floating on a coffin.")
    assert verdict(whole, max_chars=10) == "length"
    assert verdict(whole, min_chars=100) == "length"
    invented = candidate("Who?", "Captain Picard commanded interstellar missions.", "Picard of the Enterprise")
    assert verdict(invented) == "evidence"
    assert verdict(invented, grounding=0.0) == "kept"


FR = (
    "Le capitaine Achab poursuit la baleine blanche depuis qu'elle lui a arraché la jambe. « Call me Ishmael », dit-il."
)


NO = (
    "Hvalen senket skipet på ti minutter. Bare Ismael overlevde, og han fløt på en kiste til han ble funnet av et skip."
)
DE = "Der Zug hielt in Düsseldorf, Köln, Frankfurt am Main, Würzburg und Nürnberg, bevor er am Abend in München ankam."


@pytest.mark.parametrize(
    ("question", "answer", "text", "language", "kind"),
    [
        ("Qui a survécu ?", "Seul Ismaël a survécu, en flottant sur un cercueil.", EN, "auto", "language"),
        ("Who survived?", "Seul Ismaël a survécu, en flottant sur un cercueil.", EN, "auto", "language"),
        ("Wer hat überlebt?", "Nur Ismael überlebte, auf einem Sarg treibend.", EN, "en", "language"),
        ("Qui poursuit la baleine ?", "Le capitaine Achab poursuit la baleine blanche.", FR, "auto", "kept"),
        ("Qui poursuit la baleine blanche ?", "Achab, le capitaine.", FR, "en", "language"),
        ("Кто выжил?", "Выжил только Измаил: он плыл на гробе, пока его не подобрали.", EN, "ru", "kept"),
        ("Who survived?", "Only Ishmael survived, floating on a coffin.", EN, "ja", "language"),
        ("What does he say?", "Call me Ishmael", FR, "auto", "kept"),  # quoted
        ("Where did it stop?", "Düsseldorf, Köln, Frankfurt am Main und Würzburg", DE, "en", "kept"),  # names
        ("Who survived?", "Ishmael, Queequeg, Tashtego, Daggoo", EN, "auto", "kept"),
        ("Hvem overlevde?", "Bare Ismael overlevde, flytende på en kiste.", NO, "auto", "kept"),
        ("Who was the only one left?", "Only one man lived: he was floating upon a coffin.", NO, "auto", "language"),
    ],
)
def test_languages_of_one_writing_are_told_apart(
    question: str, answer: str, text: str, language: str, kind: str
) -> None:
    assert verdict(candidate(question, answer, text=text), language=language, grounding=0) == kind


def test_a_translated_answer_is_not_looked_up_word_by_word() -> None:
    asked = candidate("Qui a survécu ?", "Seul Ismaël a survécu, en flottant sur un cercueil.", "Only Ishmael survived")
    assert verdict(asked, language="fr") == "kept" and verdict(asked) == "language"


def test_an_answer_in_another_language_than_the_source_is_held_to_its_evidence() -> None:
    asked = candidate("谁活了下来？", "只有以实玛利活了下来。", "Only Ishmael survived")
    assert verdict(asked, language="zh") == "kept"
    assert verdict(candidate("谁活了下来？", "只有他。", "Nobody ever came home"), language="zh") == "evidence"


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("Only Ishmael survived", "Only Ishmael survived"),
        ("“Only Ishmael survived…”", "Only Ishmael survived"),
        ("only ishmael SURVIVED", "Only Ishmael survived"),
        ("Only Ishmael survivd, floating on a cofin.", "Only Ishmael survived, floating on a coffin"),
        ("Ahab went down with the white whale", None),
        ("", None),
    ],
)
def test_quotations_are_found_where_they_stand(quote: str, found: str | None) -> None:
    span = find_quote(quote, EN)
    assert (None if span is None else EN[span[0] : span[1]]) == found


def test_the_place_of_the_evidence_counts_from_the_beginning_of_the_document() -> None:
    found = check(candidate("Who survived?", "Only Ishmael survived.", "Ishmael"), MakeOptions())
    assert isinstance(found, Passed) and found.start == 1000 + EN.index("Ishmael")


def test_grounding_is_the_share_of_the_answers_words() -> None:
    assert grounding(words("whales judged"), words("a whale judges")) == 1.0
    assert grounding(words("刘备关羽"), words("刘备和关羽")) == pytest.approx(2 / 3)
    assert grounding(set(), words("a")) == 1.0


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("How do you view Cao Cao's decision to retreat?", "How do you view Cao Cao’s decision to retreat", True),
        ("How do you view Cao Cao's decision to retreat?", "How do you view Cao Cao's decision to retreat now?", True),
        ("How do you view Cao Cao's decision?", "How do you view Liu Bei's courage?", False),
        ("What happened to the fleet in 1998?", "What happened to the fleet in 1999?", False),
        ("皇上为什么生气？", "皇上为什么生气呢？", True),
        ("如何看待曹操的决策？", "如何评价刘备的仁德？", False),
        ("第三回讲了什么？", "第四回讲了什么？", False),
        ("ＡＢＣ是什么？", "abc是什么", True),
    ],
)
def test_near_duplicates(first: str, second: str, alike: bool) -> None:
    known = Duplicates(0.8)
    assert known.earlier(first) is None
    assert known.earlier(second) == (0 if alike else None)


def test_near_duplicates_are_found_among_many() -> None:
    known = Duplicates(0.8)
    names = [f"{first}{second}" for first in "赵钱孙李周吴郑王冯陈" for second in "安平康宁永久长青松柏"]
    for name in names:
        known.earlier(f"{name}在第几场战役里起了什么作用？")
    assert known.earlier("ocean tides follow the moon") is None
    assert known.earlier("Ocean tides follow the moon!") is not None


def test_near_duplicates_are_found_at_any_threshold() -> None:
    letters = random.Random(1)
    known, missed = Duplicates(0.3), 0
    for _ in range(100):
        own = "".join(letters.choices(string.ascii_lowercase, k=64))
        other = own[:32] + "".join(letters.choices(string.ascii_lowercase, k=32))  # a likeness of about 0.32
        assert known.earlier(own) is None
        missed += known.earlier(other) is None
    assert missed == 0


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("这个问题很难。", "zh"), ("這個問題很難。", "zh-TW"), ("This is hard.", "latin"), ("これは難しい。", "ja"),
        ("이것은 어렵다.", "ko"), ("Это трудно.", "cyrillic"), ("123 %", "none"), 
        ("使用 transformers 库训练模型。", "zh"),
    ],
)  # fmt: skip
def test_writings(text: str, script: str) -> None:
    assert script_of(text) == script


def test_characters_common_to_both_ways_of_writing_fit_either() -> None:
    assert same_language("人山人海", "zh-TW") and same_language("人山人海", "zh")
    assert not same_language("为什么这样说", "zh-TW") and not same_language("為什麼這樣說", "zh")


JA = "徳川家康は征夷大将軍に任じられ、江戸幕府を開いた。"
TORCH = "本项目使用 PyTorch Lightning 框架训练模型，并用 Hydra 管理配置。"


@pytest.mark.parametrize(
    ("text", "script", "source", "fine"),
    [
        ("PyTorch Lightning 框架", "zh", TORCH, True),
        ("PyTorch Lightning", "zh", TORCH, True),
        ("PyTorch Lightning is used for training.", "zh", TORCH, False),
        ("The project trains models.", "zh", TORCH, False),
        ("征夷大将軍", "ja", JA, True),
        ("他被任命为将军，开创了幕府。", "ja", JA, False),
        ("Only Ishmael survived", "zh", EN, False),
        ("以实玛利（Ishmael）", "zh", EN, True),
    ],
)
def test_names_out_of_the_source_are_in_no_wrong_language(text: str, script: Any, source: str, fine: bool) -> None:
    assert fits(text, script, source) == fine


def test_validation_is_by_group_and_near_what_was_asked() -> None:
    sizes = {f"book {number}": 10 for number in range(20)}
    apart = validation_groups(sizes, 0.1, 42)
    assert len(apart) == 2 and apart == validation_groups(sizes, 0.1, 42)
    assert validation_groups(sizes, 0.1, 1) != apart
    assert len(validation_groups(sizes, 35, 42)) == 4
    assert len(validation_groups({"a": 5, "b": 5}, 0.99, 42)) == 1  # one always stays for training


@pytest.mark.parametrize(
    ("sizes", "held"),
    [((10, 1000), 10), ((900, 50, 50), 100), ((98, 1, 1), 2), ((98, 2), 2), ((500, 500), 500), ((3, 3, 3), 3)],
)
def test_a_large_group_is_never_validation_where_smaller_ones_come_nearer(sizes: tuple[int, ...], held: int) -> None:
    groups = {f"{at}.txt": size for at, size in enumerate(sizes)}
    for seed in range(50):
        apart = validation_groups(groups, 0.1, seed)
        assert sum(groups[group] for group in apart) == held


@pytest.mark.parametrize(
    ("given", "told"),
    [({"entries": "no"}, "--entries"), ({"entreis": 1}, "Did you mean entries"), ({"val_size": -1}, "--val-size")],
)
def test_options_that_can_not_be(given: dict[str, object], told: str) -> None:
    with pytest.raises(UserError) as refused:
        read_options(MakeOptions, given)
    assert told in str(refused.value)


def test_options_from_texts() -> None:
    options = read_options(MakeOptions, {"entries": "7", "styles": "why，how", "temperature": "0.5"})
    assert (options.entries, options.styles, options.temperature) == (7, ("why", "how"), 0.5)
