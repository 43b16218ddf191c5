"""Dry runs for the page: tabs don't spoil each other's, and what nobody waits for ends."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest

from tunesmith.web.children import Unwanted
from tunesmith.web.previews import Previews


def test_previews_of_two_tabs_are_both_made() -> None:
    previews = Previews()
    with ThreadPoolExecutor() as pool:
        told = list(pool.map(lambda _: previews.run(["--version"], lambda: True), range(2)))
    assert [one.returncode for one in told] == [0, 0] and all(one.stdout for one in told)


def test_a_preview_that_nobody_waits_for_makes_way(tmp_path: Path) -> None:
    previews = Previews()
    until = monotonic() + 0.5
    with pytest.raises(Unwanted):  # the command would never end
        previews.run(
            ["webui", "--no-browser", "--port", "0", "--workspace", str(tmp_path)], lambda: monotonic() < until
        )
    assert previews.run(["--version"], lambda: True).returncode == 0
