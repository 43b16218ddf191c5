"""Whatever is sent to the studio, made from the description of its own interface, is answered and no error of ours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis

from tunesmith.web.app import create_app
from tunesmith.web.openapi import description
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Workspace

# An endless stream, and what begins processes of many seconds whatever is sent.
LEFT_OUT = {"/api/events", "/api/doctor", "/api/export/preview"}
OPERATIONS = [
    (path, method)
    for path, methods in description()["paths"].items()
    for method in methods
    if path not in LEFT_OUT and method in ("get", "post", "put", "delete")
]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("fuzzed").resolve()
    (folder / "data").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        studio = Studio(Workspace(Path(folder)))
        yield schemathesis.openapi.from_asgi("/api/openapi.json", create_app(studio))
        studio.end()


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda part: part)
def test_no_request_breaks_the_studio(described: Any, path: str, method: str) -> None:
    operation = described[path][method.upper()]

    @hypothesis.given(case=operation.as_strategy())
    @hypothesis.settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        derandomize=True,
        database=None,
    )
    def answered(case: schemathesis.Case) -> None:
        response = case.call()
        assert response.status_code < 500, response.text
        if response.status_code >= 400 and "json" in str(response.headers.get("content-type")):
            assert {"message", "hint", "field"} <= set(response.json())

    answered()
