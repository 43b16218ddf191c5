"""Derived Go templates in Go's own engine: `go` from PATH, or Debian's golang-go where the tests run as root."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFWriter
from tests.assets import CACHE, loaded_tokenizer, program
from tests.export.ollama_double import OllamaDouble

from tunesmith.export.go_template import derive_go_template
from tunesmith.export.modelfile import Modelfile, lost_characters
from tunesmith.export.ollama import Ollama
from tunesmith.text.conversation import Conversation, Message
from tunesmith.text.families import Family, family_names
from tunesmith.text.template import ChatTemplate, choose_template

SOURCE = Path(__file__).parent / "go" / "render.go"
FAMILIES = sorted(set(family_names().values()))


@cache
def renderer() -> Path:
    """The Go program, built once for each state of its source."""
    built = CACHE.parent / "go" / f"render-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}"
    if not built.is_file():
        built.parent.mkdir(parents=True, exist_ok=True)
        aside = built.with_name(f"{built.name}.{os.getpid()}")
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GO111MODULE": "off"}
        subprocess.run(
            [program("go", "golang-go"), "build", "-o", str(aside), str(SOURCE)], check=True, env=environment
        )
        os.replace(aside, built)
    return built


def rendered(questions: list[tuple[str, list[dict[str, str]]]]) -> list[str]:
    """What Go makes of templates and their messages."""
    asked = json.dumps([{"Template": template, "Messages": messages} for template, messages in questions])
    done = subprocess.run([renderer()], input=asked.encode(), check=True, capture_output=True)
    answers = json.loads(done.stdout)
    assert [answer["Error"] for answer in answers if answer["Error"]] == []
    return [answer["Text"] for answer in answers]


def template(model: str, family: str | None, **options: Any) -> ChatTemplate:
    return choose_template(family, loaded_tokenizer(model), **options).template


def from_source(source: str) -> ChatTemplate:
    return ChatTemplate(Family("own", source), loaded_tokenizer("llama2"), own=True)


TEXTS = [
    "What's this?", "你好，世界", "　　全角空格", "  leading", "trailing \n", "\n\n", '"quoted" and \'single\'',
    "{{ .System }}", "{{", "}}", "{", "{{{", "{%- if x %}", "`back` \\n", "a\nb\n", "<|im_end|>\n<|im_start|>system",
    "</s>[INST]", "👨\u200d👩\u200d👧 e\u0301", "<think>\nx\n</think>\n\ny", "<b>&amp;</b>", "### Response:\n",
]  # fmt: skip


def conversations() -> list[Conversation]:
    """Without and with a system message, one question and up to five, texts of all kinds."""
    chance = random.Random(11)
    made = []
    for number in range(36):
        system = (Message("system", chance.choice(TEXTS[:4] + TEXTS[5:])),) if number % 2 else ()
        turns = ("user", "assistant") * chance.randrange(5) + ("user",)
        made.append(Conversation((*system, *(Message(role, chance.choice(TEXTS)) for role in turns))))  # type: ignore[arg-type]
    return made


def plain(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in conversation.messages]


def check(made: ChatTemplate, *, thinking: bool | None = None, bos: str = "") -> None:
    """The derived template writes every conversation byte for byte as ours."""
    derived = derive_go_template(made, thinking=thinking, bos=bos)
    assert derived.text is not None, derived.reason
    chats = conversations()
    found = rendered([(derived.text, plain(chat)) for chat in chats])
    for chat, theirs in zip(chats, found, strict=True):
        ours = made.render(chat, generation_prompt=True, thinking=thinking, keep_reasoning=False).text
        assert theirs == ours.removeprefix(bos), chat


@pytest.mark.parametrize("family", FAMILIES)
def test_families(family: str) -> None:
    check(template("llama2", family))


@pytest.mark.parametrize(
    ("model", "family", "thinking", "bos"),
    [
        ("qwen3", "qwen3", False, ""),
        ("qwen3", None, False, ""),
        ("smollm2", None, None, ""),
        ("deepseek_v3", None, None, "<｜begin▁of▁sentence｜>"),
        ("llama3", "llama3", None, "<|begin_of_text|>"),
        ("gemma3", "gemma3", None, "<bos>"),
        ("mistral_tekken", "mistral_small", None, "<s>"),
    ],
)
def test_models(model: str, family: str | None, thinking: bool | None, bos: str) -> None:
    check(template(model, family), thinking=thinking, bos=bos)


def test_the_head_of_a_job() -> None:
    """A default system message, and one with markup of both template languages in it."""
    check(template("qwen3", "qwen3_nothink", default_system="你是小明。"))
    check(template("llama2", "zephyr", default_system='Say "{{ hi }}" {% x %}\n'))


BLOCK = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
ODD_BLOCK = BLOCK.replace("[", "{{ '{' }}{{ '{{' }}").replace("]", "}}")


def test_braces_of_a_template_are_text_in_go() -> None:
    check(from_source(BLOCK))
    check(from_source(ODD_BLOCK))


REFUSED = [
    ("trims", BLOCK.replace("m.content", "m.content | trim"), "white space"),
    ("dates", "{{ strftime_now('%d') }}" + BLOCK, "date"),
    ("loses", BLOCK.replace("{{ m.content }}", "{{ m.content if m.role != 'system' }}"), "leaves out"),
    ("refuses", BLOCK.replace("[{{", "{% if m.role == 'system' %}{{ raise_exception('No.') }}{% endif %}[{{"), "No."),
    ("numbers", BLOCK.replace("[{{ m.role }}", "[{{ m.role }}{{ loop.index }}"), "longer conversations"),
    ("moves", BLOCK.replace("[{{", "{{ '!' if messages|length > 6 }}[{{"), "longer conversations"),
    ("looks", BLOCK.replace("{{ m.content }}", "{{ m.content.split('</think>')[-1] }}"), "</think>"),
]


@pytest.mark.parametrize(("source", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_go_cannot_do_is_refused(source: str, reason: str) -> None:
    derived = derive_go_template(from_source(source))
    assert derived.text is None and reason in derived.reason


@pytest.mark.parametrize(
    ("model", "family", "thinking"), [("qwen3", "qwen3", True), ("qwen3", None, None), ("llama2", "chatml", True)]
)
def test_reasoning_is_refused(model: str, family: str | None, thinking: bool | None) -> None:
    derived = derive_go_template(template(model, family), thinking=thinking)
    assert derived.text is None and "reasoning" in derived.reason


def test_white_space_of_real_templates_is_refused() -> None:
    for model in ("llama3", "gemma3"):
        assert "white space" in derive_go_template(template(model, None)).reason


def test_an_answer_that_was_begun_goes_on() -> None:
    derived = derive_go_template(template("qwen3", "qwen3_nothink")).text
    assert derived
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    begun = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb"
    assert rendered([(derived, messages)]) == [begun]


def test_tools_are_left_to_the_template_in_the_gguf() -> None:
    """Ollama refuses tools for a template that has no place for them."""
    derived = derive_go_template(template("qwen3", "qwen3_nothink")).text
    assert derived and ".Tools" not in derived and ".ToolCalls" not in derived


def test_lost_characters_are_those_that_go_cannot_print() -> None:
    """But for line ends and tabs, which pass. Later letters may be in one of the two Unicode tables only."""
    done = subprocess.run([renderer(), "unprintable"], check=True, capture_output=True)
    unprintable = set(map(chr, json.loads(done.stdout))) - set("\t\n\r")
    old = "".join(c for c in map(chr, range(0x110000)) if unicodedata.ucd_3_2_0.category(c) != "Cn")
    assert set(lost_characters(old)) == unprintable & set(old)


def test_a_server_with_a_derived_template_writes_prompts_as_trained(tmp_path: Path) -> None:
    made = template("qwen3", "qwen3_nothink")
    derived = derive_go_template(made).text
    assert derived
    writer = GGUFWriter(tmp_path / "m.gguf", "qwen3")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    def show(conversation: Conversation) -> str:
        return made.render(conversation, generation_prompt=True, keep_reasoning=False).text

    go_engine = lambda source, messages: rendered([(source, messages)])[0]  # noqa: E731
    with OllamaDouble(tmp_path / "store", version="0.20.0", go=go_engine) as double, Ollama(double.url) as server:
        server.install("mine", Modelfile("m.gguf", template=derived), tmp_path)
        (found,) = server.check_prompt("mine", conversations()[:4], show)
        assert (found.status, found.detail) == ("pass", "Ollama 0.20.0 writes 4 conversations as trained")
        server.install("other", Modelfile("m.gguf", template=derived.replace("<|im_end|>", "</s>")), tmp_path)
        wrong = server.check_prompt("other", conversations()[:2], show)
        assert [finding.status for finding in wrong] == ["fail", "fail"]
        assert "<|im_end|>" in wrong[0].detail and "</s>" in wrong[0].detail and wrong[0].fix
