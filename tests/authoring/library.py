"""A folder of small books, and the command that makes a data set of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.authoring.chat_server import ChatServer

from tunesmith.authoring.convert import Converted, ConvertOptions, convert, plan
from tunesmith.cli.main import main

KEY = "sk-very-secret-123"
PLANETS = {
    "Mercury": "orbits the Sun in 88 days and has no moons at all, since its gravity is weak",
    "Venus": "spins backwards and is hotter than an oven because of its dense carbon dioxide clouds",
    "Mars": "carries the tallest volcano that anybody has found, Olympus Mons, on a rusty plain",
    "Jupiter": "weighs more than twice as much as all the other planets together do",
    "Saturn": "would float in a bathtub of sufficient size, for it is lighter than water",
    "Uranus": "lies on its side, so that each pole has forty-two years of daylight in turn",
}


def make(server: ChatServer, *flags: str) -> int:
    return main(["data", "make", "books", "--out", "space", "--base-url", server.url, "--model", "tester", *flags])


def rows(name: str = "space") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("data", f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def converted(source: Path | str, folder: Path, name: str = "out", **options: Any) -> tuple[list[Any], Converted]:
    """The rows that were written, and the report."""
    asked = ConvertOptions(out=name, dataset_dir=str(folder / "data"), **options)
    done = convert(plan([str(source)], asked), asked)
    text = done.published.path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()], done
