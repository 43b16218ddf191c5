"""A named template as Jinja in transformers' language, so that others who load the model render as its training did."""

from __future__ import annotations

import re

from tunesmith.text.families import Family

# What a family's template expects and transformers does not give: reasoning as None where there is none, tool calls as
# text. Tools need the family's own tool format, which is code: a conversation with tools is refused, not mis-rendered.
_PROLOGUE = """\
{%%- if tools %%}{{- raise_exception('This template was saved without its tool format.') }}{%% endif %%}
{%%- set default_system = %(default_system)s %%}
{%%- set enable_thinking = enable_thinking if enable_thinking is defined else %(thinking)s %%}
{%%- set keep_reasoning = %(keep_reasoning)s %%}
{%%- set tool_prompt = '' %%}
{%%- set given = namespace(messages=[]) %%}
{%%- if default_system and (not messages or messages[0].role != 'system') %%}
{%%- set given.messages = [{'role': 'system', 'content': default_system, 'reasoning_content': none, 'calls': ''}] %%}
{%%- endif %%}
{%%- for message in messages %%}
{%%- set thought = message.reasoning_content if message.reasoning_content is defined else none %%}
{%%- set plain = {'role': message.role, 'content': message.content, 'reasoning_content': thought, 'calls': ''} %%}
{%%- set given.messages = given.messages + [plain] %%}
{%%- endfor %%}
{%%- set messages = given.messages %%}
"""


_DEFAULT_SYSTEM = """\
{%%- if not messages or messages[0].role != 'system' %%}
{%%- set messages = [{'role': 'system', 'content': %s}] + messages %%}
{%%- endif %%}
"""


def with_default_system(source: str, text: str) -> str:
    """A tokenizer's own template that puts a system message before conversations that begin without one."""
    return _DEFAULT_SYSTEM % _jinja_text(text) + source


def portable_source(family: Family, *, default_system: str, thinking: bool | None, keep_reasoning: bool) -> str:
    """The family's template behind a prologue that makes its terms of transformers' own.

    thinking: what `enable_thinking` is where the caller does not say.
    """
    prologue = _PROLOGUE % {
        "default_system": _jinja_text(default_system),
        "thinking": _jinja_bool(bool(thinking)),
        "keep_reasoning": _jinja_bool(keep_reasoning),
    }
    # The marks of what an assistant writes mean something in training only, and not every runtime knows the tag.
    body = re.sub(r"(\{%[-+]?\s*)generation\b", r"\1if true", family.source)
    return prologue + re.sub(r"(\{%[-+]?\s*)endgeneration\b", r"\1endif", body)


def _jinja_bool(value: bool) -> str:
    return "true" if value else "false"


def _jinja_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"
