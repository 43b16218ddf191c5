"""Whether a model on this machine brings a chat template, by its small files or its header; no torch here."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from tunesmith.errors import UserError
from tunesmith.text.tokenizer_spec import read_settings


def brings_template(model: Path) -> bool | None:
    """For a model folder or a GGUF file; None where it is neither, or can't be read."""
    try:
        if (model / "config.json").is_file():
            return bool(read_settings(model).get("chat_template"))
        if model.is_file() and model.suffix.lower() == ".gguf":
            stat = model.stat()
            return _gguf_brings_it(model, stat.st_mtime_ns, stat.st_size)
    except (UserError, OSError, ValueError):  # what is wrong with it is told by who loads it
        pass
    return None


@lru_cache(maxsize=32)
def _gguf_brings_it(path: Path, changed: int, size: int) -> bool:
    """A header holds the whole vocabulary: it is read once for each state of the file."""
    from tunesmith.models.gguf.file import open_gguf

    return bool(open_gguf(path).metadata.get("tokenizer.chat_template"))
