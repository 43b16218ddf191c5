from __future__ import annotations

import random
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import UserError
from tunesmith.export.modelfile import (
    Modelfile,
    checked_parameters,
    lost_characters,
    model_name,
    sampling_parameters,
)


def parsed(text: str) -> list[tuple[str, str]]:
    """What Ollama reads in a Modelfile: a walk over its characters, by its parser's states."""
    commands: list[tuple[str, str]] = []
    state, word, buffer = "start", "", ""
    for c in text:
        end, space = c in "\n\r", c in " \t"
        if state == "comment":
            state = "start" if end else state
        elif state == "start" and not end and not space:
            state, word = ("comment", "") if c == "#" else ("name", c)
        elif state == "name":
            assert space or (c.isascii() and c.isalpha()), f"command must be one of …, not {word + c!r}"
            word, state = (
                (word, "parameter" if word.upper() == "PARAMETER" else "value") if space else (word + c, state)
            )
            buffer = ""
        elif state == "parameter":
            assert space or re.match(r"\w", c, re.ASCII)
            state, word, buffer = ("value", f"PARAMETER {buffer}", "") if space else (state, word, buffer + c)
        elif state == "value" and end and (value := closed(buffer)) is not None:
            commands.append((word, value))
            state = "start"
        elif state == "value":
            buffer += c if end or space or printable(c) else ""
    assert state == "start", "the file ends in the middle of a value"
    return commands


def closed(buffer: str) -> str | None:
    value = buffer.strip()
    if value.startswith('"""'):
        return value[3:-3] if len(value) >= 6 and value.endswith('"""') else None
    if value.startswith('"'):
        return value[1:-1] if len(value) >= 2 and value.endswith('"') else None
    return value


def printable(c: str) -> bool:
    return c == " " or unicodedata.category(c) not in {"Cc", "Cf", "Cn", "Co", "Cs", "Zs", "Zl", "Zp"}


def test_a_whole_file() -> None:
    made = Modelfile(
        "小明.gguf",
        system="你是小明，\n一个助手。",
        parameters=sampling_parameters(
            stop=["<|im_end|>", "<|endoftext|>", "<|im_end|>"], num_ctx=2048, temperature=0.95, top_p=0.7, top_k=50,
            repetition_penalty=1.0,
        ),
        template="{{ .System }}",
        license="Apache-2.0",
        requires="0.30.0",
    )  # fmt: skip
    assert made.text() == (
        "FROM ./小明.gguf\n"
        "TEMPLATE {{ .System }}\n"
        'SYSTEM """你是小明，\n一个助手。"""\n'
        "LICENSE Apache-2.0\n"
        "PARAMETER num_ctx 2048\n"
        "PARAMETER temperature 0.95\n"
        "PARAMETER top_p 0.7\n"
        "PARAMETER top_k 50\n"
        "PARAMETER repeat_penalty 1.0\n"
        'PARAMETER stop "<|im_end|>"\n'
        'PARAMETER stop "<|endoftext|>"\n'
        "REQUIRES 0.30.0\n"
    )
    assert made.notes() == []
    assert parsed(made.text())[2] == ("SYSTEM", "你是小明，\n一个助手。")


def test_an_adapter_on_a_model_of_the_servers() -> None:
    assert Modelfile("qwen2.5:7b", adapter="lora.gguf").text() == "FROM qwen2.5:7b\nADAPTER ./lora.gguf\n"


AWKWARD = [
    "plain", " leading", "trailing ", "\n", "\nfirst\nlast\n", '"quoted"', '"', '""', '"""', 'says "hi"', 'ends in "',
    'a"\nb', 'a" \nb', '"a\nb', '"""a\nb', 'a"""b\nc', "# no comment", "FROM x\nSYSTEM y", "a\tb", "a\r\nb\r\n",
    "{{ .System }}", "C:\\path\\n", "'single'", "emoji 👍🏽 e\u0301", 'a\n"', 'a\n"""b',
]  # fmt: skip


@pytest.mark.parametrize("text", AWKWARD)
def test_values_are_read_back_as_they_were(text: str) -> None:
    made = Modelfile("m.gguf", system=text, parameters={"stop": [text]}, template=text)
    assert [value for _, value in parsed(made.text())] == ["./m.gguf", text, text, text]


def test_values_of_all_kinds_are_read_back_or_refused() -> None:
    chance = random.Random(7)
    letters = ['"', '"', '"""', "\n", "\r", " ", "a", "\u3000", "#"]
    refused = 0
    for _ in range(4000):
        text = "".join(chance.choices(letters, k=chance.randrange(1, 9)))
        meant = [("FROM", "./m.gguf"), ("SYSTEM", text.replace("\u3000", "")), ("REQUIRES", "0.30.0")]
        try:
            made = Modelfile("m.gguf", system=text, requires="0.30.0").text()
        except UserError as error:
            refused += 1
            assert error.field == "system"
            for marks in ("", '"', '"""'):
                assert read(f"FROM ./m.gguf\nSYSTEM {marks}{text}{marks}\nREQUIRES 0.30.0\n") != meant
        else:
            assert parsed(made) == meant, text
    assert 10 < refused < 1000


def read(text: str) -> list[tuple[str, str]] | None:
    try:
        return parsed(text)
    except AssertionError:
        return None


def test_lost_characters_are_told_by_name_and_field() -> None:
    assert lost_characters("　　你好\u00a0👨\u200d👩 e\u0301\t\n") == ("　", "\u00a0", "\u200d")
    notes = Modelfile("m.gguf", system="　　你好", license="a\u00a0b", parameters={"stop": ["\u2028"]}).notes()
    assert [re.findall(r"U\+\w+ \(.*?\)|SYSTEM|LICENSE|PARAMETER stop", note) for note in notes] == [
        ["U+3000 (ideographic space)", "SYSTEM"],
        ["U+00A0 (no-break space)", "LICENSE"],
        ["U+2028 (line separator)", "PARAMETER stop"],
    ]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("qwen-tuna", "qwen-tuna"),
        ("My Model", "my-model"),
        ("ada/tuna:Q4_K_M", "ada/tuna:q4_k_m"),
        ("localhost:5000/ada/tuna:v1", "localhost:5000/ada/tuna:v1"),
        ("registry.ollama.ai/ada.b/tuna", "registry.ollama.ai/ada-b/tuna"),
        ("-x-", "x"),
        ("a" * 100, "a" * 80),
        ("", "model-e3b0c4"),
        ("tuna:", "tuna"),
    ],
)
def test_names(asked: str, name: str) -> None:
    assert model_name(asked) == (name, "") if asked == name else model_name(asked)[0] == name


def test_names_in_other_scripts_become_plain_and_stay_apart() -> None:
    names = {model_name(text)[0] for text in ("小明", "小红", "小明bot", "小红bot", "my小明:最新", "我/你")}
    assert len(names) == 6
    part = r"[a-z0-9_][a-z0-9_.-]{0,79}"
    assert all(re.fullmatch(rf"(({part}/)?{part}/)?{part}(:{part})?", name) for name in names), names
    assert model_name("小明")[1].startswith("Ollama's names are of plain letters") and "小明" in model_name("小明")[1]


def test_files_that_are_not_there_are_no_downloads(tmp_path: Path) -> None:
    made = Modelfile("model.gguf", adapter="lora.gguf")
    for name in ("model.gguf", "lora.gguf"):
        with pytest.raises(UserError, match=name):
            made.write(tmp_path)
        (tmp_path / name).write_bytes(b"GGUF")
    assert made.write(tmp_path).read_text(encoding="utf-8") == made.text()


@pytest.mark.parametrize(
    "source", ["/a/m.gguf", "a/m.gguf", "a\\m.gguf", "a\u3000b.gguf", "../m.gguf", "no model", "x\ny"]
)
def test_sources_that_ollama_would_misread(source: str) -> None:
    with pytest.raises(UserError):
        Modelfile(source).text()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"temprature": 1.0}, "Did you mean temperature"),
    ({"mirostat": 1}, "Known:"),
    ({"num_ctx": 2048.5}, "a whole number"),
    ({"num_ctx": True}, "a whole number"),
    ({"temperature": "hot"}, "a number"),
    ({"use_mmap": 1}, "true or false"),
    ({"stop": [1]}, "texts"),
]


@pytest.mark.parametrize(("parameters", "told"), WRONG)
def test_parameters_that_ollama_would_refuse(parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as caught:
        checked_parameters(parameters)
    assert told in str(caught.value) and caught.value.field in parameters


def test_parameters_of_a_job() -> None:
    made = sampling_parameters(stop=[], do_sample=False, temperature=0.95, top_p=1, top_k=0, repetition_penalty=1.2)
    assert made == {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "repeat_penalty": 1.2, "repeat_last_n": -1}
    assert checked_parameters({**made, "use_mmap": False}) == {**made, "use_mmap": False}
    assert "PARAMETER use_mmap false\n" in Modelfile("m.gguf", parameters={"use_mmap": False}).text()
