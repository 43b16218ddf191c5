"""A model is evaluated in the browser: from the form to the answer beside the one in the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.web.serving import Server


def test_from_the_form_to_an_answer(
    built_page: Path, serve: Callable[..., Server], tiny_model: str, workspace: Path, open_page: Callable[..., Page]
) -> None:
    server = serve()
    page = open_page("en-US")
    page.goto(f"{server.url}#/evaluate")
    start = page.get_by_role("button", name="Start evaluation")
    page.get_by_label("What is evaluated").fill(tiny_model)
    expect(page.get_by_text("Choose a data set.")).to_be_visible()
    expect(start).to_be_disabled()
    page.get_by_role("button", name="numbers", exact=True).click()
    for label, text in (("Max samples", "3"), ("Maximum new tokens", "4"), ("Output dir", "saves/exam")):
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_label("Sample", exact=True).uncheck()
    expect(page.get_by_text("Ready to start.")).to_be_visible()
    start.click()
    page.wait_for_url("**/runs/saves/exam")

    answers = page.locator(".answer")
    expect(answers).to_have_count(3, timeout=90_000)
    lines = (workspace / "saves" / "exam" / "generated_predictions.jsonl").read_text(encoding="utf-8").splitlines()
    said = json.loads(lines[1])["predict"]
    sides = answers.nth(1).locator(".said-by")
    expect(answers.nth(1).locator(".asked")).to_have_text("What is 1?")
    assert [side.inner_text() for side in sides.locator(".said").all()] == ["It is 1.", said]
    assert sides.locator("ins, del").count() > 0
    scores = page.get_by_role("region", name="Scores")
    expect(scores.get_by_text("BLEU-4")).to_be_visible()

    page.get_by_role("searchbox").fill("what is 2")
    expect(answers).to_have_count(1)
    expect(page.get_by_text("1 to 1 of 1")).to_be_visible()
    page.get_by_role("button", name="Send to a data set").click()
    page.get_by_label("Answer", exact=True).fill("It is two.")
    page.get_by_role("dialog").get_by_label("Data set").fill("corrections")
    page.get_by_role("button", name="Add row").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    kept = [json.loads(line) for line in (workspace / "data" / "corrections.jsonl").read_text("utf-8").splitlines()]
    assert [turn["content"] for turn in kept[0]["messages"]] == ["What is 2?", "It is two."]

    expect(page.locator(".page-head .badge")).to_have_text("Finished")
    page.get_by_role("link", name="Settings", exact=True).click()
    page.get_by_role("link", name="Use these settings again").click()
    expect(page.get_by_label("What is evaluated")).to_have_value(tiny_model)
    expect(page.get_by_label("Max samples", exact=True)).to_have_value("3")
    expect(page.get_by_label("Output dir", exact=True)).to_have_value("")
