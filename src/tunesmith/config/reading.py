"""Config files, read into settings: a key, its value, and where it was said.

A plain YAML scalar stays text until the field it is for says what it is: `1e-4` is a number for a rate, `3.10` stays
`3.10` for a name, and files and flags mean the same by the same words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import yaml

NULL_WORDS = frozenset({"", "~", "null", "Null", "NULL", "None"})
SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value somebody gave. where: `cfg.yaml, line 3`, or empty for the command line."""

    key: str
    value: Any
    where: str = ""


def read_file(path: Path, *, free: Callable[[str], bool]) -> tuple[list[Setting], list[str]]:
    """The settings of a YAML or JSON file and what is to be said of it. free(key): its scalars have no field to type
    them and are typed by their looks. UserError for a file that can't be read as key: value lines."""
    text, notes = _text(path)
    if not text.strip():
        raise UserError(f"{path} is empty.", hint="A config holds lines such as `model_name_or_path: Qwen/Qwen3-0.6B`.")
    read = _read_json if path.suffix.lower() == ".json" else _read_yaml
    return list(read(path, text, free)), notes


def plain(value: Any) -> Any:
    """A text typed by its looks: true, false, a whole number, a number, or itself. Other values as they are."""
    if not isinstance(value, str):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if re.fullmatch(r"[-+]?(0|[1-9][0-9]{0,99})", value):
        return int(value)
    if re.fullmatch(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", value) and isfinite(float(value)):
        return float(value)
    return value


def _text(path: Path) -> tuple[str, list[str]]:
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a config file.", hint=_neighbours(path / "config.yaml"))
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"There is no config file {path}.", hint=_neighbours(path)) from None
    except OSError as error:
        raise UserError(
            f"{path} can't be read: {error.strerror}.", hint="Check the path and its permissions."
        ) from None
    for encoding in ["utf-16"] if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig", "gb18030"]:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        return text, [] if encoding == "utf-8-sig" else [f"{path} is not UTF-8; it was read as {encoding.upper()}."]
    raise UserError(f"{path} is not a text file in UTF-8.", hint="Save it anew with the encoding UTF-8.")


def _neighbours(path: Path) -> str:
    try:
        names = sorted(item.name for item in path.parent.iterdir() if item.suffix.lower() in SUFFIXES)
    except OSError:
        return f"The folder {path.parent} does not exist either."
    near = did_you_mean(path.name, names)
    return near or (f"Config files there: {', '.join(names[:8])}." if names else "No config file is in that folder.")


def _read_json(path: Path, text: str, free: Callable[[str], bool]) -> Iterator[Setting]:
    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _refuse_duplicates(((key, str(path)) for key, _ in pairs))
        return dict(pairs)

    try:
        content = json.loads(text, object_pairs_hook=no_duplicates)
    except (json.JSONDecodeError, RecursionError) as error:
        at = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        what = error.msg if isinstance(error, json.JSONDecodeError) else "too deep"
        hint = "JSON needs double quotes, no comments and no comma after the last entry."
        raise UserError(f"{path}{at} is not valid JSON: {what}.", hint=hint) from None
    if not isinstance(content, dict):
        raise _shape_error(path, "a list" if isinstance(content, list) else "a single value")
    yield from (Setting(key, value, str(path)) for key, value in content.items())


def _read_yaml(path: Path, text: str, free: Callable[[str], bool]) -> Iterator[Setting]:
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node: Any = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise _shape_error(path, "a list" if isinstance(node, yaml.SequenceNode) else "a single value")
        _refuse_duplicates((str(key.value), _where(path, key)) for key, _ in node.value)
        loader.flatten_mapping(node)  # `<<: *anchor`
        settings = {
            str(key.value): Setting(str(key.value), node_value(value, free(str(key.value))), _where(path, key))
            for key, value in node.value  # merged keys come first, so that the mapping's own win
        }
    except (yaml.YAMLError, RecursionError) as error:
        raise _yaml_error(path, text, error) from None
    yield from settings.values()


def node_value(node: yaml.Node, free: bool) -> Any:
    """What a YAML node says: null, text, a list or a mapping; plain scalars typed by their looks where free."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        if node.style is not None:  # quoted
            return node.value
        return None if node.value in NULL_WORDS else plain(node.value) if free else node.value
    if isinstance(node, yaml.SequenceNode):
        return [node_value(item, free) for item in node.value]
    return {str(key.value): node_value(value, free) for key, value in node.value}


def _where(path: Path, node: yaml.Node) -> str:
    number = node.start_mark.line + 1
    return f"{path}, line {number}"


def _refuse_duplicates(keys: Iterable[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for key, where in keys:
        if key in seen and key != "<<":
            first = f" (first in {seen[key]})" if seen[key] != where else ""
            raise UserError(f"{where}: {key} is given twice{first}.", hint="Remove one of them.", field=key)
        seen[key] = where


def _shape_error(path: Path, found: str) -> UserError:
    hint = f"Is it the data? Give it as dataset={path}." if found == "a list" else "Example: `learning_rate: 1e-4`."
    return UserError(f"{path} holds {found}, expected `key: value` lines.", hint=hint)


def _yaml_error(path: Path, text: str, error: Exception) -> UserError:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return UserError(
            f"{path} is not valid YAML: {str(error).splitlines()[0]}.", hint="Expected `key: value` lines."
        )
    line = text.splitlines()[mark.line] if mark.line < len(text.splitlines()) else ""
    number = mark.line + 1
    where = f"{path}, line {number}"
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in str(getattr(error, "problem", "")):
        return UserError(f"{where}: a tab stands where YAML wants spaces.", hint="Replace the tab by two spaces.")
    problem = getattr(error, "problem", None) or "not understood"
    hint = "Expected `key: value`, with a space after the colon; a value with `: ` or ` #` in it needs quotes."
    return UserError(f"{where} is not valid YAML: {problem} (near {line.strip()!r}).", hint=hint)
