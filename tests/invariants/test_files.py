"""House rules that a reader relies on: short files, UTF-8 everywhere, no drawers for odds and ends."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = sorted(
    path for folder in ("src", "tests", "setup", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")
)
MOST_LINES = 400
DRAWERS = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "misc.py"}
# Position of the encoding among the arguments of a method of a path.
ENCODING_AT = {"read_text": 0, "write_text": 1}


def tracked() -> list[Path]:
    """Python files of the project; what the benchmarks unpack for themselves is not ours."""
    return [path for path in PYTHON if "work" not in path.relative_to(ROOT).parts]


def test_long_files_say_why() -> None:
    """The word to use is `long`, as in: "… (long, because one table is easier to check than five)"."""
    wrong = []
    for path in tracked():
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > MOST_LINES and "long" not in lines[0].lower():
            wrong.append(
                f"{path.relative_to(ROOT)} has {len(lines)} lines, and its first line doesn't say why it is long"
            )
    assert not wrong, "\n".join(wrong)


def test_no_module_is_a_drawer() -> None:
    assert [str(path) for path in tracked() if path.name in DRAWERS] == []


def test_text_files_are_opened_as_utf8() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in tracked()
        for line in unnamed_encodings(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not wrong, "no encoding named: " + ", ".join(wrong)


def unnamed_encodings(tree: ast.AST) -> list[int]:
    """Lines that read or write text without naming an encoding."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if _is_of_text(call) and "encoding" not in _keywords(call)]


def _is_of_text(call: ast.Call) -> bool:
    """Whether a call reads or writes text and leaves the encoding open in its plain arguments."""
    function = call.func
    method = isinstance(function, ast.Attribute)
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in ("read_text", "write_text") and method:
        return len(call.args) <= ENCODING_AT[name]
    if name in ("run", "Popen", "check_output"):
        return any(getattr(_keywords(call).get(key), "value", False) is True for key in ("text", "universal_newlines"))
    return name == "open" and _text_mode(call, builtin=not method)


def _keywords(call: ast.Call) -> dict[str | None, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords}


def _text_mode(call: ast.Call, *, builtin: bool) -> bool:
    """Whether this open() is of text. A method called open of something else than a path has no mode we know."""
    given = call.args[1:2] if builtin else call.args[:1]
    mode = _keywords(call).get("mode", given[0] if given else None)
    if mode is None:
        return builtin or not call.args
    text = getattr(mode, "value", None)
    return isinstance(text, str) and set(text) <= set("rwaxt+") and "b" not in text


def test_the_check_finds_what_it_should() -> None:
    bad = ["open('a')", "p.open()", "p.open('w')", "p.read_text()", "p.write_text('x')", "subprocess.run(c, text=True)"]
    good = [
        "open('a', 'rb')",
        "p.open('wb')",
        "p.read_text('utf-8')",
        "p.write_text('x', encoding='utf-8')",
        "Run.open(path)",
    ]
    assert [text for text in bad if not unnamed_encodings(ast.parse(text))] == []
    assert [text for text in good if unnamed_encodings(ast.parse(text))] == []
