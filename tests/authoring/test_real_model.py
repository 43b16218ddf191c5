"""The whole way with a real, if small, model that answers behind llama.cpp's own server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.export.llama_server import serving

from tunesmith.cli.main import main

pytestmark = pytest.mark.usefixtures("workplace")

MOBY = (
    "Call me Ishmael. Some years ago, having little or no money in my purse, and nothing particular to interest me on "
    "shore, I thought I would sail about a little and see the watery part of the world. It is a way I have of driving "
    "off the spleen and regulating the circulation. Whenever I find myself growing grim about the mouth; whenever it "
    "is a damp, drizzly November in my soul; then, I account it high time to get to sea as soon as I can. This is my "
    "substitute for pistol and ball."
)


def test_a_model_writes_rows_that_are_kept_whole(smollm2_gguf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is asked by schema, so it writes JSON; what it says is too foolish to be held to the text."""
    Path("moby.txt").write_text(MOBY, encoding="utf-8")
    with serving(smollm2_gguf, context=2048) as llama:
        place = ["--base-url", f"{llama.server.listening_address}/v1", "--model", "smollm2", "--concurrency", "1"]
        asked = ["--entries", "1", "--styles", "what", "--max-tokens", "400", "--temperature", "0", "--grounding", "0"]
        assert main(["data", "make", "moby.txt", "--out", "moby", *place, *asked]) == 0, capsys.readouterr()
    (row,) = (json.loads(line) for line in Path("data/moby.jsonl").read_text(encoding="utf-8").splitlines())
    assert len(row["instruction"]) > 5 and len(row["output"]) > 5 and row["model"] == "smollm2"
    report = json.loads(Path("saves/data/moby/report.json").read_text(encoding="utf-8"))
    assert report["prompt_tokens"] > 300 and report["completion_tokens"] > 20  # as the server counted
    assert main(["data", "check", "moby"]) == 0
