"""Puts the studio's built page into wheels and source archives."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = "tunesmith/web/frontend/dist"


class CustomBuildHook(BuildHookInterface[Any]):
    """Builds the page where npm is found and it is not built yet; a wheel without it says so when it is opened."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":  # a checkout serves what `make page` built in it
            return
        script = Path(self.root) / "setup" / "page.py"
        spec = importlib.util.spec_from_file_location("page", script)
        assert spec is not None and spec.loader is not None
        page = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(page)
        if not page.is_current() and page.npm() is not None:
            page.build()
        if not (page.DIST / "index.html").is_file():
            self.app.display_warning("npm was not found: the studio's page is left out. Install Node.js to build it.")
            return
        inside = PAGE if self.target_name == "wheel" else f"src/{PAGE}"
        build_data["force_include"][str(page.DIST)] = inside
