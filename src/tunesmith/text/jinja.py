"""Chat templates as Jinja: the environment that models' own templates expect, sandboxed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tunesmith.errors import UserError

TURN_OPEN, TURN_CLOSE = "\ufdd2", "\ufdd3"
"""Noncharacters that stand where `{% generation %}` and `{% endgeneration %}` stood."""

STRING_TESTS = frozenset(
    {"startswith", "endswith", "split", "rsplit", "replace", "find", "count", "partition", "index"}
)


class GenerationMarks(Extension):
    """`{% generation %}…{% endgeneration %}` marks what the assistant writes."""

    tags = {"generation"}  # noqa: RUF012  (jinja2's own declaration)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        opening = nodes.Output([nodes.TemplateData(TURN_OPEN)], lineno=line)
        closing = nodes.Output([nodes.TemplateData(TURN_CLOSE)], lineno=line)
        return [opening, *body, closing]


class TemplateRefusal(TemplateError):
    """The template itself said that it can't render this conversation."""


@cache
def environment() -> Environment:
    """Names and filters as transformers gives them to chat templates (its documentation lists them)."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[LoopControlExtension, GenerationMarks]
    )
    made.filters["tojson"] = _tojson
    made.globals["raise_exception"] = _refuse
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return made


def compile_template(source: str) -> Template:
    """The compiled template; UserError if it is not valid Jinja."""
    try:
        return environment().from_string(source)
    except TemplateSyntaxError as error:
        raise UserError(
            f"The model's chat template is not valid Jinja: {error.message} in line {error.lineno}.",
            hint="Name a family with `template:`, or fix chat_template in the model's folder.",
            field="template",
        ) from None


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: str) -> str:
    raise TemplateRefusal(message)


def names_used(source: str) -> frozenset[str]:
    """Every variable, attribute and string key that the template looks at."""
    tree = environment().parse(source)
    names = {node.name for node in tree.find_all(nodes.Name)} | {node.attr for node in tree.find_all(nodes.Getattr)}
    return frozenset(names | {word for node in tree.find_all(nodes.Getitem) for word in _constants(node.arg)})


def content_tests(source: str) -> tuple[bool, tuple[str, ...]]:
    """Whether the template trims texts, and the strings it looks for or cuts at inside them."""
    tree = environment().parse(source)
    filters = {node.name for node in tree.find_all(nodes.Filter)}
    calls = [node for node in tree.find_all(nodes.Call) if isinstance(node.node, nodes.Getattr)]
    methods = {call.node.attr for call in calls}  # type: ignore[attr-defined]
    trims = bool((filters | methods) & {"trim", "strip", "lstrip", "rstrip", "indent"}) or bool(methods & STRING_TESTS)
    sought: set[str] = set()
    for call in calls:
        if call.node.attr in STRING_TESTS:  # type: ignore[attr-defined]
            sought.update(word for argument in call.args for word in _constants(argument))
    for test in tree.find_all(nodes.Compare):
        if any(operand.op in ("in", "notin") for operand in test.ops):
            sought.update(_constants(test.expr))
    return trims, tuple(sorted(word for word in sought if word.strip()))


def _constants(node: nodes.Node) -> Iterator[str]:
    for constant in [node] if isinstance(node, nodes.Const) else node.find_all(nodes.Const):
        if isinstance(constant.value, str):
            yield constant.value
