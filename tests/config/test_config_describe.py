"""Help, schema and reference page say what the fields say."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tunesmith.config.describe import help_text, json_schema, reference_page
from tunesmith.config.fields import fields, help_of
from tunesmith.config.job import SECTIONS
from tunesmith.config.legacy_keys import LEGACY
from tunesmith.config.load import load_job
from tunesmith.errors import UserError

ROOT = Path(__file__).parents[2]

# models/precision.py walks the older switches with getattr; config/job.py says by the others what is to be done.
READ_BY_NAME = {"pure_bf16", "do_train", "predict_with_generate"}


def test_every_field_has_help_that_is_a_sentence() -> None:
    assert [key for key in fields() if not re.match(r"(?s)[A-Z`].{10,}[.)]$", help_of(key))] == []


def test_every_field_is_read_by_somebody() -> None:
    package = ROOT / "src" / "tunesmith"
    sources = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] != "config"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    read = set(re.findall(r"\.(\w+)", code)) | READ_BY_NAME
    assert [key for key in fields() if key not in read] == []


def test_help_tells_type_default_and_meaning() -> None:
    text = help_text("lora_rank")
    assert "a whole number ≥ 1" in text and "Default: 8" in text and "Section: adapter" in text
    assert "matrices" in text
    assert "true or false or auto" in help_text("gradient_checkpointing")
    assert "dpo" in help_text("stage") and "not in this version" in help_text("stage")
    assert "evaluation_strategy" in help_text("eval-strategy")


def test_there_is_help_for_every_key() -> None:
    assert [key for key in (*fields(), *LEGACY, *SECTIONS) if len(help_text(key).splitlines()) < 2] == []


def test_help_for_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(UserError) as error:
        help_text("lora_rnk")
    assert "lora_rank" in error.value.hint
    with pytest.raises(UserError) as error:
        help_text("lerning_rate")
    assert error.value.hint == "Did you mean learning_rate?"


def test_the_reference_page_is_current() -> None:
    page = (ROOT / "docs" / "reference" / "config.md").read_text(encoding="utf-8")
    assert page == reference_page(), "python -m tunesmith.config.describe page > docs/reference/config.md"


def test_the_page_and_the_schema_are_printed_in_utf8() -> None:
    for what, expected in (("page", reference_page()), ("schema", None)):
        command = [sys.executable, "-m", "tunesmith.config.describe", what]
        out = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8")
        assert out == expected if expected else json.loads(out) == json_schema()


def test_the_schema_knows_every_key_and_its_limits() -> None:
    schema = json_schema()
    properties = schema["properties"]
    assert set(properties) == {*fields(), *LEGACY}
    assert properties["lora_rank"] == {
        "description": help_of("lora_rank"),
        "type": "integer",
        "minimum": 1,
        "default": 8,
        "x-section": "adapter",
    }
    assert properties["lora_dropout"]["exclusiveMaximum"] == 1
    assert properties["finetuning_type"]["enum"] == ["lora", "freeze", "full"]
    assert {"type": "string"} in properties["dataset"]["anyOf"]
    assert properties["use_galore"]["deprecated"] is True
    json.dumps(schema)


def test_every_default_fits_its_own_schema_and_loader() -> None:
    properties = json_schema()["properties"]
    defaults = {key: properties[key]["default"] for key in fields()}
    assert [key for key, value in defaults.items() if not _fits(properties[key], value)] == []
    job = load_job([], defaults, verb="data").job
    assert [key for key, field in fields().items() if getattr(getattr(job, field.section), key) != field.default] == []


def _fits(schema: dict[str, Any], value: Any) -> bool:
    """The part of JSON schema that is used here."""
    if "anyOf" in schema:
        return any(_fits(form, value) for form in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    types: dict[str, Any] = {"string": str, "array": list, "object": dict, "null": type(None), "boolean": bool}
    if schema["type"] in types:
        return isinstance(value, types[schema["type"]])
    if isinstance(value, bool) or not isinstance(value, int if schema["type"] == "integer" else int | float):
        return False
    return bool(
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
    )
