"""Every page: nothing serious or critical for axe in both colour schemes, no sideways scrolling on a phone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.web.browser.filling import filled
from tests.web.serving import Server

from tunesmith.errors import UserError
from tunesmith.runs.layout import RunLayout
from tunesmith.runs.run import Run
from tunesmith.web.queue import Job, Queue
from tunesmith.web.workspace import Workspace

PAGES = (
    "runs", "runs/saves/trained", "runs/saves/trained?tab=log", "runs/saves/trained?tab=samples",
    "runs/saves/trained?tab=config", "runs/saves/trained?tab=files", "runs/saves/failed", "runs/saves/exported",
    "runs/saves/data/tower", "runs/saves/data/tower?tab=curve", "runs/saves/converted",
    "compare?run=saves/trained&run=saves/failed", "train", "data", "dataset/numbers", "dataset/numbers?tab=rows",
    "dataset/numbers?tab=mask", "dataset/numbers?tab=lengths", "evaluate", "runs/saves/exam", "chat", "export",
    "settings", "authoring/make", "authoring/roles", "authoring/convert", "nowhere",
)  # fmt: skip


@pytest.fixture
def filled_workspace(workspace: Path, tiny_model: str) -> Path:
    """Something of everything that the pages show."""
    return filled(workspace, tiny_model)


def _show(page: Page, server: Server, address: str) -> None:
    """Go there and wait until it stands; of the chat, a conversation that was kept."""
    page.goto(f"{server.url}#/{address}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    if address == "chat":
        page.get_by_role("button", name="Who are you?").first.click()
        expect(page.locator(".turn.assistant")).to_be_visible()
    expect(page.locator(".skeleton, [aria-busy=true]")).to_have_count(0)


def _with_model(page: Page, model: str) -> None:
    """Rows are looked at as this model sees them."""
    view = json.dumps({"model_name_or_path": model, "template": "", "cutoff_len": "64", "stage": "sft"})
    page.add_init_script(f"localStorage.setItem('tunesmith.view', {json.dumps(view)})")


def test_pages_are_accessible_in_light_and_dark(
    built_page: Path,
    filled_workspace: Path,
    tiny_model: str,
    serve: Callable[..., Server],
    open_page: Callable[..., Page],
) -> None:
    server = serve()
    page = open_page()
    _with_model(page, tiny_model)
    page.add_init_script((built_page / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found = []
    for address in PAGES:
        _show(page, server, address)
        # Colours change at once, so that none is measured half-way.
        for theme, rules in (("light", "{}"), ("dark", "{runOnly: ['color-contrast']}")):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            found += [
                f"{address} ({theme}): {violation['impact']} {violation['id']} {violation['nodes'][0]['target']}"
                for violation in page.evaluate(f"axe.run(document, {rules})")["violations"]
                if violation["impact"] in ("serious", "critical")
            ]
    assert not found, "\n".join(found)


def test_pages_fit_a_phone(
    built_page: Path,
    filled_workspace: Path,
    tiny_model: str,
    serve: Callable[..., Server],
    open_page: Callable[..., Page],
) -> None:
    server = serve()
    page = open_page("ru-RU", width=390, height=844, theme="dark")
    _with_model(page, tiny_model)
    wide = []
    for address in PAGES:
        _show(page, server, address)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(address)
    assert not wide


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
    for language, title in (("ja", "学習"), ("ko", "학습"), ("ru", "Обучение"), ("zh-CN", "训练"), ("zh-TW", "訓練")):
        page.locator(".rail-tools select").select_option(language)
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
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


def test_what_cannot_be_read_is_put_right_and_the_cutoff_moves_both_ways(
    built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page], workspace: Path, tiny_model: str
) -> None:
    file = workspace / "data" / "mine.jsonl"
    file.write_text('{"question": "a?", "reply": "b"}\n{"question": "c?"}\n{broken\n', encoding="utf-8")
    server = serve()
    server.http.post("/api/datasets/add", json={"path": "data/mine.jsonl"})
    page = open_page("en-US")
    _with_model(page, tiny_model)
    page.goto(f"{server.url}#/dataset/mine?tab=rows")
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Edit row 3", exact=True).click()
    expect(dialog.get_by_label("As it stands in the file")).to_have_value("{broken")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("not JSON")
    assert file.read_text(encoding="utf-8").endswith("\n{broken\n")
    dialog.get_by_label("As it stands in the file").fill('{"question": "e?", "reply": "f"}')
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Edit row 2", exact=True).click()
    dialog.get_by_label("reply").fill("d")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [row["reply"] for row in rows] == ["b", "d", "f"]

    page.get_by_role("link", name="Lengths").click()
    line = page.get_by_role("slider", name="Cutoff length")
    most = line.get_attribute("aria-valuemax")
    box = page.locator(".histogram").bounding_box()
    assert box and most
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    for share in (0.1, 0.9):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + 20)
        expect(line).to_have_attribute("aria-valuenow", str(round(int(most) * share)))
    page.mouse.up()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    with page.expect_response("**/cutoff"):
        line.press("Home")
    assert "look" not in asked  # no row is counted again
    line.press("End")
    expect(line).to_have_attribute("aria-valuenow", most)
    expect(line).to_have_attribute("aria-valuemax", most)
    page.get_by_role("link", name="Train on it").click()
    expect(page.get_by_label("Model", exact=True)).to_have_value(tiny_model)


def test_a_column_that_is_used_for_nothing_stays_so(
    built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page], workspace: Path
) -> None:
    (workspace / "data" / "odd.jsonl").write_text('{"Q1": "a?", "A1": "b", "input": "c"}\n', encoding="utf-8")
    server = serve()
    server.http.post("/api/datasets/add", json={"path": "data/odd.jsonl"})
    page = open_page("en-US")
    page.goto(f"{server.url}#/dataset/odd")
    page.get_by_role("button", name="Q1").click()
    query, save = page.get_by_label("Added to the question"), page.get_by_role("button", name="Save", exact=True)
    usable = page.locator(".note").get_by_text("can be used")
    expect(usable).to_be_visible()
    expect(query).to_have_value("input")
    query.select_option("")
    save.click()
    expect(save).to_have_count(0)
    expect(usable).to_be_visible()
    expect(query).to_have_value("")


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


def test_saved_arguments_are_deleted_once_a_person_agrees(
    built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page]
) -> None:
    server = serve()
    server.http.put("/api/arguments/mine", json={"settings": {"lora_rank": 4}})
    page = open_page("en-US")
    page.goto(f"{server.url}#/train")
    page.get_by_role("button", name="Load arguments").click()
    for answer in ("Cancel", "Delete"):
        page.get_by_role("button", name="Delete mine").click()
        asked = page.get_by_role("dialog", name="Delete “mine”?")
        expect(asked).to_be_visible()
        assert server.http.get("/api/arguments").json() == ["mine"]
        asked.get_by_role("button", name=answer, exact=True).click()
        expect(asked).to_be_hidden()
    expect(page.get_by_text("Nothing saved yet")).to_be_visible()


def test_what_a_run_says_stands_on_its_page(
    built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page], workspace: Path
) -> None:
    """Also of one that waits for a token, which an earlier server took along."""
    failed = Run.create(Path("saves/failed"), {}, {})
    failed.finish("failed", UserError("It can't go on.", hint="See `tunesmith doctor`."))
    Run.create(Path("saves/held"), {}, {})
    queue = Queue(Workspace(workspace).own("queue.json"))
    queue.add(Job("saves/held", "tunesmith", ["version"], []), {"HF_TOKEN": "hf_secret"})
    server, page = serve(), open_page("en-US")
    page.goto(f"{server.url}#/runs/saves/failed")
    expect(page.locator(".note code")).to_have_text("tunesmith doctor")
    page.goto(f"{server.url}#/runs/saves/held")
    expect(page.locator(".note")).to_contain_text("Its token has to be entered again")
    page.get_by_role("button", name="Take out").click()
    page.locator(".toasts").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    assert not (workspace / "saves" / "held").exists()


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
    raw, smoothed = page.locator("button.curve-key").all()
    raw.press("Space")
    expect(raw).to_have_attribute("aria-pressed", "false")
    expect(smoothed).to_have_attribute("aria-pressed", "true")


def test_a_curve_is_read_by_keys_kept_as_a_picture_and_gone_with_its_run(
    built_page: Path, serve: Callable[..., Server], open_page: Callable[..., Page], workspace: Path
) -> None:
    run = Run.create(workspace / "saves" / "short", {}, {"model_name_or_path": "tiny"})
    run.begin_attempt()
    for step in range(1, 41):
        run.metric(step, loss=4.0 - step / 20 + step % 3 / 5)
        if step % 10 == 0:
            run.metric(step, eval_loss=3.0 - step / 30)
    run.finish("finished")
    server = serve()
    page = open_page("en-US")
    page.goto(f"{server.url}#/runs/saves/short")
    expect(page.get_by_role("link", name="Chat with it")).to_have_count(0)  # nothing was saved
    curve = page.locator(".curve-plot")
    curve.press("Home")
    for _ in range(11):
        curve.press("ArrowRight")
    legend = page.locator(".curve-legend")
    expect(legend).to_contain_text("Step 12")
    expect(page.locator(".curve").get_by_role("status")).to_contain_text("Step 12: Loss, as reported 3.400")
    before = legend.locator(".curve-key").all_inner_texts()
    curve.press("+")
    expect(page.get_by_role("button", name="Whole curve")).to_be_visible()
    expect(legend).to_contain_text("Step 12")
    assert legend.locator(".curve-key").all_inner_texts() == before
    curve.press("Escape")
    expect(page.get_by_role("button", name="Whole curve")).to_have_count(0)
    with page.expect_download() as kept:
        page.get_by_role("button", name="PNG").click()
    assert kept.value.suggested_filename == "short-loss.png"
    server.http.delete("/api/runs/saves/short")
    expect(page.get_by_text("This run is not there any more")).to_be_visible()
    expect(page.get_by_text("Finished")).to_have_count(0)


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
