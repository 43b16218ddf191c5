from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from tests.assets import loaded_tokenizer

from tunesmith.errors import UserError
from tunesmith.text.conversation import Conversation, Message, Rendered, ToolCall
from tunesmith.text.families import Family, family_names
from tunesmith.text.rows import RowError
from tunesmith.text.template import ChatTemplate, choose_template

WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Weather", "parameters": {"type": "object", "properties": {}}},
}
FAMILIES = sorted(set(family_names().values()))


@cache
def template(model: str, family: str | None, **options: Any) -> ChatTemplate:
    return choose_template(family, loaded_tokenizer(model), **options).template


def chat(*texts: str, system: str | None = None) -> Conversation:
    """Questions and answers in turn."""
    head = () if system is None else (Message("system", system),)
    return Conversation((*head, *(Message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts))))


def shown(rendered: Rendered) -> str:
    """The text with what is trained between ⟦ and ⟧."""
    text = rendered.text
    for span in reversed(rendered.spans):
        text = f"{text[: span.start]}⟦{text[span.start : span.end]}⟧{text[span.end :]}"
    return text


def from_source(source: str, model: str = "qwen3") -> ChatTemplate:
    return ChatTemplate(Family("own", source), loaded_tokenizer(model), own=True)


# Masks checked by hand

IM = "<|im_start|>"
H = "<|start_header_id|>{}<|end_header_id|>\n\n"
MASKS: list[tuple[str, str | None, Conversation, str]] = [
    (
        "qwen3", "qwen3_nothink", chat("你好", "你好！🎉"),
        f"{IM}user\n你好<|im_end|>\n{IM}assistant\n⟦你好！🎉<|im_end|>\n⟧",
    ),
    (
        "qwen3", "qwen3_nothink", chat("a", "b", "c", "d", system="S"),
        f"{IM}system\nS<|im_end|>\n{IM}user\na<|im_end|>\n{IM}assistant\n⟦b<|im_end|>\n⟧"
        f"{IM}user\nc<|im_end|>\n{IM}assistant\n⟦d<|im_end|>\n⟧",
    ),
    (
        "qwen3", "qwen", chat("a", "b"),
        f"{IM}system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        f"{IM}user\na<|im_end|>\n{IM}assistant\n⟦b<|im_end|>\n⟧",
    ),
    (
        "llama3", "llama3", chat("a", "b", "c", "d", system="S"),
        f"<|begin_of_text|>{H.format('system')}S<|eot_id|>{H.format('user')}a<|eot_id|>{H.format('assistant')}⟦b<|eot_id|>⟧"
        f"{H.format('user')}c<|eot_id|>{H.format('assistant')}⟦d<|eot_id|>⟧",
    ),
    (
        # This model's own template always ends with a generation prompt; it is no part of a training text.
        "llama3", None, chat("a", "b", "c", "d"),
        f"<|begin_of_text|>{H.format('user')}a<|eot_id|>{H.format('assistant')}⟦b<|eot_id|>⟧"
        f"{H.format('user')}c<|eot_id|>{H.format('assistant')}⟦d<|eot_id|>⟧",
    ),
    ("llama2", "llama2", chat("a", "b", system="S"), "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\na [/INST]⟦ b </s>⟧"),
    ("llama2", "llama2", chat("a", "b", "c", "d"), "<s>[INST] a [/INST]⟦ b </s>⟧<s>[INST] c [/INST]⟦ d </s>⟧"),
    (
        "mistral_v3", "mistral", chat("a", "b", "c", "d", system="S"),
        "<s>[INST] S\n\na[/INST]⟦ b</s>⟧[INST] c[/INST]⟦ d</s>⟧",
    ),
    ("mistral_tekken", "ministral", chat("a", "b", "c", "d"), "<s>[INST]a[/INST]⟦b</s>⟧[INST]c[/INST]⟦d</s>⟧"),
    (
        "mistral_tekken", "mistral_small", chat("a", "b", system="S"),
        "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST]a[/INST]⟦b</s>⟧",
    ),
    (
        "gemma3", "gemma3", chat("a", "b", system="S"),
        "<bos><start_of_turn>user\nS\n\na<end_of_turn>\n<start_of_turn>model\n⟦b<end_of_turn>\n⟧",
    ),
    (
        "deepseek_v3", "deepseek3", chat("a", "b", "c", "d", system="S"),
        "<｜begin▁of▁sentence｜>S<｜User｜>a<｜Assistant｜>⟦b<｜end▁of▁sentence｜>⟧<｜User｜>c<｜Assistant｜>⟦d<｜end▁of▁sentence｜>⟧",
    ),
    (
        "smollm2", None, chat("a", "b"),
        f"{IM}system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        f"{IM}user\na<|im_end|>\n{IM}assistant\n⟦b<|im_end|>\n⟧",
    ),
    ("llama2", "alpaca", chat("a", "b", system="S"), "S\n\n### Instruction:\na\n\n### Response:\n⟦b</s>\n\n⟧"),
    (
        "llama2", "vicuna", chat("a", "b", "c", "d", system="S"),
        "S USER: a ASSISTANT:⟦ b</s>⟧USER: c ASSISTANT:⟦ d</s>⟧",
    ),
    ("llama2", "zephyr", chat("a", "b", system="S"), "<|system|>\nS</s>\n<|user|>\na</s>\n<|assistant|>\n⟦b</s>\n⟧"),
    ("llama2", "default", chat("a", "b", system="S"), "System: S</s>\nHuman: a</s>\nAssistant:⟦b</s>\n⟧"),
    (
        "qwen3", "glm4", chat("a", "b", "c", "d"),
        "[gMASK]<sop><|user|>\na<|assistant|>⟦\nb<|user|>⟧\nc<|assistant|>⟦\nd<|user|>⟧",
    ),
    ("llama2", "phi4", chat("a", "b"), f"{IM}user<|im_sep|>a<|im_end|>{IM}assistant<|im_sep|>⟦b<|im_end|>⟧"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "family", "conversation", "expected"), MASKS)
def test_masks(model: str, family: str | None, conversation: Conversation, expected: str) -> None:
    assert shown(template(model, family).render(conversation)) == expected


THINKING = [
    # thinking, reasoning in the data, what follows the header
    (True, "Hm.", "⟦<think>\nHm.\n</think>\n\nb<|im_end|>\n⟧"),
    (True, None, "⟦<think>\n\n</think>\n\nb<|im_end|>\n⟧"),
    (False, "Hm.", "<think>\n\n</think>\n\n⟦b<|im_end|>\n⟧"),
    (False, None, "<think>\n\n</think>\n\n⟦b<|im_end|>\n⟧"),
    (None, "Hm.", "⟦<think>\nHm.\n</think>\n\nb<|im_end|>\n⟧"),
    (None, None, "<think>\n\n</think>\n\n⟦b<|im_end|>\n⟧"),
]


@pytest.mark.parametrize("family", ["qwen3", None])
@pytest.mark.parametrize(("thinking", "reasoning", "tail"), THINKING)
def test_thinking(family: str | None, thinking: bool | None, reasoning: str | None, tail: str) -> None:
    conversation = Conversation((Message("user", "a"), Message("assistant", "b", thinking=reasoning)))
    rendered = template("qwen3", family).render(conversation, thinking=thinking)
    assert shown(rendered) == f"{IM}user\na<|im_end|>\n{IM}assistant\n{tail}"


LONG_THOUGHT = Conversation(
    (
        Message("user", "a"), Message("assistant", "b", thinking="T1"),
        Message("user", "c"), Message("assistant", "d", thinking="T2"),
    )
)  # fmt: skip


def test_earlier_reasoning_is_trained_by_the_family() -> None:
    assert shown(template("qwen3", "qwen3").render(LONG_THOUGHT, thinking=True)) == (
        f"{IM}user\na<|im_end|>\n{IM}assistant\n⟦<think>\nT1\n</think>\n\nb<|im_end|>\n⟧"
        f"{IM}user\nc<|im_end|>\n{IM}assistant\n⟦<think>\nT2\n</think>\n\nd<|im_end|>\n⟧"
    )


def test_earlier_reasoning_can_be_dropped_and_preserved() -> None:
    dropped = template("qwen3", "qwen3").render(LONG_THOUGHT, thinking=True, keep_reasoning=False)
    assert "T1" not in dropped.text and "T2" in dropped.text
    asked = Conversation(LONG_THOUGHT.messages[:3])
    assert "T1" not in template("qwen3", "qwen3").render(asked, generation_prompt=True, thinking=True).text
    kept = template("qwen3", "qwen3", preserve_thinking=True)
    assert "T1" in kept.render(asked, generation_prompt=True, thinking=True).text


def test_an_answer_whose_reasoning_the_template_drops_is_not_trained() -> None:
    rendered = template("qwen3", None).render(LONG_THOUGHT, thinking=True)
    assert [span.message for span in rendered.spans] == [3]
    assert "T1" not in rendered.text
    assert shown(rendered).endswith(f"{IM}assistant\n⟦<think>\nT2\n</think>\n\nd<|im_end|>\n⟧")


def test_reasoning_without_a_place_for_it_is_written_in_tags() -> None:
    conversation = Conversation((Message("user", "a"), Message("assistant", "b", thinking="T")))
    for family in ("gemma", None):
        assert "⟦<think>\nT\n</think>\n\nb<end_of_turn>" in shown(template("gemma3", family).render(conversation))


# What every family must hold

NASTY = "  {{content}} {% raw %} <|im_end|> [INST] </s> <think> \ufdd0c0\ufdd1 \ufdd2\n"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes_texts_through_and_trains_the_whole_answer(family: str) -> None:
    rendered = template("qwen3", family).render(chat("Q1" + NASTY, "A1" + NASTY, "Q2", "A2", system="S" + NASTY))
    assert [span.message for span in rendered.spans] == [2, 4]
    answers = [rendered.text[span.start : span.end] for span in rendered.spans]
    for answer, text in zip(answers, ["A1" + NASTY, "A2"], strict=True):
        assert text in answer and answer.rstrip() != text.rstrip(), "the end of the turn is trained too"
    assert rendered.text.count(NASTY) == 3
    assert "Q2" not in answers[0] + answers[1]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("thinking", [True, False, None])
def test_the_trained_prompt_is_the_prompt_of_a_chat(family: str, thinking: bool | None) -> None:
    conversation = chat("a", "b", "c", "d", system="S")
    rendered = template("qwen3", family).render(conversation, thinking=thinking, keep_reasoning=False)
    prompt = Conversation(conversation.messages[:-1])
    asked = template("qwen3", family).render(prompt, generation_prompt=True, thinking=thinking)
    assert asked.text == rendered.text[: rendered.spans[-1].start]
    assert asked.spans == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_offers_tools_and_writes_calls_that_can_be_read_back(family: str) -> None:
    calls = (ToolCall("get_weather", {"city": "Par<|im_end|>is", "days": 2}),)
    messages = (
        Message("user", "Weather?"), Message("assistant", "", tool_calls=calls), Message("tool", '{"t": 3}'),
        Message("assistant", "3 degrees"),
    )  # fmt: skip
    chosen = template("qwen3", family)
    rendered = chosen.render(Conversation(messages, (WEATHER,)))
    first, second = (rendered.text[span.start : span.end] for span in rendered.spans)
    assert "get_weather" in rendered.text[: rendered.spans[0].start], "the tools are offered"
    assert '"t": 3' in rendered.text[rendered.spans[0].end : rendered.spans[1].start]
    assert "3 degrees" in second
    for stop in (*chosen.stop_words, "</s>", "<think>\n\n</think>\n\n"):
        first = first.rstrip("\n").removesuffix(stop).removeprefix(stop)
    assert chosen.tool_format.parse(first.strip()) == ("", calls)
    assert [rendered.text[a:b] for a, b in rendered.literals] == ["<|im_end|>"]


@pytest.mark.parametrize(("content", "written"), [('{"t": 3}', '{"t": 3}'), ("sunny\n", '"sunny\\n"')])
def test_mistral_writes_tool_results_as_json(content: str, written: str) -> None:
    calls = (ToolCall("f", {}, id="abcdefghi"),)
    messages = (Message("user", "a"), Message("assistant", "", tool_calls=calls), Message("tool", content))
    text = template("mistral_tekken", "ministral").render(Conversation(messages), generation_prompt=True).text
    assert text == (
        '<s>[INST]a[/INST][TOOL_CALLS][{"name": "f", "arguments": {}, "id": "abcdefghi"}]</s>'
        f'[TOOL_RESULTS]{{"content": {written}, "call_id": "abcdefghi"}}[/TOOL_RESULTS]'
    )


def test_literals_are_exactly_the_control_tokens_of_the_data() -> None:
    conversation = chat("say <|im_end|> and <|im_start|>", "ok <|endoftext|>", system="<think>")
    for family in ("qwen3_nothink", None):
        rendered = template("qwen3", family).render(conversation)
        spelled = [rendered.text[a:b] for a, b in rendered.literals]
        assert spelled == ["<think>", "<|im_end|>", "<|im_start|>", "<|endoftext|>"]


def test_texts_that_own_templates_look_for_do_no_harm() -> None:
    """Qwen3's template splits answers at </think> and looks at questions that begin with <tool_response>."""
    own = template("qwen3", None)
    conversation = chat("a </think> b", "c", "<tool_response>x</tool_response>", "keep <think>this</think> too")
    text = own.render(conversation, thinking=True).text
    assert "a </think> b" in text and text.endswith("\n\nkeep <think>this</think> too<|im_end|>\n")
    split = from_source(
        "{% for m in messages %}[{{ m.role }}]{{ m.content.split('##')[-1] }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    assert shown(split.render(chat("a##b", "c"))) == "[user]b<|im_end|>[assistant]⟦c<|im_end|>⟧"


def test_default_system_can_be_set_and_the_rows_own_wins() -> None:
    chosen = template("qwen3", "qwen", default_system="D")
    assert f"{IM}system\nD<|im_end|>" in chosen.render(chat("a", "b")).text
    rendered = chosen.render(chat("a", "b", system="S"))
    assert "system\nS<" in rendered.text and "D<" not in rendered.text
    assert chosen.render(chat("a", "b")).spans[0].message == 1
    assert (
        template("qwen3", None, default_system="D").render(chat("a", "b")).text.startswith(f"{IM}system\nD<|im_end|>")
    )


def test_another_tool_format_may_be_chosen() -> None:
    conversation = Conversation((Message("user", "a"), Message("assistant", "b")), (WEATHER,))
    assert "# Tools" in template("qwen3", "chatml", tools="qwen").render(conversation).text
    assert "Action Input:" in template("qwen3", None, tools="default").render(conversation).text


def test_marks_of_a_models_own_template_are_used() -> None:
    marked = from_source(
        "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}!{% endgeneration %};"
        "{% else %}U:{{ m.content }};{% endif %}{% endfor %}{% if add_generation_prompt %}A:{% endif %}"
    )
    assert shown(marked.render(chat("a", "b", "c", "d"))) == "U:a;A:⟦b!⟧;U:c;A:⟦d!⟧;"


REFUSED = [
    ("{% for m in messages %}{{ m.role }}{% endfor %}", "leaves out message 1 (user)"),
    ("{% for m in messages | reverse %}<{{ m.content }}>{% endfor %}", "no mask can be drawn"),
    ("{{ raise_exception('users first') }}", "users first"),
    ("{{ messages[9].content }}", "refuses this conversation"),
    ("{{ messages | length }}{% for m in messages %}<{{ m.content }}>{% endfor %}", "rewrites earlier messages"),
]


@pytest.mark.parametrize(("source", "reason"), REFUSED)
def test_templates_that_cannot_be_masked_are_refused(source: str, reason: str) -> None:
    with pytest.raises(RowError, match=re.escape(reason)):
        from_source(source).render(chat("a", "b", "c", "d"))


def test_a_template_cannot_reach_out_of_its_sandbox() -> None:
    with pytest.raises(RowError):
        from_source(
            "{{ ''.__class__.__mro__[1].__subclasses__() }}{% for m in messages %}{{ m.content }}{% endfor %}"
        ).render(chat("a", "b"))


def test_templates_have_the_names_that_transformers_gives_them() -> None:
    own = from_source(
        "{{ strftime_now('%Y')[:2] }}{{ {'é': 1} | tojson }}{% for m in messages %}"
        "{% if m.role == 'x' %}{% continue %}{% endif %}<{{ m.content }}>{% endfor %}"
    )
    assert own.render(chat("a", "b")).text == '20{"é": 1}<a><b>'


def test_a_broken_template_names_the_line() -> None:
    with pytest.raises(UserError, match="line 2"):
        from_source("{{ a }}\n{% if %}")


def test_stop_words() -> None:
    assert template("qwen3", "qwen3").stop_words == ("<|im_end|>",)
    # Its files only name <|end_of_text|>; that answers end with <|eot_id|> shows in the template.
    assert template("llama3", None).stop_words == ("<|eot_id|>", "<|end_of_text|>")
    assert template("llama2", "alpaca").stop_words == ("</s>",)


def test_fingerprints_tell_renderings_apart() -> None:
    prints = {template("qwen3", f).fingerprint for f in ("qwen", "qwen3", None)}
    prints.add(template("qwen3", "qwen", default_system="x").fingerprint)
    assert len(prints) == 4
