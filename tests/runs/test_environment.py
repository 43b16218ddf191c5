from pathlib import Path

from tunesmith.runs.environment import is_secret, versions, without_secrets
from tunesmith.runs.run import Run


def test_secrets_are_known_by_their_key() -> None:
    assert [
        key for key in ("hf_hub_token", "api_key", "add_tokens", "max_new_tokens", "tokenizer") if is_secret(key)
    ] == [
        "hf_hub_token",
        "api_key",
    ]


def test_a_token_on_the_command_line_is_not_written_down() -> None:
    given = ["train", "a.yaml", "hf_hub_token=hf_abc", "--ms_hub_token", "ms_abc", "--packing", "seed=1"]
    assert without_secrets(given) == [
        "train",
        "a.yaml",
        "hf_hub_token=***",
        "--ms_hub_token",
        "***",
        "--packing",
        "seed=1",
    ]


def test_a_token_in_the_config_reaches_no_file_of_the_run(tmp_path: Path) -> None:
    run = Run.create(
        tmp_path / "r", {"stage": "sft", "hf_hub_token": "hf_abc"}, {"stage": "sft", "hf_hub_token": "hf_abc"}
    )
    for path in run.path.rglob("*"):
        assert path.is_dir() or "hf_abc" not in path.read_text(encoding="utf-8")


def test_only_installed_packages_have_a_version() -> None:
    assert list(versions(("tunesmith", "no-such-package"))) == ["tunesmith"]
