"""A training that failed is tried again with what would have let it go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.web.serving import Server, settings_for

from tunesmith.errors import UserError
from tunesmith.runs.run import Run


def test_out_of_memory_is_retried_with_smaller_batches(
    built_page: Path, serve: Callable[..., Server], tiny_model: str, workspace: Path, open_page: Callable[..., Page]
) -> None:
    settings = {**settings_for(tiny_model), "per_device_train_batch_size": 4, "output_dir": "saves/big"}
    run = Run.create(workspace / "saves" / "big", settings, settings)
    run.begin_attempt()
    run.finish("failed", UserError("CUDA out of memory.", hint="Smaller batches need less."))
    server = serve()
    page = open_page("en-US")
    page.goto(f"{server.url}#/runs/saves/big")
    page.get_by_role("button", name="Smaller batches, same step").click()
    page.wait_for_function("location.hash !== '#/runs/saves/big'")
    expect(page.locator(".page-head .badge")).to_have_text("Finished", timeout=90_000)
    again = page.url.partition("#/runs/")[2]
    asked = server.http.get(f"/api/runs/{again}").json()["asked"]
    assert asked["output_dir"] == "saves/big_2"  # beside the one that was chosen
    assert asked["per_device_train_batch_size"] < 4
    assert asked["per_device_train_batch_size"] * asked["gradient_accumulation_steps"] == 4
