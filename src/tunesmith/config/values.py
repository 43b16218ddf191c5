"""From the words that were given to a validated job."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from math import isfinite
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from tunesmith.config.arguments import flag_value
from tunesmith.config.fields import Field, fields
from tunesmith.config.job import SECTIONS, Job
from tunesmith.config.reading import Setting, plain
from tunesmith.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_PAIR = re.compile(r"([\w-]+)\s*[:：]\s*(.+)", re.DOTALL)


def shape(field: Field, value: Any) -> Any:
    """The value in the form its field has: comma strings as lists, `true` as a bool. Null where a field can't be null
    stays None and means the default."""
    if isinstance(value, PurePath):
        value = str(value)
    if field.takes("list") and not isinstance(value, Mapping | None):
        items = _split(value) if isinstance(value, str) else value
        items = list(items) if isinstance(items, list | tuple) else [items]
        items = [str(item).strip() if isinstance(item, str | PurePath) else item for item in items]
        return [] if items == ["none"] else [item for item in items if item != ""]
    if (mapping := field.takes("mapping")) and isinstance(value, str):
        if value.lstrip().startswith("{"):
            return flag_value(value, free=True)  # JSON in quotes, as transformers takes it
        of_text = mapping.item is not None and mapping.item.kind == "text"
        return {key: text if of_text else plain(text) for key, text in _pairs(value)} or value
    if isinstance(value, Mapping):
        return _as_data(field, value)
    if field.takes("true or false") and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def _pairs(text: str) -> list[tuple[str, str]]:
    """`name: Ada, author: me` as a person types it, with ASCII or Chinese marks; empty for a text of another form."""
    found = [_PAIR.fullmatch(part.strip()) for part in re.split(r"[,，;；\n](?=\s*[\w-]+\s*[:：])", text)]
    return [(pair[1], _unquoted(pair[2])) for pair in found if pair] if all(found) else []


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _split(text: str) -> list[str]:
    """The parts between commas; the path of something that exists is one, commas or not."""
    return [text] if "," in text and os.path.exists(text.strip()) else text.split(",")


def build_job(settings: Mapping[str, Setting]) -> Job:
    """Validate shaped settings of known fields. UserError with a line for each that doesn't fit."""
    from pydantic import ValidationError

    sections: dict[str, Any] = {}
    wrong: list[str] = []
    for name, cls in SECTIONS.items():
        given = {
            key: setting.value
            for key, setting in settings.items()
            if fields()[key].section == name and (setting.value is not None or fields()[key].nullable)
        }
        if not given:
            sections[name] = cls()
            continue
        try:
            sections[name] = _adapter(name).validate_python(given)
        except ValidationError as error:
            wrong += dict.fromkeys(str(problem["loc"][0]) for problem in error.errors(include_url=False))
    if wrong:
        raise _refusal([settings[key] for key in wrong])
    return Job(**sections)


def _as_data(field: Field, value: Any) -> Any:
    """A mapping from Python as a file would hold it, so that a resolved job can be written and read back."""
    if isinstance(value, Mapping):
        return {str(key): _as_data(field, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_data(field, item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value)):
        return value
    raise UserError(
        f"{field.name} holds {value!r}, which a config file can't hold.",
        hint="Use text, numbers, true, false, null, lists and mappings.",
        field=field.name,
    )


@cache
def _adapter(section: str) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(SECTIONS[section])


def _refusal(wrong: list[Setting]) -> UserError:
    parts = []
    for setting in wrong:
        field = fields()[setting.key]
        found = "something else" if field.secret else _found(setting.value)
        where = f"{setting.where}: " if setting.where else ""
        words = setting.value if isinstance(setting.value, list) else [setting.value]
        near = [
            did_you_mean(word, field.choices) for word in words if isinstance(word, str) and word not in field.choices
        ]
        hint = next(filter(None, near), "") or f"`tunesmith help {field.name}` says more."
        line = f"{where}{setting.key} is {found}, expected {field.expected}."
        parts.append(UserError(line, hint=hint, field=field.name))
    message = "\n".join(part.message for part in parts)
    return UserError(message, hint=parts[0].hint, field=parts[0].field, parts=parts)


def _found(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        return _found(value[0])
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
