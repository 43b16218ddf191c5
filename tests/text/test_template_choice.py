"""Which template is chosen, and that templates which come with a model are rendered as transformers renders them."""

from __future__ import annotations

import json

import pytest
from tests.assets import loaded_tokenizer, real_tokenizer
from tests.text.test_template import WEATHER, H, chat, shown, template

from tunesmith.errors import UserError
from tunesmith.text.conversation import Conversation, Message, ToolCall
from tunesmith.text.families import NOT_BUILT_IN, Family, family_names
from tunesmith.text.template import ChatTemplate, choose_template
from tunesmith.text.tokenizer import Tokenizer

CONVERSATIONS = [
    chat("Hi there", "Hello!"),
    chat("你好", "你好！有什么可以帮你？🎉", "再见", "再见！"),
    chat("a", "b", "c", "d", "e", "f", system="Be brief."),
    chat("code:\n\n    x = 1\r\n", "def f():\n    return {{x}} {% y %}\n"),
    chat("  lead", " and trail  \n"),
    chat("{{ messages }} {% if %}", "<b>&amp;</b> 'quotes' \"double\""),
]


@pytest.mark.parametrize("model", ["qwen3", "llama3", "gemma3", "deepseek_v3", "smollm2"])
def test_own_templates_write_what_transformers_writes(model: str) -> None:
    from transformers import PreTrainedTokenizerFast

    settings = loaded_tokenizer(model)
    source = settings.chat_template
    assert source
    theirs = PreTrainedTokenizerFast(
        tokenizer_file=str(real_tokenizer(model) / "tokenizer.json"),
        bos_token=settings.bos_token, eos_token=settings.eos_token, chat_template=source,
    )  # fmt: skip
    for conversation in CONVERSATIONS:
        messages = [{"role": m.role, "content": m.content} for m in conversation.messages]
        text = theirs.apply_chat_template(messages, tokenize=False)
        rendered = template(model, None).render(conversation, thinking=True)
        assert text.removesuffix(H.format("assistant")) == rendered.text
        prompt = theirs.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
        assert rendered.text[: rendered.spans[-1].start] == prompt


def test_own_template_with_tools_writes_what_transformers_writes() -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    call = {"id": "call00000", "type": "function", "function": {"name": "get_weather", "arguments": {"城市": "北京"}}}
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": '{"t": 3}'},
        {"role": "assistant", "content": "3 °C"},
    ]
    conversation = Conversation(
        (
            Message("system", "S"), Message("user", "Weather?"),
            Message("assistant", "", tool_calls=(ToolCall("get_weather", {"城市": "北京"}),)),
            Message("tool", '{"t": 3}'), Message("assistant", "3 °C"),
        ),
        (WEATHER,),
    )  # fmt: skip
    source = loaded_tokenizer("qwen3").chat_template
    (texts, _) = render_jinja_template([messages], tools=[WEATHER], chat_template=source)
    rendered = template("qwen3", None).render(conversation, thinking=True)
    assert rendered.text == texts[0]
    pieces = [rendered.text[span.start : span.end] for span in rendered.spans]
    assert pieces == [
        '<tool_call>\n{"name": "get_weather", "arguments": {"城市": "北京"}}\n</tool_call><|im_end|>\n',
        "<think>\n\n</think>\n\n3 °C<|im_end|>\n",
    ]
    # The named family writes the same, but for the think blocks, which it doesn't have.
    named = template("qwen3", "qwen3_nothink").render(conversation)
    assert named.text == texts[0].replace("<think>\n\n</think>\n\n", "")


@pytest.mark.parametrize(
    ("model", "family"),
    [("llama3", "llama3"), ("gemma3", "gemma"), ("deepseek_v3", "deepseek3"), ("smollm2", "smollm2")],
)
def test_families_agree_with_their_models(model: str, family: str) -> None:
    chosen = choose_template(family, loaded_tokenizer(model))
    assert chosen.notes == ()
    for conversation in CONVERSATIONS[:3]:
        assert shown(chosen.template.render(conversation)) == shown(template(model, None).render(conversation))


def test_an_unknown_name_gets_near_ones() -> None:
    with pytest.raises(UserError) as caught:
        choose_template("qwen3_nothnk", loaded_tokenizer("qwen3"))
    assert "qwen3_nothink" in caught.value.hint and caught.value.field == "template"


def test_a_name_that_exists_elsewhere_says_what_to_do() -> None:
    with pytest.raises(UserError, match="qwen2_vl") as caught:
        choose_template("qwen2_vl", loaded_tokenizer("qwen3"))
    assert "Leave `template:` out" in caught.value.hint
    assert not NOT_BUILT_IN & set(family_names())


def test_neither_name_nor_own_template() -> None:
    with pytest.raises(UserError) as caught:
        choose_template(None, loaded_tokenizer("llama2"))
    assert "llama2" in caught.value.hint and caught.value.field == "template"


def test_a_family_that_needs_an_end_token_the_model_lacks() -> None:
    spec = json.loads((real_tokenizer("llama2") / "tokenizer.json").read_text(encoding="utf-8"))
    with pytest.raises(UserError, match="end token"):
        choose_template("alpaca", Tokenizer(spec, {}))


def test_a_disagreement_is_told_in_one_sentence() -> None:
    (note,) = choose_template("qwen", loaded_tokenizer("qwen3")).notes
    assert "qwen is used" in note and "You are Qwen" in note


def test_control_tokens_that_the_model_lacks_are_told() -> None:
    (note,) = choose_template("chatml", loaded_tokenizer("llama2")).notes
    assert "<|im_end|>" in note and "add_special_tokens" in note


def test_rendering_is_the_same_the_second_time() -> None:
    llama3 = loaded_tokenizer("llama3")
    own = ChatTemplate(Family("own", llama3.chat_template or ""), llama3, own=True)
    first = [own.render(conversation) for conversation in CONVERSATIONS]
    assert first == [own.render(conversation) for conversation in CONVERSATIONS]


def test_the_fingerprint_tells_of_special_tokens_that_a_template_may_write() -> None:
    spec = json.loads((real_tokenizer("qwen3") / "tokenizer.json").read_text(encoding="utf-8"))
    family = Family("mine", "{{ image_token }}")
    prints = [
        ChatTemplate(family, Tokenizer(spec, {"image_token": token}), own=True).fingerprint for token in ("<a>", "<b>")
    ]
    assert prints[0] != prints[1]
