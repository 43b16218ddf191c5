"""Exports in a process of their own: uploaded to a hub, and killed in the middle."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.hub_double import TOKEN, HubDouble

import tunesmith
from tunesmith.cli.main import main
from tunesmith.models.gguf.file import open_gguf

HERE = {"PYTHONPATH": str(Path(tunesmith.__file__).parents[1])}  # the code under test from any folder
EXPORT = [sys.executable, "-m", "tunesmith", "export"]
QUICK = ["template=qwen", "export_verify=false"]
SLOW = """
import sys, time
from tunesmith.export.gguf import quants
whole = quants.quantize
def slowly(*given):
    print("a block", flush=True)
    time.sleep(0.2)
    return whole(*given)
quants.quantize = slowly
from tunesmith.cli.main import main
sys.exit(main(["export", *sys.argv[1:]]))
"""


def test_an_export_is_uploaded_by_the_hubs_own_client(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    asked = ["--base", str(tiny_model_dir("qwen3")), "--quant", "q8_0", "--export-dir", "mine", "--hub", "me/mine"]
    with HubDouble() as hub:
        home = HERE | {
            "HF_ENDPOINT": hub.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": "wrong",
        }
        refused = subprocess.run(
            [*EXPORT, *asked, *QUICK], cwd=tmp_path, env=os.environ | home, capture_output=True, encoding="utf-8"
        )
        assert refused.returncode == 2
        assert "hf auth login" in refused.stderr
        assert not (tmp_path / "mine").exists(), "found before anything is written"
        env = os.environ | home | {"HF_TOKEN": TOKEN}
        done = subprocess.run(
            [*EXPORT, *asked, *QUICK], cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, done.stderr
        assert f"On the hub: {hub.url}/me/mine" in done.stdout
        assert hub.private == {"me/mine": True}
        sent = hub.files["me/mine"]
    assert sent["mine-q8_0.gguf"] == (tmp_path / "mine" / "mine-q8_0.gguf").read_bytes()
    assert {"README.md", "Modelfile"} <= sent.keys()
    assert not {"export.yaml", "tunesmith_export.json"} & sent.keys(), "they name folders of this machine"


def test_killed_in_the_middle_of_a_gguf_file(tiny_model_dir: Callable[..., Path], tmp_path: Path) -> None:
    asked = ["--base", str(tiny_model_dir("qwen3")), "--quant", "q8_0", "--export-dir", "mine", *QUICK]
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *asked], cwd=tmp_path, env=os.environ | HERE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        blocks = iter(process.stdout.readline, b"")
        for _ in range(4):
            next(line for line in blocks if line == b"a block\n")
        process.kill()
    folder = tmp_path / "mine"
    assert not (folder / "mine-q8_0.gguf").exists()
    assert [file.suffix for file in folder.iterdir() if file.name.startswith(".mine")] == [".part"]
    assert main(["export", *asked[:-3], str(folder), *QUICK]) == 0
    assert open_gguf(folder / "mine-q8_0.gguf").tensors
    assert [file for file in folder.iterdir() if file.name.startswith(".")] == []
