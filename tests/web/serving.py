"""A real server of a workspace, a training for it, and patience."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

PATIENCE = 90.0


def settings_for(model: str, **more: Any) -> dict[str, Any]:
    """A training of a few seconds, or as long as one likes."""
    return {
        "model_name_or_path": model, "dataset": "numbers", "use_cpu": True, "logging_steps": 1, "save_steps": 4,
        "per_device_train_batch_size": 1, "gradient_accumulation_steps": 1, "max_steps": 6, **more,
    }  # fmt: skip


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The condition's first true value; it fails with what was waited for."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {PATIENCE:.0f} s for {what}")


class Server:
    """A real `tunesmith webui` of a workspace."""

    def __init__(self, workspace: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "tunesmith", "webui", "--no-browser", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--workspace", str(workspace), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        found = re.search(r"http://\S+", self.first_line)
        assert found, self.first_line
        self.url = found[0]
        self.http = httpx2.Client(base_url=self.url.split("?")[0], timeout=60)

    def run(self, name: str) -> dict[str, Any]:
        listed = self.http.get("/api/runs").json()
        return next(run for run in listed if run["id"] == name)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.http.close()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.http.close()
