"""What of an answer is shown, and as what: whole characters, reasoning and tool calls apart, nothing after a stop."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.assets import loaded_tokenizer, real_tokenizer

from tunesmith.inference.answer import Answer, Ends
from tunesmith.inference.decoding import Detokenizer, Sorter, until
from tunesmith.text.conversation import ToolCall
from tunesmith.text.tokenizer import Tokenizer
from tunesmith.text.tools import tool_format

TEXT = "Hello 你好 👩‍🚀!\n    indented\n\tand more\n\n- 你"


def sorted_out(text: str, size: int, *, thinking: bool = False) -> dict[str, str]:
    """Kind → text, when the text comes in bits of `size` characters."""
    sorter, kinds = Sorter(thinking=thinking), {"text": "", "thinking": "", "call": ""}
    bits = [text[i : i + size] for i in range(0, len(text), size)]
    for piece in [piece for bit in bits for piece in sorter.push(bit)] + list(sorter.flush()):
        kinds[piece.kind] += piece.text
    return kinds


@pytest.mark.parametrize("name", ["tiny", "llama2", "qwen3"])
def test_pieces_of_text_come_out_whole_and_complete(name: str, tiny_tokenizer_dir: Path) -> None:
    """Byte pieces of a character, SentencePiece's spaces and indented lines."""
    tokenizer = Tokenizer.load(tiny_tokenizer_dir if name == "tiny" else real_tokenizer(name))
    detokenizer = Detokenizer(tokenizer, skip_special_tokens=True)
    (ids,) = tokenizer.encode([TEXT])
    pieces = [detokenizer.push(token) for token in ids.tolist()]
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) + detokenizer.flush() == TEXT


def test_half_a_character_at_the_end_is_not_lost(tiny_tokenizer_dir: Path) -> None:
    tokenizer = Tokenizer.load(tiny_tokenizer_dir)
    detokenizer = Detokenizer(tokenizer, skip_special_tokens=True)
    *whole, _ = tokenizer.encode(["ok 👩"])[0].tolist()
    shown = "".join(map(detokenizer.push, whole))
    assert shown == "ok " and detokenizer.flush().startswith("\ufffd")


def test_marks_of_reasoning_are_seen_where_they_are_special_tokens() -> None:
    tokenizer = loaded_tokenizer("qwen3")
    detokenizer = Detokenizer(tokenizer, skip_special_tokens=True)
    (ids,) = tokenizer.encode(["<think>\nhm\n</think>\n\nYes<|im_end|>"])
    assert "".join(map(detokenizer.push, ids.tolist())) + detokenizer.flush() == "<think>\nhm\n</think>\n\nYes"


@pytest.mark.parametrize("size", [1, 3, 100])
def test_reasoning_is_told_from_the_answer(size: int) -> None:
    assert sorted_out("<think>\na < b\n</think>\n\nYes.", size) == {"thinking": "a < b\n", "text": "Yes.", "call": ""}
    assert sorted_out("a < b\n</think>\n\nYes.", size, thinking=True)["text"] == "Yes."
    assert sorted_out("never closed", size, thinking=True)["thinking"] == "never closed"


@pytest.mark.parametrize("size", [1, 100])
def test_an_answer_may_talk_about_the_mark(size: int) -> None:
    text = "The tag <think> opens, </think> closes; 1 <tool < 2"
    assert sorted_out(text, size)["text"] == text


@pytest.mark.parametrize("size", [1, 4, 100])
def test_tool_calls_are_kept_apart(size: int) -> None:
    text = 'Let me see.\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>\nDone'
    found = sorted_out(text, size)
    assert found["call"] == '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    assert found["text"] == "Let me see.\nDone"


def test_a_stop_that_is_spelled_ends_the_answer() -> None:
    assert "".join(until(["Hi", " there<|", "im_", "end|>", "\nuser"], ("<|im_end|>",))) == "Hi there"
    assert "".join(until(["Hi <|im", "possible"], ("<|im_end|>",))) == "Hi <|impossible"
    assert "".join(until(["a", "b"], ())) == "ab"


def answered(tokenizer: Tokenizer, text: str, *, tools: str = "qwen", stops: tuple[str, ...] = ()) -> Answer:
    (ids,) = tokenizer.encode([text])
    eos = tokenizer.eos_id
    assert eos is not None
    answer = Answer(
        ids.tolist(), Detokenizer(tokenizer, skip_special_tokens=True), Ends(frozenset([eos]), stops),
        thinking=False, tools=tool_format(tools), tools_offered=False, prompt_tokens=3,
    )  # fmt: skip
    for _ in answer:
        pass
    return answer


def test_an_answer_knows_what_it_was(tiny_tokenizer_dir: Path) -> None:
    tokenizer = Tokenizer.load(tiny_tokenizer_dir)
    call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
    answer = answered(tokenizer, f"<think>\nhm\n</think>\n\nLook:\n{call}<|im_end|>lost")
    assert answer.finish == "stop"
    assert answer.message.thinking == "hm"
    assert answer.message.content == "Look:"
    assert answer.message.tool_calls == (ToolCall("weather", {"city": "Paris"}),)
    assert answered(tokenizer, "no end").finish == "length"
    spelled = answered(tokenizer, "Hi###more", stops=("###",))
    assert (spelled.finish, spelled.message.content) == ("stop", "Hi")


def test_a_broken_tool_call_is_shown_as_it_is(tiny_tokenizer_dir: Path) -> None:
    answer = answered(Tokenizer.load(tiny_tokenizer_dir), "<tool_call>\n{broken\n</tool_call><|im_end|>")
    assert answer.message.tool_calls == ()
    assert answer.called == ["<tool_call>\n{broken\n</tool_call>"]
    assert "{broken" in answer.message.content
