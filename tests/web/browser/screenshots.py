"""Writes the pictures of the studio into docs/images: a real training of the demo's model, looked at in a browser.

make screenshots        (or: python -m tests.web.browser.screenshots [FOLDER])
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from tests.web.browser.conftest import ROOT, chromium
from tests.web.serving import Server

from tunesmith.jobs.demo import bundled_data, embedded_model

MODEL = "models/SmolLM2-135M-Instruct.gguf"
SETTINGS: dict[str, Any] = {
    "model_name_or_path": MODEL, "dataset": "identity", "placeholders": {"name": "Tuna", "author": "you"},
    "cutoff_len": 256, "lora_rank": 16, "learning_rate": 1e-3, "lr_scheduler_type": "cosine", "warmup_ratio": 0.05,
    "per_device_train_batch_size": 8, "num_train_epochs": 3.0, "logging_steps": 1, "save_steps": 20,
    "val_size": 0.1, "eval_strategy": "steps", "eval_steps": 10,
}  # fmt: skip
ASKING = {"system": "", "temperature": "0", "top_p": "1", "top_k": "0", "max_new_tokens": "60", "seed": "7",
          "thinking": False, "tools": ""}  # fmt: skip
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        workspace = Path(place)
        shutil.copytree(bundled_data(), workspace / "data")
        (workspace / "models").mkdir()
        shutil.copy(embedded_model(), workspace / MODEL)
        server = Server(workspace)
        try:
            for name, more in (("identity", {}), ("identity-rank-4", {"lora_rank": 4, "learning_rate": 3e-4})):
                _train(server, name, more)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
                for short, locale in LANGUAGES.items():
                    _pictures(browser, server, folder, short, locale)
                browser.close()
        finally:
            server.end()


def _train(server: Server, name: str, more: dict[str, Any]) -> None:
    print(f"training {name} …", flush=True)
    asked = {"verb": "train", "settings": {**SETTINGS, "output_dir": f"saves/{name}", **more}}
    run = server.http.post("/api/runs", json=asked).raise_for_status().json()["id"]
    while server.run(run)["status"] not in ("finished", "failed", "killed", "stopped"):
        time.sleep(1)
    print(f"  {server.run(run)['status']}: {server.run(run)['message']}", flush=True)


def _pictures(browser: Browser, server: Server, folder: Path, short: str, locale: str) -> None:
    page = _page(browser, locale, 1280, 800, "light")
    _take(page, server, folder / f"studio_runs_{short}.png", "runs")
    _take(page, server, folder / f"studio_curve_{short}.png", "runs/saves/identity", ".u-over")
    _take(page, server, folder / f"studio_mask_{short}.png", "dataset/identity?tab=mask", ".piece.trained")
    _take(page, server, folder / f"studio_train_{short}.png", "train", ".memory-card.known")
    _chat(page, server, folder / f"studio_chat_{short}.png", short)
    page.context.close()
    page = _page(browser, locale, 390, 844, "dark")
    _take(page, server, folder / f"studio_phone_{short}.png", "runs/saves/identity", ".u-over")
    page.context.close()


def _page(browser: Browser, locale: str, width: int, height: int, theme: str) -> Page:
    context = browser.new_context(
        locale=locale, viewport={"width": width, "height": height}, color_scheme=theme, device_scale_factor=1.5
    )
    kept = {
        "view": {"model_name_or_path": MODEL, "template": "", "cutoff_len": "48", "stage": "sft"},
        "train": {"model_name_or_path": MODEL, "dataset": "identity", "cutoff_len": "256"},
        "asking": ASKING,
    }
    for name, value in kept.items():
        context.add_init_script(
            f"localStorage.getItem('tunesmith.{name}') ?? "
            f"localStorage.setItem('tunesmith.{name}', {json.dumps(json.dumps(value))})"
        )
    page = context.new_page()
    page.set_default_timeout(120_000)
    return page


def _take(page: Page, server: Server, file: Path, address: str, wait: str = "h1") -> None:
    page.goto(f"{server.url}#/{address}")
    page.locator(wait).first.wait_for()
    page.wait_for_timeout(800)
    _save(page, file)


def _save(page: Page, file: Path) -> None:
    """As a PNG of few colours: a quarter of the bytes, and no eye sees it."""
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").quantize(128).save(file, optimize=True)
    print(file.name, flush=True)


def _chat(page: Page, server: Server, file: Path, short: str) -> None:
    page.goto(f"{server.url}#/chat?run=saves/identity")
    page.locator("aside .button.primary").click()
    page.locator("aside .note.good").wait_for()
    page.locator(".composer textarea").fill("Who are you?" if short == "en" else "Who made you?")
    page.locator(".composer .button.primary").click()
    page.locator(".sides .said-by").nth(1).locator("p.small").last.wait_for()
    page.wait_for_timeout(300)
    _save(page, file)
    page.locator("aside .button").first.click()
    page.locator("aside .button.primary").wait_for()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
