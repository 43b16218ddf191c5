from __future__ import annotations

import pytest

from tunesmith.errors import UserError
from tunesmith.text.conversation import ToolCall
from tunesmith.text.tools import FORMATS, tool_format

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Today's weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALLS = (
    ToolCall("get_weather", {"city": "北京", "days": 3, "note": 'a "quoted" {brace}\nline'}),
    ToolCall("get_time", {}),
)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("count", [1, 2])
def test_what_is_written_is_read_back(name: str, count: int) -> None:
    form = FORMATS[name]
    assert form.parse(form.write(CALLS[:count])) == ("", CALLS[:count])


@pytest.mark.parametrize("name", ["default", "qwen"])
def test_words_before_a_call_are_kept(name: str) -> None:
    form = FORMATS[name]
    assert form.parse("Let me look.\n" + form.write(CALLS)) == ("Let me look.", CALLS)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "text", ["Hello.", "", "{not json", "Action: x\nAction Input: {", "<tool_call>\n{\n</tool_call>", "a\nb"]
)
def test_text_without_calls_is_left_alone(name: str, text: str) -> None:
    assert FORMATS[name].parse(text) == (text, ())


@pytest.mark.parametrize("name", FORMATS)
def test_the_offer_names_the_tool_and_takes_both_shapes(name: str) -> None:
    offer = FORMATS[name].describe([WEATHER])
    assert "get_weather" in offer and "Today's weather" in offer and "city" in offer
    assert FORMATS[name].describe([WEATHER["function"]]) == offer
    assert "now" in FORMATS[name].describe([{"name": "now"}])


def test_mistral_ids_survive() -> None:
    call = (ToolCall("f", {"a": 1}, id="abc123def"),)
    assert FORMATS["mistral"].parse("[TOOL_CALLS]" + FORMATS["mistral"].write(call)) == ("", call)


def test_unknown_format() -> None:
    with pytest.raises(UserError, match="qwem") as caught:
        tool_format("qwem")
    assert "qwen" in caught.value.hint
