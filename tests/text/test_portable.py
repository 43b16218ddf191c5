"""A saved template: transformers renders with it what the training saw."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from tunesmith.text.conversation import Conversation, Message
from tunesmith.text.families import family_names
from tunesmith.text.rows import RowError
from tunesmith.text.template import ChatTemplate, load_family
from tunesmith.text.tokenizer import Tokenizer

TALK = (
    Message("user", "Why?"),
    Message("assistant", "Because 'so'."),
    Message("user", "再说一次"),
    Message("assistant", "Ja."),
)
SYSTEM = (Message("system", "Be brief.\nAlways."), *TALK)


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("name", sorted(set(family_names().values())))
def test_transformers_renders_the_saved_template_as_the_run_did(
    name: str, thinking: bool, tiny_tokenizer_dir: Path
) -> None:
    ours = Tokenizer.load(tiny_tokenizer_dir)
    theirs = PreTrainedTokenizerFast.from_pretrained(tiny_tokenizer_dir)
    template = ChatTemplate(load_family(name), ours)
    source = template.portable(thinking=thinking)
    shown = 0
    for messages in (TALK[:1], TALK[:3], SYSTEM[:2], SYSTEM[:4]):
        try:
            expected = template.render(Conversation(messages), generation_prompt=True, thinking=thinking).text
        except RowError:  # this family has no place for a system message
            continue
        given = [{"role": message.role, "content": message.content} for message in messages]
        assert (
            theirs.apply_chat_template(given, chat_template=source, tokenize=False, add_generation_prompt=True)
            == expected
        )
        shown += 1
    assert shown >= 2


def test_a_default_system_message_goes_along(tiny_tokenizer_dir: Path) -> None:
    ours = Tokenizer.load(tiny_tokenizer_dir)
    theirs = PreTrainedTokenizerFast.from_pretrained(tiny_tokenizer_dir)
    template = ChatTemplate(load_family("chatml"), ours, default_system="You're 'Tuna'.\nBe \\ kind.")
    expected = template.render(Conversation(TALK[:1]), generation_prompt=True).text
    given = [{"role": "user", "content": "Why?"}]
    source = template.portable(thinking=None)
    assert (
        theirs.apply_chat_template(given, chat_template=source, tokenize=False, add_generation_prompt=True) == expected
    )
    assert "You're 'Tuna'.\nBe \\ kind." in expected
