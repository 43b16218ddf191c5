"""The catalogues of what Tunesmith says, `src/tunesmith/locale/LANGUAGE.po`, held against the source.

    python setup/translation.py                 how much of each language is translated
    python setup/translation.py update [zh-TW]  new texts into every catalogue, those that are gone out of it


A text is found by what is done with it, or because it reads as a sentence. Of an f-string the values become `{name}`,
called after their expression; a translation may put them in any order.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from tunesmith.authoring.options import ConvertSettings, MakeOptions, RolesOptions  # noqa: E402
from tunesmith.config.fields import helps_of  # noqa: E402
from tunesmith.config.job import SECTIONS  # noqa: E402
from tunesmith.i18n import entries  # noqa: E402

SOURCE = ROOT / "src" / "tunesmith"
CATALOGUES = SOURCE / "locale"
FURTHER = CATALOGUES / "further.txt"
"""Texts that stand in no call, one a line: words that are looked up by a variable, and what libraries say."""

# What takes texts for people. `tr` is looked up as it is written, the others by pattern.
SAYS = frozenset({
    "UserError", "Missing", "Clash", "Unconfirmed", "Gone", "RowError", "Finding", "Word", "Rule", "Idle", "Command",
    "Noted", "Refused", "Rejected", "Failed", "BadAnswer", "AskFailed", "Device", "told", "note", "say", "warn",
    "append_note", "last_error", "text_of", "at_least", "_refuse", "_lora_only", "_settings_of", "_hold_back",
    "_damaged", "_foreign", "_Again", "_fail",
})  # fmt: skip
_NO_TEXT = frozenset({"field", "sign", "level", "verbs", "settings"})
"""Their arguments that nobody reads."""
# What is written for models and into files, and what stands in no release.
SILENT = (
    "authoring/prompts/",
    "text/templates/",
    "web/frontend/",
    "web/openapi.py",
    "training/card.py",
    "export/card.py",
)
_SENTENCE = re.compile(r"(?!SELECT |PRAGMA )[A-Z`'\"{].* .*[.?!:]$", re.DOTALL)
# What is put into a sentence elsewhere: words, one of them such as no key, pattern or query has.
_PHRASE = re.compile(r"(?!\{\{)[a-z{'][^|\\\n<>]*$")
_PHRASE_WORDS = frozenset({"the", "is", "are", "has", "have", "was", "not", "it", "its", "no", "nobody", "which"})
_LEAST_LETTERS = 4


def texts() -> dict[str, list[str]]:
    """Every text that is to be translated, with the files that say it; in the order of the files."""
    found: dict[str, list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if not name.startswith(SILENT):
            for text in texts_of(path.read_text(encoding="utf-8")):
                places = found.setdefault(text, [])
                places += [name] if name not in places else []
    for kind in (*SECTIONS.values(), ConvertSettings, MakeOptions, RolesOptions):
        name = f"{kind.__module__.removeprefix('tunesmith.').replace('.', '/')}.py"
        for text in ((kind.__doc__ or "").strip().splitlines()[0], *helps_of(kind).values()):
            found.setdefault(text.replace("{", "{{").replace("}", "}}"), []).append(name)
    for line in FURTHER.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            found.setdefault(line, []).append(FURTHER.name)
    return found


def texts_of(source: str) -> Iterator[str]:
    """The texts in one module."""
    tree = ast.parse(source)
    silent = {id(node) for node in _docstrings(tree)}
    findings = [node for node in ast.walk(tree) if _called(node) == "Finding" and isinstance(node, ast.Call)]
    subjects = {id(argument) for node in findings for argument in node.args[1:2]}
    said = {id(node) for node in _said(tree)}
    looked_up = {id(node) for node in _looked_up(tree)}
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in _in_order(tree):
        if id(node) in silent or id(node) in inner:
            continue
        if id(node) in looked_up:
            assert isinstance(node, ast.Constant)
            yield node.value
        elif (text := template(node)) and _letters(text) >= _LEAST_LETTERS:
            named = id(node) in subjects
            if named or (id(node) in said and _reads(text)) or _SENTENCE.match(text) or _is_phrase(text):
                yield text


def template(node: ast.AST) -> str:
    """A literal as a key: `{name}` in place of the values, braces doubled; empty for what is no text."""
    if isinstance(node, ast.Constant):
        return node.value.strip().replace("{", "{{").replace("}", "}}") if isinstance(node.value, str) else ""
    if not isinstance(node, ast.JoinedStr):
        return ""
    text, names = "", _Names()
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value).replace("{", "{{").replace("}", "}}")
        else:
            assert isinstance(part, ast.FormattedValue)
            text += f"{{{names.of(part)}}}"
    return text.strip()


class _Names:
    """Names of the values in one text: equal expressions have equal ones."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, part: ast.FormattedValue) -> str:
        shown = ast.dump(part)
        if shown not in self._known:
            wanted = _name(part.value)
            name, number = wanted, 2
            while name in self._known.values():
                name, number = f"{wanted}{number}", number + 1
            self._known[shown] = name
        return self._known[shown]


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_")
        case ast.Call(func=ast.Attribute(attr="join"), args=[argument]):
            return _name(argument)
        case ast.Call(func=ast.Attribute(value=ast.Constant()), args=[argument, *_]):
            return _name(argument)
        case ast.Call(args=[ast.Name(id="str" | "repr" | "_shown" | "size"), argument, *_]):
            return _name(argument)
        case ast.Call(func=ast.Name(id=function), args=[argument, *_]) if _name(argument) == "value":
            return function.strip("_")
        case ast.Call(func=_, args=[argument, *_]):
            return _name(argument)
        case ast.Call(func=function):
            return _name(function)
        case ast.Subscript(value=value) | ast.Starred(value=value):
            return _name(value)
        case ast.BinOp(left=left, right=right):
            return _name(left) if _name(left) != "value" else _name(right)
        case ast.IfExp(body=ast.Constant(value=str(one)), orelse=ast.Constant(value=str(other))):
            return "s" if {one, other} <= {"", "s", "es", "y", "ies"} else "value"
        case ast.IfExp(body=body, orelse=other):
            return _name(body) if _name(body) != "value" else _name(other)
        case ast.BoolOp(values=[first, *_]):
            return _name(first)
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            return _name(element)
    return "value"


def _letters(text: str) -> int:
    return sum(map(str.isalpha, re.sub(r"\{\w*\}", "", text)))


def _reads(text: str) -> bool:
    """Whether it is more than a name, a path, a query or a list of keys."""
    keys = "_" in text and all(word.isidentifier() for word in text.split())
    return " " in text and not keys and not text.startswith(("SELECT ", "PRAGMA ", "/"))


def _is_phrase(text: str) -> bool:
    words = text.split()
    return len(words) > 3 and _PHRASE.match(text) is not None and not _PHRASE_WORDS.isdisjoint(words)


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def _said(tree: ast.AST) -> Iterator[ast.AST]:
    """Literals in what is handed to those who tell people; variables there stand for what their function gives them."""
    for function in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]:
        calls = [node for node in ast.walk(function) if _called(node) in SAYS]
        given = [
            part
            for call in calls
            for part in [*call.args, *(word.value for word in call.keywords if word.arg not in _NO_TEXT)]
        ]
        named = {node.id for part in given for node in ast.walk(part) if isinstance(node, ast.Name)}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(one, ast.Name) and one.id in named for target in targets for one in ast.walk(target)):
                    given.append(node.value)
        for part in given:
            yield from ast.walk(part)


def _looked_up(tree: ast.AST) -> Iterator[ast.AST]:
    """Literals in `tr(…)`, `trn(…)` and `plural(…)`, and those at the head of the module that are named in it."""
    texts = {"tr": 1, "trn": 2, "plural": 2}  # the first arguments that are texts
    asked = [
        text
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for text in node.args[: texts.get(_called(node), 0)]
    ]
    named = {part.id for node in asked for part in ast.walk(node) if isinstance(part, ast.Name)}
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") in named for target in node.targets):
            asked.append(node.value)
    for node in asked:
        match node:
            case ast.IfExp(body=one, orelse=other) | ast.BoolOp(values=[one, other]):
                parts = [one, other]
            case ast.Dict(values=values):
                parts = values
            case _:
                parts = [node]
        yield from (part for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


def _docstrings(tree: ast.AST) -> Iterator[ast.AST]:
    """Strings that stand by themselves, and what is told to programmers alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            yield node.value
        elif isinstance(node, ast.Assert) or _called(node) in ("AssertionError", "AttributeError", "ValueError"):
            yield from ast.walk(node)


def _in_order(tree: ast.AST) -> list[ast.AST]:
    literals = [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr)]
    return sorted(literals, key=lambda node: (node.lineno, node.col_offset))


def update(language: str, found: Mapping[str, list[str]]) -> None:
    """Write the catalogue with exactly the texts that were found, and the translations that it had."""
    path = CATALOGUES / f"{language}.po"
    known = dict(entries(path)) if path.is_file() else {}
    blocks = [f'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n"Language: {language}\\n"\n']
    for text, places in found.items():
        translation = known.get(text, "")
        blocks.append(f"#: {' '.join(places)}\nmsgid {_quoted(text)}\nmsgstr {_quoted(translation)}\n")
    path.write_text("\n".join(blocks), encoding="utf-8")


def _quoted(text: str) -> str:
    """A PO string, a line of the text on a line of its own."""
    lines = text.splitlines(keepends=True)
    escaped = [line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for line in lines]
    return '""\n' + "\n".join(f'"{line}"' for line in escaped) if len(lines) > 1 else f'"{"".join(escaped)}"'


def report(found: Mapping[str, list[str]]) -> Iterator[str]:
    """A line for each language, and one for each room with what is missing there."""
    for path in sorted(CATALOGUES.glob("*.po")):
        known = dict(entries(path))
        missing = [text for text in found if not known.get(text)]
        done = len(found) - len(missing)
        yield f"{path.stem}  {done} of {len(found)} texts ({100 * done / len(found):.0f} %)"
        rooms = [found[text][0].split("/")[0] for text in missing]
        if rooms:
            yield "  missing: " + ", ".join(f"{room} {rooms.count(room)}" for room in sorted(set(rooms)))


def main(arguments: list[str]) -> int:
    found = texts()
    if arguments[:1] == ["update"]:
        for language in arguments[1:] or [path.stem for path in CATALOGUES.glob("*.po")]:
            update(language, found)
    elif arguments:
        print(__doc__)
        return 2
    print("\n".join(report(found)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
