"""The whole way of a newcomer, in a real browser: from a file to a model that answers and a GGUF that can be run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.web.serving import Server, wait_for

# The words that the way is found by, as each language writes them.
WORDS = {
    "en-US": {
        "usable": "All 60 rows can be used.", "mask": "Loss mask", "model": "Model", "train": "Train on it",
        "search": "Search 1", "start": "Start training", "stop": "Stop", "resume": "Resume", "running": "Running",
        "stopped": "Stopped", "finished": "Finished", "chat": "Chat with it", "load": "Load", "loaded": "Loaded",
        "temperature": "Temperature",
        "message": "Message", "send": "Send", "base": "Base", "tuned": "Tuned", "export": "Export", "log": "Log",
        "go": "Start export", "same": "Does the export say the same?",
        "learned": "learned", "title": "Train",
    },
    "zh-TW": {
        "usable": "60 列全部可用。", "mask": "損失遮罩", "model": "模型", "train": "用它訓練",
        "search": "搜尋 1", "start": "開始訓練", "stop": "停止", "resume": "繼續", "running": "執行中",
        "stopped": "已停止", "finished": "已完成", "chat": "與它對話", "load": "載入", "loaded": "已載入",
        "temperature": "溫度",
        "message": "訊息", "send": "送出", "base": "基底模型", "tuned": "微調後", "export": "匯出", "log": "日誌",
        "go": "開始匯出", "same": "匯出的模型說的一樣嗎？",
        "learned": "學習", "title": "訓練",
    },
}  # fmt: skip


@pytest.mark.parametrize("locale", WORDS)
def test_from_a_file_to_a_model_that_answers(
    locale: str,
    built_page: Path,
    serve: Callable[..., Server],
    tiny_model: str,
    workspace: Path,
    open_page: Callable[..., Page],
    tmp_path: Path,
) -> None:
    words = WORDS[locale]
    server = serve()
    page = open_page(locale)
    page.goto(f"{server.url}#/data")
    expect(page.locator("html")).to_have_attribute("lang", "en" if locale == "en-US" else locale)
    _upload(page, tmp_path / "sums.json")
    expect(page.get_by_text(words["usable"])).to_be_visible()

    page.get_by_role("link", name=words["mask"]).click()
    page.get_by_label(words["model"], exact=True).fill(tiny_model)
    row = page.locator("ol.list > li").first
    expect(row).to_contain_text("What is 0?")
    learned = "".join(row.locator(".piece.trained").all_inner_texts())
    assert "It is 0." in learned
    assert "What" not in learned

    page.get_by_role("link", name=words["train"]).click()
    _fill(page, words, "model_name_or_path", tiny_model)
    for name, value in (
        ("max_steps", "2000"), ("learning_rate", "1e-3"), ("logging_steps", "1"), ("save_steps", "20"),
        ("per_device_train_batch_size", "2"),
    ):  # fmt: skip
        _fill(page, words, name, value)
    page.get_by_role("button", name=words["start"]).click()
    page.wait_for_url("**/runs/**")
    run = re.sub(r"\?.*", "", page.url.partition("#/runs/")[2])

    # A live curve, and the same after F5.
    curve = page.locator("figure.curve canvas")
    expect(curve).to_be_visible(timeout=90_000)
    step = page.locator("dl.facts dd").first
    first = _step(page)
    wait_for(lambda: _step(page) > first, "the curve to grow by itself")
    page.reload()
    expect(curve).to_be_visible()

    # The server dies; the run does not, and the page that stayed open finds the new server.
    port = re.search(r":(\d+)", server.url)
    assert port
    server.kill()
    expect(page.locator(".link-state")).to_have_attribute("data-link", "lost")
    told = page.locator(".lost p")
    expect(told).to_be_visible()
    server = serve("--port", port[1])
    expect(page.locator(".link-state")).to_have_attribute("data-link", "live", timeout=30_000)
    expect(told).to_have_count(0)
    before = _step(page)
    wait_for(lambda: _step(page) > before, "the run to be shown going on")
    expect(step).to_be_visible()

    page.get_by_role("button", name=words["stop"], exact=True).click()
    expect(page.locator(".page-head .badge")).to_have_text(words["stopped"])
    stopped_at = server.run(run)["step"]
    page.get_by_role("button", name=words["resume"], exact=True).click()
    expect(page.locator(".page-head .badge")).to_have_text(words["running"])
    wait_for(lambda: server.run(run)["step"] > stopped_at, "the run to go on from where it stopped")
    page.get_by_role("button", name=words["stop"], exact=True).click()
    expect(page.locator(".page-head .badge")).to_have_text(words["stopped"])

    page.get_by_role("link", name=words["chat"]).click()
    page.get_by_role("button", name=words["load"], exact=True).click()
    expect(page.get_by_text(words["loaded"], exact=True)).to_be_visible()
    page.get_by_label(words["message"], exact=True).fill("What is 7?")
    temperature = page.get_by_label(words["temperature"], exact=True)
    temperature.fill("-3")
    expect(page.locator(".composer-wrong")).to_contain_text(words["temperature"])
    expect(page.get_by_role("button", name=words["send"])).to_be_disabled()
    temperature.fill("0.1")
    page.get_by_role("button", name=words["send"]).click()
    sides = page.locator(".sides .said-by")
    expect(sides).to_have_count(2)
    expect(sides.nth(0).locator("h3")).to_have_text(words["tuned"])
    expect(sides.nth(1).locator("h3")).to_have_text(words["base"])
    expect(sides.nth(1).locator("p.small").last).to_be_visible()
    tuned, base = (side.locator("p.said").last.inner_text() for side in sides.all())
    assert tuned != base
    assert "It is" in tuned

    page.goto(f"{server.url}#/export?run={run}")
    page.get_by_role("button", name="f16", exact=True).click()
    page.get_by_role("button", name="q4_k_m", exact=True).click()
    page.get_by_role("button", name=words["go"]).click()
    page.wait_for_url("**/runs/**")
    expect(page.get_by_role("heading", name=words["same"])).to_be_visible(timeout=120_000)
    made = list(workspace.rglob("exports/**/*.gguf"))
    assert len(made) == 1
    assert made[0].read_bytes()[:4] == b"GGUF"

    page.get_by_role("link", name=words["chat"]).click()
    page.get_by_role("button", name=words["load"], exact=True).click()
    expect(page.get_by_text(words["loaded"], exact=True)).to_be_visible()
    page.get_by_label(words["message"], exact=True).fill("What is 7?")
    page.get_by_role("button", name=words["send"]).click()
    expect(page.locator(".turn.assistant p.small").last).to_be_visible()
    assert "It is" in page.locator(".turn.assistant p.said").inner_text()


def _upload(page: Page, file: Path) -> None:
    rows = [{"instruction": f"What is {i}?", "output": f"It is {i}."} for i in range(60)]
    file.write_text(json.dumps(rows), encoding="utf-8")
    page.locator("input[type=file]").set_input_files(file)
    page.wait_for_url("**/dataset/sums*")


def _fill(page: Page, words: dict[str, str], name: str, value: str) -> None:
    """Find a setting by its name in YAML, as a reader of a blog post would, and set it."""
    search = page.get_by_role("searchbox")
    search.fill(name)
    page.locator(f'[data-field="{name}"] input').fill(value)
    search.fill("")


def _step(page: Page) -> int:
    """The step that the page shows."""
    found = re.match(r"[\d,]+", page.locator("dl.facts dd").first.inner_text())
    return int(found[0].replace(",", "")) if found else 0
