"""Texts are translated where they are told: catalogues fit the source, values are kept, English stays as it is."""

import importlib.util
from pathlib import Path

import pytest

from tunesmith.cli.main import main
from tunesmith.config.fields import fields
from tunesmith.config.legacy_keys import LEGACY
from tunesmith.i18n import CATALOGUES, Template, entries, languages, spoken, translated

_SPEC = importlib.util.spec_from_file_location("translation", Path(__file__).parents[2] / "setup" / "translation.py")
assert _SPEC is not None and _SPEC.loader is not None
translation = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(translation)
SAID = translation.texts()


@pytest.mark.parametrize("language", languages())
def test_a_catalogue_fits_the_source(language: str) -> None:
    """Where this fails after a text was changed: python setup/translation.py update, then translate what is new."""
    known = dict(entries(CATALOGUES / f"{language}.po"))
    gone = [text for text in known if text not in SAID]
    assert not gone, "no longer said: " + "\n".join(gone)
    wrong = [
        text
        for text, to in known.items()
        if to and sorted({*Template.read(text).names}) != sorted({*Template.read(to).names})
    ]
    assert not wrong, "other values in the translation: " + "\n".join(wrong)


@pytest.mark.parametrize("language", ["zh-TW", "zh-CN"])
def test_chinese_is_nearly_whole(language: str) -> None:
    """A new text may wait for its translation, many may not."""
    known = dict(entries(CATALOGUES / f"{language}.po"))
    missing = [text for text in SAID if not known.get(text)]
    assert len(missing) < len(SAID) / 20, "\n".join(missing)


def test_every_text_finds_its_own_entry() -> None:
    wrong = []
    for text, to in entries(CATALOGUES / "zh-TW.po"):
        template, translated_to = Template.read(text.strip()), Template.read(to.strip())
        # Of values that stand side by side nobody can tell where one ends.
        apart = [name for name, before in zip(template.names, template.pieces, strict=False) if before]
        named = (*template.names[:1], *apart)
        values = {name: "1,204" if name in ("count", "number") else f"«{name}»" for name in named}
        if (
            to
            and template.letters >= 4
            and translated(template.filled(values), "zh-TW") != translated_to.filled(values)
        ):
            wrong.append(text)
    assert not wrong, "\n".join(wrong)


def test_what_stands_beside_each_other_is_told_by_parts() -> None:
    assert translated("2 documents, 10 chunks", "zh-TW") == "2 份文件, 10 段"
    broken = "x.jsonl, line 3: Expecting property name enclosed in double quotes"
    assert translated(broken, "zh-TW") == "x.jsonl，第 3 行: 這裡應該是以雙引號括住的鍵"


@pytest.mark.parametrize("language", languages())
def test_keys_and_what_stands_between_backticks_are_the_same_in_every_language(language: str) -> None:
    """A key that begins as a text of ours does ("data {name}") is no such text, and no sentence is cut within code."""
    for key in (name for name in (*fields(), *LEGACY) if "_" in name):  # others are English words too
        assert translated(f"{key}: xyzzy", language) == f"{key}: xyzzy"
        code = f"`{key}: steps; data x: none, 5`"
        assert code in translated(f"{key}: read as {code}.", language)
        assert code in translated(f"x.yaml, line 3: {code} is refused: it is xyzzy.", language)


def test_the_source_is_read_as_it_is_written() -> None:
    source = """
def look(path, rows):
    "A docstring says nothing to people."
    why = f"{len(rows):,} rows" if rows else "no rows"
    tr("{count:,} runs").format(count=3)
    raise UserError(f"{path.name} holds {why} of {path.name!r}.", hint="Look at it.", field="not_a_text here")
"""
    assert list(translation.texts_of(source)) == [
        "{rows} rows", "no rows", "{count:,} runs", "{name} holds {why} of {name2}.", "Look at it.",
    ]  # fmt: skip


def test_values_and_what_is_put_together_are_kept() -> None:
    both = "dataset is missing: there is nothing to train on.\n  → Keep one of them.\nSomething new about {braces}."
    assert (
        translated(both, "zh-TW") == "缺少 dataset：沒有可訓練的資料。\n  → 請只留一個。\nSomething new about {braces}."
    )
    assert translated("C:\\my {data}\\a.yaml is empty.", "zh-CN") == "C:\\my {data}\\a.yaml 是空的。"
    counted = "2 of 3 rows can't be used: 2 × the answer is empty (first: d.jsonl:2: the answer is empty)."
    assert translated(counted, "zh-TW") == "3 列中有 2 列不能使用：2 × 回答是空的（第一個：d.jsonl:2: 回答是空的）。"
    # A name is a name, also where it is one of our words.
    assert translated("There is no data set memory.", "zh-TW") == "沒有資料集 memory。"
    assert translated(both, "") == both


@pytest.mark.parametrize(
    ("tags", "language"),
    [
        (["zh-Hant-HK", "en"], "zh-TW"), (["zh_CN.UTF-8"], "zh-CN"), ([" fr", " zh;q=0.8"], "zh-CN"),
        (["en-GB", "zh-TW"], ""), (["C.UTF-8"], ""), (["../zh-TW"], ""), ([""], ""),
    ],
)  # fmt: skip
def test_languages_are_known_by_the_tags_of_browsers_and_systems(tags: list[str], language: str) -> None:
    assert spoken(tags) == language


def test_the_command_line_speaks_the_users_language(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNESMITH_LANGUAGE", "zh-TW")
    assert main(["train", "nowhere.yaml"]) == 2
    assert "錯誤: 沒有設定檔 nowhere.yaml。\n  → " in capsys.readouterr().err
    monkeypatch.setenv("TUNESMITH_LANGUAGE", "en")
    assert main(["train", "nowhere.yaml"]) == 2
    assert "Error: There is no config file nowhere.yaml.\n  → " in capsys.readouterr().err
