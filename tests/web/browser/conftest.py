"""A real browser on the built page. The page is built once, as the wheel builds it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.assets import program

import tunesmith.web

ROOT = Path(__file__).parents[3]
FRONTEND = Path(tunesmith.web.__file__).with_name("frontend")

expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def built_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The front end's folder with `node_modules` and `dist`; built where it is older than its sources."""
    with FileLock(tmp_path_factory.getbasetemp().parent / "page.lock"):  # one folder for all test processes
        whole = (FRONTEND / "node_modules" / "axe-core").is_dir()
        build = [sys.executable, str(ROOT / "setup" / "page.py"), *(["--if-needed"] if whole else [])]
        subprocess.run(build, check=True, timeout=900)
    return FRONTEND


def chromium() -> str:
    """The browser: what CHROMIUM names, or Debian's with a font for Chinese."""
    return os.environ.get("CHROMIUM") or program("chromium", "chromium", "fonts-noto-cjk")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed after each module: while it is open, playwright's event loop keeps other tests from one of their own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
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
