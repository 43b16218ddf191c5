"""Rows in every format become conversations, and what can't is refused with a reason that says what to correct."""

from __future__ import annotations

import pytest

from tunesmith.text.conversation import Conversation, Document, Message
from tunesmith.text.formats import FORMATS, Columns, Tags
from tunesmith.text.rows import RowError


def read(name, row, columns=None, tags=None):
    return FORMATS.get(name).read(row, columns or Columns(), tags or Tags())


def turns(conversation: Conversation) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in conversation.messages]


def sharegpt(*messages, **more):
    return {"conversations": [{"from": role, "value": value} for role, value in messages], **more}


def openai(*messages, **more):
    return {"messages": [{"role": role, "content": content} for role, content in messages], **more}


def test_alpaca_joins_instruction_and_input_and_keeps_history_and_system():
    row = {
        "instruction": "Translate.",
        "input": "Guten Tag",
        "output": "Good day",
        "system": "You are brief.",
        "history": [["Hi", "Hello"]],
    }
    assert turns(read("alpaca", row)) == [
        ("system", "You are brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Translate.\nGuten Tag"),
        ("assistant", "Good day"),
    ]


def test_alpaca_without_input_has_no_stray_newline():
    assert turns(read("alpaca", {"instruction": "Hi", "input": "", "output": "Hello"})) == [
        ("user", "Hi"),
        ("assistant", "Hello"),
    ]


def test_history_and_tools_may_be_json_text_as_in_spreadsheets():
    row = {"instruction": "b", "output": "c", "history": '[["q", "a"]]', "tools": '[{"name": "f"}]'}
    conversation = read("alpaca", row)
    assert turns(conversation)[:2] == [("user", "q"), ("assistant", "a")]
    assert conversation.tools == ({"type": "function", "function": {"name": "f"}},)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"instruction": "a", "output": ""}, "answer is empty"),
        ({"instruction": "a", "output": "  \n"}, "answer is empty"),
        ({"instruction": "a", "output": None}, "answer is empty"),
        ({"instruction": "a", "output": 42}, "'output' is a number, expected text"),
        ({"instruction": ["a"], "output": "b"}, "'instruction' is a list"),
        ({"instruction": "a", "answer": "b"}, "'output' is missing (columns found: instruction, answer)"),
        ({"output": "b"}, "'instruction' is missing"),
        ({"instruction": "a", "output": "b", "history": [["only one"]]}, "[question, answer] pairs"),
        ({"instruction": "a", "output": "b", "images": ["x.png"]}, "holds images"),
        ({"instruction": "a", "output": "<think>hm"}, "never closed"),
        ({"instruction": "a", "output": "<think>hm</think>\n\n"}, "only thinking"),
    ],
)
def test_alpaca_refusals(row, reason):
    with pytest.raises(RowError) as caught:
        read("alpaca", row)
    assert reason in caught.value.reason


def test_thinking_at_the_head_of_an_answer_is_taken_apart():
    answer = read("alpaca", {"instruction": "a", "output": "<think>\nfirst this\n</think>\n\nThen that."}).messages[1]
    assert (answer.thinking, answer.content) == ("first this", "Then that.")
    inside = read("alpaca", {"instruction": "a", "output": "The tag <think> opens."}).messages[1]
    assert (inside.thinking, inside.content) == (None, "The tag <think> opens.")


def test_openai_reasoning_content_is_thinking():
    answer = {"role": "assistant", "content": "b", "reasoning_content": "c"}
    row = {"messages": [{"role": "user", "content": "a"}, answer]}
    assert read("openai", row).messages[1] == Message("assistant", "b", thinking="c")


def test_sharegpt_with_tools():
    row = sharegpt(
        ("system", "Be kind."),
        ("human", "Weather?"),
        ("function_call", '{"name": "weather", "arguments": {"city": "Bonn"}}'),
        ("observation", '{"sky": "clear"}'),
        ("gpt", "Clear."),
        tools='[{"name": "weather", "description": "d", "parameters": {}}]',
    )
    conversation = read("sharegpt", row)
    assert [message.role for message in conversation.messages] == ["system", "user", "assistant", "tool", "assistant"]
    call = conversation.messages[2].tool_calls[0]
    assert (call.name, call.arguments) == ("weather", {"city": "Bonn"})
    assert conversation.tools[0]["function"]["name"] == "weather"


def test_openai_tool_calls_with_arguments_as_text_and_two_results():
    calls = [
        {"id": str(n), "type": "function", "function": {"name": "f", "arguments": f'{{"n": {n}}}'}} for n in (1, 2)
    ]
    row = {
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "content": "one", "tool_call_id": "1"},
            {"role": "tool", "content": "two", "tool_call_id": "2"},
            {"role": "assistant", "content": "done"},
        ]
    }
    messages = read("openai", row).messages
    assert [call.arguments for call in messages[1].tool_calls] == [{"n": 1}, {"n": 2}]
    assert [message.content for message in messages[2:4]] == ["one", "two"]


def test_system_messages_at_the_head_are_joined_and_one_before_any_answer_is_moved_there():
    head = openai(("system", "A"), ("developer", "B"), ("user", "q"), ("assistant", "a"))
    assert read("openai", head).system == "A\n\nB"
    late = openai(("user", "q"), ("system", "S"), ("assistant", "a"))
    assert turns(read("openai", late)) == [("system", "S"), ("user", "q"), ("assistant", "a")]


def test_nothing_is_ever_put_into_the_text():
    assert turns(read("openai", openai(("user", "q"), ("assistant", "a")))) == [("user", "q"), ("assistant", "a")]


def test_parts_of_type_text_are_joined_and_others_refused():
    text = {"type": "text", "text": "see "}
    row = openai(("user", [text, {"type": "text", "text": "this"}]), ("assistant", "a"))
    assert turns(read("openai", row))[0] == ("user", "see this")
    with pytest.raises(RowError, match="type 'image_url'"):
        read("openai", openai(("user", [text, {"type": "image_url"}]), ("assistant", "a")))


@pytest.mark.parametrize(("flag", "train"), [({"train": False}, False), ({"weight": 0}, False), ({"loss": True}, True)])
def test_train_flags(flag, train):
    row = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", **flag}]}
    assert read("openai", row).messages[1].train is train


def test_own_tags_and_columns():
    tags = Tags(role_tag="who", content_tag="says", user_tag="Q", assistant_tag="A")
    row = {"dialogue": [{"who": "Q", "says": "x"}, {"who": "A", "says": "y"}]}
    assert turns(read("sharegpt", row, Columns(messages="dialogue"), tags)) == [("user", "x"), ("assistant", "y")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (sharegpt(("gpt", "a"), ("human", "q")), "starts with the assistant"),
        (sharegpt(("human", "q")), "ends with the user"),
        (sharegpt(("human", "q"), ("human", "r"), ("gpt", "a")), "two messages of the user"),
        (sharegpt(("human", "q"), ("gpt", "a"), ("gpt", "b")), "two messages of the assistant"),
        (sharegpt(("human", "q"), ("observation", "r"), ("gpt", "b")), "tool's result follows the user"),
        (sharegpt(("human", "q"), ("gpt", "")), "message 2: the answer is empty"),
        (sharegpt(("human", "q"), ("robot", "a")), "unknown role 'robot'"),
        (sharegpt(("human", "q"), ("function_call", "not json")), "not JSON"),
        (sharegpt(("human", "q"), ("function_call", '{"arguments": {}}')), "has no name"),
        (sharegpt(("human", 3), ("gpt", "a")), "message 1 is a number"),
        (sharegpt(("human", "q"), ("gpt", "a"), ("system", "s"), ("human", "q"), ("gpt", "a")), "after an answer"),
        (sharegpt(("system", "s"), ("human", "q"), ("system", "t"), ("gpt", "a")), "second system message"),
        (openai(("user", "q"), ("assistant", "a")), "check `tags`"),
        ({"conversations": []}, "no messages"),
        ({"conversations": "hello"}, "not JSON"),
        ({"conversations": {"a": 1}}, "is an object, expected a list"),
        ({"chat": []}, "columns found: chat"),
        ({"messages": [{"role": "user", "content": "q", "weight": 0.5}]}, "'weight' of a message is 0.5"),
    ],
)
def test_conversations_that_are_refused(row, reason):
    name = "openai" if "weight" in str(row) else "sharegpt"
    with pytest.raises(RowError) as caught:
        read(name, row)
    assert reason in caught.value.reason


def test_documents():
    assert read("text", {"text": "once"}) == Document("once")
    assert read("text", {"body": "once"}, Columns(prompt="body")) == Document("once")
    with pytest.raises(RowError, match="the document is empty"):
        read("text", {"text": " "})


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"instruction": "a", "output": "b"}, "alpaca"),
        (sharegpt(("human", "q")), "sharegpt"),
        (openai(("user", "q")), "openai"),
        ({"messages": '[{"role": "user", "content": "q"}]'}, "openai"),
        ({"text": "x"}, "text"),
        ({"a": 1}, None),
    ],
)
def test_a_row_is_recognised_by_exactly_one_format(row, name):
    assert [known for known, reader in FORMATS if reader.detect(row)] == ([name] if name else [])
