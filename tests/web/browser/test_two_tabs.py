"""Two models in the chat, and two tabs on one form."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.web.serving import Server

from tunesmith.runs.processes import birth
from tunesmith.runs.run import Run


def test_models_in_the_chat_are_listed_switched_and_let_go(
    built_page: Path, workspace: Path, tiny_model: str, serve: Callable[..., Server], open_page: Callable[..., Page]
) -> None:
    server, page = serve(), open_page()
    for name in (tiny_model, f"./{tiny_model}"):
        server.http.post("/api/chat/load", json={"model": name, "settings": {"use_cpu": True}})
    page.goto(f"{server.url}#/chat")
    held = page.get_by_role("list", name="Loaded models").get_by_role("listitem")
    expect(held).to_have_count(2)
    expect(held.get_by_role("button", name="Unload")).to_have_count(2)
    expect(page.get_by_role("progressbar")).to_have_count(0)
    first = held.first
    first.get_by_role("button").first.click()
    expect(first).to_have_attribute("aria-current", "true")
    first.get_by_role("button", name="Unload").click()
    expect(held).to_have_count(1)
    expect(page.get_by_text("Loaded", exact=True)).to_be_visible()

    page.get_by_label("Top-p").fill("7")
    page.get_by_label("Temperature").fill("warm")
    page.get_by_label("Seed").fill("x")
    expect(page.locator(".composer-wrong p")).to_have_count(3)
    page.get_by_label("Temperature").fill("0")
    page.get_by_label("Seed").fill("1")
    page.get_by_label("Max new tokens").fill("4")
    page.get_by_label("Message").fill("Hello?")
    page.get_by_label("Top-p").fill("0.9")
    page.get_by_label("Message").press("Enter")
    expect(page.locator(".turn.assistant")).to_have_count(1)

    page.get_by_role("button", name="Send to a data set").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("region", name="The row")).to_contain_text("Hello?")
    expect(dialog.get_by_text("A new data set, chats, will be made.")).to_be_visible()


def test_a_tab_sees_that_another_took_its_folder(
    built_page: Path, workspace: Path, tiny_model: str, serve: Callable[..., Server], open_page: Callable[..., Page]
) -> None:
    Run.create(workspace / "saves/export/a_1", {}, {"export_dir": "exports/tiny"}, kind="export")
    run = Run.create(workspace / "saves/long", {}, {})
    run.finish("stopped")  # before it began: its folder is free
    server, page = serve(), open_page()
    page.goto(f"{server.url}#/train")
    page.get_by_label("Model").first.wait_for()
    filled = {"model_name_or_path": tiny_model, "dataset": "numbers", "template": "qwen", "output_dir": "saves/long"}
    page.evaluate("texts => localStorage.setItem('tunesmith.train', JSON.stringify(texts))", filled)
    page.reload()
    expect(page.get_by_text("Ready to start")).to_be_visible()
    at_work = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run.begin_attempt()
    run.update(pid=at_work.pid, born=birth(at_work.pid))
    expect(page.get_by_role("link", name="saves/long")).to_be_visible()
    page.get_by_role("button", name="saves/long_2").click()
    expect(page.get_by_text("Ready to start")).to_be_visible()

    page.goto(f"{server.url}#/export?run={tiny_model}")
    expect(page.get_by_text("The export saves/export/a_1 writes to exports/tiny.")).to_be_visible()
    page.get_by_role("button", name="exports/tiny_2").click()
    expect(page.get_by_role("button", name="Start export")).to_be_enabled()
