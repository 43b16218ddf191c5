"""Every page: nothing serious or critical for axe, no sideways scrolling on a phone, in both colour schemes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.web.serving import Server

from tunesmith.runs.layout import RunLayout
from tunesmith.runs.run import Run

PAGES = (
    "runs", "train", "data", "dataset/numbers", "dataset/numbers?tab=rows", "dataset/numbers?tab=mask",
    "dataset/numbers?tab=lengths", "chat", "export", "settings", "authoring/make", "nowhere",
)  # fmt: skip


@pytest.mark.parametrize(("width", "theme", "locale"), [(1280, "light", "en-US"), (390, "dark", "zh-TW")])
def test_pages_are_accessible_and_fit(
    width: int, theme: str, locale: str, built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page]
) -> None:
    server = serve()
    page = open_page(locale, width=width, height=844, theme=theme)
    axe = (built_page / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    found = []
    for address in PAGES:
        page.goto(f"{server.url}#/{address}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_load_state("networkidle") if address == "settings" else page.wait_for_timeout(300)
        page.evaluate(axe)
        result = page.evaluate("axe.run(document)")
        found += [
            f"{address}: {violation['impact']} {violation['id']} {violation['nodes'][0]['target']}"
            for violation in result["violations"]
            if violation["impact"] in ("serious", "critical")
        ]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{address}: wider than {width} px")
    assert not found, "\n".join(found)


def test_words_change_at_once_and_are_remembered(
    built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page]
) -> None:
    server = serve()
    page = open_page("en-US")
    page.goto(f"{server.url}#/train")
    page.get_by_label("Cutoff length").fill("512")
    page.get_by_label("Language").select_option("zh-TW")
    expect(page.get_by_role("heading", level=1)).to_have_text("訓練")
    expect(page.get_by_label("截斷長度")).to_have_value("512")
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "zh-TW")
    expect(page.get_by_label("截斷長度")).to_have_value("512")


def test_what_is_wrong_shows_beside_its_setting_while_typing(
    built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page]
) -> None:
    server = serve()
    page = open_page("en-US")
    page.goto(f"{server.url}#/train")
    page.get_by_label("LoRA dropout").or_(page.get_by_label("Learning rate")).first.fill("fast")
    expect(page.locator('[data-field="learning_rate"] .problem')).to_contain_text("number")
    expect(page.get_by_role("button", name="Start training")).to_be_disabled()


def test_a_row_is_corrected_in_place(
    built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page], workspace: Path
) -> None:
    server = serve()
    page = open_page("en-US")
    page.goto(f"{server.url}#/dataset/numbers?tab=rows")
    page.get_by_role("button", name="Edit row 3", exact=True).click()
    page.get_by_label("output").fill("It is two.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_text("It is two.")).to_be_visible()
    rows = json.loads((workspace / "data" / "numbers.json").read_text(encoding="utf-8"))
    assert rows[2] == {"instruction": "What is 2?", "output": "It is two."}
    assert len(rows) == 40


def test_the_command_of_the_form_is_quoted_and_keeps_secrets(
    built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page]
) -> None:
    server = serve()
    page = open_page("en-US")
    page.goto(f"{server.url}#/train")
    page.get_by_label("Model", exact=True).fill("my models/one")
    page.get_by_role("searchbox").fill("hf_hub_token")
    page.locator('[data-field="hf_hub_token"] input').fill("hf_secret")
    page.get_by_role("button", name="Preview command").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("pre").first).to_contain_text("'model_name_or_path=my models/one'")
    expect(dialog).not_to_contain_text("hf_secret")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    kept = page.evaluate("JSON.stringify(localStorage)")
    assert "hf_secret" not in kept


@pytest.mark.parametrize("proxy", ["holds back", "refuses"])
def test_news_come_by_polling_where_a_proxy_lets_no_stream_through(
    proxy: str, built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page], workspace: Path
) -> None:
    server = serve()
    page = open_page("en-US")
    page.route("**/api/events*", lambda route: route.abort() if proxy == "refuses" else None)
    page.goto(f"{server.url}#/runs")
    expect(page.locator(".link-state")).to_have_attribute("data-link", "polling")
    expect(page.get_by_text("Nothing has run yet")).to_be_visible()
    Run.create(workspace / "saves" / "late", {}, {"model_name_or_path": "tiny"}).finish("stopped")
    expect(page.get_by_role("link", name="late", exact=True)).to_be_visible()
    page.unroute("**/api/events*")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator(".link-state")).to_have_attribute("data-link", "live")


def test_a_million_points_are_drawn(
    built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page], workspace: Path
) -> None:
    folder = workspace / "saves" / "long"
    _long_run(folder, 1_000_000)
    server = serve()
    page = open_page("en-US")
    page.goto(f"{server.url}#/runs/saves/long")
    expect(page.locator("figure.curve canvas")).to_be_visible()
    expect(page.locator(".curve-legend strong").first).to_have_text("1,000,000")


def _long_run(folder: Path, steps: int) -> None:
    run = Run.create(folder, {}, {"model_name_or_path": "tiny"})
    run.begin_attempt()
    layout = RunLayout(folder)
    with layout.metrics.open("w", encoding="utf-8") as file:
        for start in range(1, steps + 1, 10_000):
            file.write("".join(
                f'{{"step": {step}, "attempt": 1, "time": {step}, "loss": {2 + 1000 / (step + 500):.5f}}}\n'
                for step in range(start, start + 10_000)
            ))  # fmt: skip
    run.finish("finished")
