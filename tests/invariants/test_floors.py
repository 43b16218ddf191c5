"""The floors of docs/architecture.md: a module imports from lower floors only, rooms on one floor never each other."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "tunesmith"

FLOORS = {
    "errors": 0,
    "batch": 1, "registry": 1, "i18n": 1, "finding": 1,
    "config": 2,
    "text": 3, "runs": 3,
    "data": 4, "models": 4, "objectives": 4,
    "training": 5, "inference": 5, "evaluation": 5, "export": 5, "authoring": 5,
    "jobs": 6,
    "cli": 7, "web": 7, "__init__": 7, "__main__": 8,
}  # fmt: skip

HEAVY = {"torch", "transformers", "peft", "accelerate", "datasets", "bitsandbytes"}
# Rooms that are there to work with torch and the libraries of models; elsewhere only the files named below may
# import them, or a function may when it is called.
HEAVY_ROOMS = {"models", "objectives", "training", "inference"}
HEAVY_FILES = {
    "batch.py", "data/loader.py", "jobs/execute.py",
    "export/weights.py", "export/merge.py", "export/deltas.py", "export/adaptation.py", "export/skeleton.py",
    "export/growth.py", "export/checkpoint.py", "export/verify.py", "export/gguf/importance.py",
    "export/gguf/quants.py", "export/gguf/converter.py", "export/base.py",
    "export/gguf/kquants.py",
}  # fmt: skip
# Accelerate is met in one file, so that its releases are met in one file.
ONLY_HOME = {"accelerate": {"training/engine.py"}}
STDLIB_ROOMS = {"runs"}


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    """The first part of a module's path: its room, or its own name on the ground floor."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """(dotted name, line, at module level) of every import; those for type checking only are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield from _imports(tree, at_top=True)


def _imports(node: ast.AST, at_top: bool) -> Iterator[tuple[str, int, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield alias.name, child.lineno, at_top
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: imports are written out, not relative"
            base = child.module or ""
            for alias in child.names:
                yield f"{base}.{alias.name}", child.lineno, at_top
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports(child, at_top and not inside)


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in modules()} <= set(FLOORS)


def test_imports_go_down_only() -> None:
    wrong = []
    for path in modules():
        here = room(path)
        for name, line, _ in imports(path):
            parts = name.split(".")
            if parts[0] != "tunesmith" or len(parts) < 2:
                continue
            there = parts[1]
            if there not in FLOORS:
                continue  # a name of the package itself, such as tunesmith.train
            if there != here and FLOORS[there] >= FLOORS[here]:
                wrong.append(
                    f"{path.relative_to(SOURCE)}:{line} ({here}, {FLOORS[here]}) imports {name} ({FLOORS[there]})"
                )
    assert not wrong, "\n".join(wrong)


def test_heavy_packages_are_imported_where_they_are_meant_to_be() -> None:
    wrong = []
    for path in modules():
        file = path.relative_to(SOURCE).as_posix()
        for name, line, at_top in imports(path):
            package = name.split(".")[0]
            if package not in HEAVY:
                continue
            if package in ONLY_HOME and file not in ONLY_HOME[package]:
                wrong.append(f"{file}:{line} imports {package}, which belongs in {', '.join(ONLY_HOME[package])}")
            elif at_top and room(path) not in HEAVY_ROOMS and file not in HEAVY_FILES:
                wrong.append(f"{file}:{line} imports {package} at module level")
    assert not wrong, "\n".join(wrong)


def test_the_run_directory_is_read_with_the_standard_library_alone() -> None:
    import sys

    allowed = sys.stdlib_module_names | {"tunesmith"}
    wrong = [
        f"{path.relative_to(SOURCE)}:{line} imports {name}"
        for path in modules()
        if room(path) in STDLIB_ROOMS
        for name, line, _ in imports(path)
        if name.split(".")[0] not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_no_two_modules_need_each_other() -> None:
    """Not in a function, nor for a type: what two need stands below them both."""
    names = {".".join(("tunesmith", *path.relative_to(SOURCE).with_suffix("").parts)): path for path in modules()}
    needs = {
        name: {found for found in _named(path) if found in names and found != name} for name, path in names.items()
    }
    while leaves := [name for name, lower in needs.items() if not lower]:
        needs = {name: lower.difference(leaves) for name, lower in needs.items() if name not in leaves}
    assert not needs, "in circles: " + ", ".join(sorted(needs))


def _named(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
