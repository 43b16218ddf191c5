"""What keeps a training from starting is told beside Start, and mended there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.web.serving import Server

from tunesmith.runs.run import Run


def test_an_imported_file_is_judged_and_mended_by_clicks(
    built_page: Path, serve: Callable[..., Server], tiny_model: str, workspace: Path, open_page: Callable[..., Page]
) -> None:
    run = Run.create(workspace / "saves" / "x", "stage: sft\n", "stage: sft\n", kind="train")
    run.begin_attempt()
    run.finish("finished")
    (workspace / "llama_factory.yaml").write_text(
        f"model_name_or_path: {tiny_model}\ndataset: numbers\noutput_dir: saves/x\nuse_galore: true\nbf16: true\n"
        "deepspeed: ds_z3.json\nper_gpu_train_batch_size: 2\ndo_train: true\n",
        encoding="utf-8",
    )
    page = open_page("en-US")
    page.goto(f"{serve().url}#/train")
    page.get_by_role("button", name="Import LLaMA-Factory YAML").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input[type=file]").set_input_files(workspace / "llama_factory.yaml")
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog).to_contain_text("These settings are refused.")
    expect(dialog).to_contain_text("GaLore")
    expect(dialog).to_contain_text("read as per_device_train_batch_size: 2")
    dialog.get_by_role("button", name="Leave it out").first.click()  # of GaLore; the other one is left out beside Start
    dialog.locator("footer").get_by_role("button", name="Close").click()
    start = page.get_by_role("button", name="Start training")
    beside = page.get_by_role("complementary", name="Start and tools")
    expect(beside).to_contain_text("deepspeed")
    expect(beside).not_to_contain_text("use_galore")
    expect(start).to_be_disabled()
    expect(page.locator("[data-field=precision] select")).to_have_value("bf16")
    beside.get_by_role("button", name="Leave it out").click()
    beside.get_by_role("button", name="Use saves/x_2").click()
    expect(start).to_be_enabled()
    expect(page.locator("[data-field=output_dir] input")).to_have_value("saves/x_2")
    expect(beside).to_contain_text("the longest there are")  # memory, of the rows that there are
    page.get_by_role("button", name="Preview command").click()
    expect(dialog).to_contain_text("do_train: true")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Save arguments").click()
    dialog.get_by_role("textbox").fill("mine/../x")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("can't be a name")
    dialog.get_by_role("textbox").fill("mine")
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Save arguments").click()
    expect(dialog.get_by_role("textbox")).to_have_value("mine")
