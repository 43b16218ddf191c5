"""The other tool's virtual environment: llamafactory at a pinned version, in a folder of its own.

llamafactory requires torchvision and torchaudio even for text. Their builds do not exist beside every torch, and text
training uses neither, so both are stood in for: torchvision by its metadata alone (transformers then sees it as
absent), torchaudio by an empty module (llamafactory imports it at start). This makes llamafactory start faster and use
less memory than a full install would; the figures favour it.
"""

import base64
import hashlib
import importlib.util
import os
import subprocess
import venv
import zipfile
from pathlib import Path

LLAMAFACTORY = "llamafactory==0.9.5"
INSTALLER = Path(__file__).parents[1] / "setup" / "install.py"


def python_of(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def script_of(environment: Path, name: str) -> Path:
    """A console script of a virtual environment."""
    return environment / (f"Scripts/{name}.exe" if os.name == "nt" else f"bin/{name}")


def ensure_baseline(work: Path) -> Path:
    """Install llamafactory under `work` unless a finished install is there; returns the environment's folder."""
    environment = work / "llamafactory"
    done = environment / "installed.txt"
    if done.is_file() and done.read_text(encoding="utf-8").strip() == LLAMAFACTORY:
        return environment
    print(f"installing {LLAMAFACTORY} into an environment of its own (several minutes, about 2 GB)", flush=True)
    venv.create(environment, with_pip=True, clear=True)
    stubs = [
        empty_wheel(work / "stubs", "torchvision", "0.28.0", {}),
        empty_wheel(work / "stubs", "torchaudio", "2.13.0", {"torchaudio/__init__.py": ""}),
    ]
    pip = [str(python_of(environment)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install_cpu_torch(pip)
    subprocess.run([*pip, "--no-deps", *map(str, stubs)], check=True)
    subprocess.run([*pip, LLAMAFACTORY], check=True)
    done.write_text(LLAMAFACTORY, encoding="utf-8")
    return environment


def install_cpu_torch(pip: list[str]) -> None:
    """Install the same CPU build of torch that our own installer takes, from the first place that has it."""
    spec = importlib.util.spec_from_file_location("install", INSTALLER)
    assert spec is not None and spec.loader is not None
    installer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(installer)
    first, *others = installer.torch_tries(gpu=False)
    for arguments in (first, *others):
        if subprocess.run([*pip, *arguments], stderr=subprocess.DEVNULL).returncode == 0:
            return
    raise RuntimeError("torch could not be installed beside llamafactory; check the network or the package mirror")


def empty_wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """Write a wheel that holds `files` (path to text) and the metadata of `name` at `version`."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tunesmith\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_digest(text)},{len(text.encode())}" for path, text in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
