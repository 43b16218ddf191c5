"""What is shown of the config: help for one key, the JSON schema, the reference page. All of it from the fields.

`python -m tunesmith.config.describe page` prints the page docs/reference/config.md, `… schema` the JSON schema.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from tunesmith.config.fields import Field, Form, fields, help_of
from tunesmith.config.job import SECTIONS
from tunesmith.config.legacy import Legacy, Refused, Renamed
from tunesmith.config.legacy_keys import LEGACY, REFUSED_VALUES
from tunesmith.errors import UserError, did_you_mean
from tunesmith.i18n import tr, translated


def help_text(key: str) -> str:
    """What a key means, for a terminal; UserError with the nearest names for an unknown one."""
    key = key.replace("-", "_")
    if key in fields():
        return _field_help(fields()[key])
    if key in LEGACY:
        return f"{key}\n  {translated(_legacy_line(LEGACY[key]))}"
    if key in SECTIONS:
        names = [field.name for field in fields().values() if field.section == key]
        lines = (f"  {name:<32}{translated(help_of(name))}" for name in names)
        return f"{translated(_first_line(key))}\n\n" + "\n".join(lines)
    near = did_you_mean(key, [*fields(), *LEGACY, *SECTIONS])
    hint = near or f"Sections: {', '.join(SECTIONS)}; `tunesmith help SECTION` lists its keys."
    raise UserError(f"There is no key {key!r}.", hint=hint)


def _field_help(field: Field) -> str:
    takes = tr(" or ").join(translated(str(form)) for form in field.forms) + (tr(" or null") if field.nullable else "")
    lines = [field.name, f"  {translated(help_of(field.name))}", tr("  Takes: {what}").format(what=takes)]
    lines.append(tr("  Default: {value}").format(value=default_text(field)))
    lines.append(tr("  Section: {name}").format(name=field.section))
    refused = REFUSED_VALUES.get(field.name, {})
    for line in dict.fromkeys(entry.line for entry in refused.values()):
        words = ", ".join(word for word, entry in refused.items() if entry.line == line)
        lines.append(f"  LLaMA-Factory's {words}: {translated(line)}")
    renamed = [name for name, entry in LEGACY.items() if isinstance(entry, Renamed) and entry.to == field.name]
    lines += [tr("  Also known as: {names}").format(names=", ".join(renamed))] if renamed else []
    return "\n".join(lines)


def default_text(field: Field) -> str:
    """The default as one would write it in YAML."""
    value = field.default
    if isinstance(value, tuple):
        return ",".join(map(scalar_text, value)) or "none"
    if isinstance(value, Mapping):
        return "none"
    return "null" if value is None or value == "" else scalar_text(value)


def scalar_text(value: bool | float | str) -> str:
    """A single value as people type it: true, 5e-5."""
    if isinstance(value, float):
        return str(value).replace("e-0", "e-")
    return str(value).lower() if isinstance(value, bool) else str(value)


def json_schema() -> dict[str, Any]:
    """A JSON schema (draft 2020-12) of a config file, for editors and forms. `x-section` groups the properties."""
    properties: dict[str, Any] = {name: _property(field) for name, field in fields().items()}
    for name, entry in LEGACY.items():
        properties[name] = {"description": _legacy_line(entry), "deprecated": True}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tunesmith job",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _property(field: Field) -> dict[str, Any]:
    forms = [_form_schema(form) for form in field.forms]
    if field.takes("list"):
        forms.append({"type": "string"})
    if field.nullable:
        forms.append({"type": "null"})
    shape = forms[0] if len(forms) == 1 else {"anyOf": forms}
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    default = dict(default) if isinstance(default, Mapping) else default
    return {"description": help_of(field.name), **shape, "default": default, "x-section": field.section}


def _form_schema(form: Form) -> dict[str, Any]:
    limits = {
        {"Ge": "minimum", "Gt": "exclusiveMinimum", "Le": "maximum", "Lt": "exclusiveMaximum"}[name]: getattr(
            limit, name.lower()
        )
        for limit in form.limits
        for name in [type(limit).__name__]
    }
    item = _form_schema(form.item) if form.item else {}
    schemas: dict[str, dict[str, Any]] = {
        "true or false": {"type": "boolean"},
        "whole number": {"type": "integer", **limits},
        "number": {"type": "number", **limits},
        "text": {"type": "string"},
        "choice": {"enum": list(form.choices)},
        "list": {"type": "array", "items": item},
        "mapping": {"type": "object", "additionalProperties": item},
        "anything": {},
    }
    return schemas[form.kind]


def reference_page() -> str:
    """Every key in Markdown, made from the fields; docs/reference/config.md holds it."""
    lines = [
        "# Config reference",
        "",
        "Made from the source by `python -m tunesmith.config.describe page`; don't edit it by hand.",
        "",
        "A config file is YAML or JSON with these keys at the top level. On the command line the same keys are written"
        " `key=value` or `--key value`. Lists may be comma-separated, and `null` means the default.",
        "",
    ]
    for section in SECTIONS:
        lines += [
            f"## {section}",
            "",
            _first_line(section),
            "",
            "| key | takes | default | meaning |",
            "|---|---|---|---|",
        ]
        lines += [_row(field) for field in fields().values() if field.section == section]
        lines.append("")
    lines += [
        "## Keys of LLaMA-Factory that are no key here",
        "",
        "They may stand in a file. *Refused* ones end with an error when they are switched on.",
        "",
        "| key | what happens |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {_cell(_legacy_line(entry))} |" for name, entry in sorted(LEGACY.items())]
    lines += ["", "## Values that are refused", "", "| value | why |", "|---|---|"]
    for key, table in REFUSED_VALUES.items():
        for line in dict.fromkeys(entry.line for entry in table.values()):
            words = ", ".join(f"`{word}`" for word, entry in table.items() if entry.line == line)
            lines.append(f"| `{key}`: {words} | {_cell(line)} |")
    return "\n".join(lines) + "\n"


def _row(field: Field) -> str:
    takes = field.expected + (" or null" if field.nullable else "")
    return f"| `{field.name}` | {_cell(takes)} | `{default_text(field)}` | {_cell(help_of(field.name))} |"


def _first_line(section: str) -> str:
    return (SECTIONS[section].__doc__ or "").strip().splitlines()[0]


def _legacy_line(entry: Legacy) -> str:
    line = entry.line[0].upper() + entry.line[1:]
    return f"Refused: {entry.line}" if isinstance(entry, Refused) else line


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    page = (
        reference_page() if sys.argv[1:] == ["page"] else json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    )
    sys.stdout.buffer.write(page.encode("utf-8"))
