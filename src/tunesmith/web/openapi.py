"""The description of the studio's interface, from which the page's TypeScript types are made.

`python -m tunesmith.web.openapi` prints it as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tunesmith.web.app import create_app
from tunesmith.web.studio import Studio
from tunesmith.web.workspace import Workspace


def description() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return create_app(Studio(Workspace(Path(folder).resolve()))).openapi()


if __name__ == "__main__":
    sys.stdout.buffer.write(json.dumps(description(), indent=1, ensure_ascii=False).encode("utf-8") + b"\n")
