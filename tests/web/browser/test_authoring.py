"""From a document to a data set in the browser: what it takes, rows as they come, and a person's word on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.authoring.chat_server import serving
from tests.web.browser.filling import TOWER, partly_misquoted
from tests.web.serving import Server, wait_for


def test_a_document_becomes_the_rows_that_a_person_wants(
    built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page], workspace: Path
) -> None:
    (workspace / "documents").mkdir()
    (workspace / "documents" / "tower.txt").write_text(TOWER, encoding="utf-8")
    with serving(partly_misquoted) as asked:
        server = serve()
        page = open_page("en-US")
        page.goto(f"{server.url}#/authoring/make")
        page.get_by_role("button", name="tower.txt").click()
        given = {"out": "tower", "model": "tester", "base_url": asked.url, "price_in": "2", "entries": "3"}
        for name, value in given.items():
            page.locator(f'[data-field="{name}"] input').fill(value)
        page.get_by_role("searchbox").fill("chunk_tokens")
        page.locator('[data-field="chunk_tokens"] input').fill("30")
        page.get_by_label("API key", exact=True).fill("sk-nowhere")
        takes = page.get_by_label("What it takes")
        expect(takes).to_contain_text("prompt tokens")
        expect(takes).to_contain_text("at the given prices")
        assert not asked.requests
        page.get_by_role("button", name="Make it").click()

        rows = page.locator("li.review")
        expect(page.locator(".page-head .badge")).to_have_text("Finished")
        expect(rows.first).to_contain_text("tower.txt")
        expect(page.get_by_text("Misquoted")).to_be_visible()
        kept = rows.first.locator("p.strong").inner_text()
        assert asked.keys == ["Bearer sk-nowhere"] and "sk-nowhere" not in page.evaluate("JSON.stringify(localStorage)")
        assert kept in questions(workspace)

        rows.first.focus()
        page.keyboard.press("r")  # rejects, and goes on to the next
        page.keyboard.press("e")
        page.get_by_label("Question").fill("Who lives in the tower?")
        page.get_by_role("button", name="Save and accept").click()
        wait_for(lambda: "Who lives in the tower?" in questions(workspace), "the data set to be written anew")
        assert kept not in questions(workspace)
        expect(page.get_by_text("Rejected by you")).to_be_visible()
        page.reload()
        expect(page.get_by_text("Decided by you 2")).to_be_visible()


def questions(workspace: Path) -> list[str]:
    lines = (workspace / "data" / "tower.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["instruction"] for line in lines]


def test_what_columns_are_used_for_is_chosen_in_the_table(
    built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page], workspace: Path
) -> None:
    (workspace / "documents").mkdir()
    (workspace / "documents" / "fruit.csv").write_text("left,right\nWhat is red?,An apple.\n", encoding="utf-8")
    server = serve()
    page = open_page("en-US", width=390)
    page.goto(f"{server.url}#/authoring/convert")
    page.get_by_role("button", name="fruit.csv").click()
    page.get_by_label("What left is used for").select_option("Question")
    expect(page.locator('[data-field="instruction"] input')).to_have_value("left")
    problem = page.locator('[data-field="output"] .problem')
    expect(problem).to_contain_text("Answer column '{right}'")  # the flag by the name of its field
    assert "--" not in problem.inner_text()
    page.get_by_label("What right is used for").select_option("Answer")
    expect(problem).to_have_count(0)
    page.locator('[data-field="out"] input').fill("fruit")
    page.get_by_role("button", name="Preview command").click()
    expect(page.get_by_role("dialog")).to_contain_text("--instruction left")
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Make it").click()
    expect(page.locator(".page-head .badge")).to_have_text("Finished")
    expect(page.get_by_text("An apple.").first).to_be_visible()
