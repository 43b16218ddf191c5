"""The doctor's findings on machines that this one is not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tunesmith.cli import doctor
from tunesmith.cli.devices import cpu_flags, gpu_lines, precision_lines
from tunesmith.cli.main import main

T4 = ["GPU 0: Tesla T4 (UUID: GPU-1)"]


def torch_build(*, cuda: str | None, sees: int = 0, bf16: bool = True, free: int = 15) -> Any:
    gib = 2**30
    return SimpleNamespace(
        __version__="2.13.0",
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(
            is_available=lambda: sees > 0,
            device_count=lambda: sees,
            get_device_name=lambda i=0: "Tesla T4",
            mem_get_info=lambda i: (free * gib, 16 * gib),
            is_bf16_supported=lambda including_emulation: bf16,
        ),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False)),
    )


def statuses(lines: Any) -> list[str]:
    return [line.status for line in lines]


def test_a_cpu_torch_beside_a_gpu_fails_with_the_fix() -> None:
    (line,) = gpu_lines(torch_build(cuda=None), T4)
    assert line.status == "fail"
    assert "Tesla T4" in line.detail
    assert "setup/install.py --torch gpu" in line.fix


def test_a_gpu_that_its_driver_is_too_old_for_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (line,) = gpu_lines(torch_build(cuda="13.0"), T4)
    assert line.status == "fail"
    assert "update the NVIDIA driver" in line.fix


def test_a_hidden_gpu_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (line,) = gpu_lines(torch_build(cuda="13.0"), T4)
    assert line.status == "warn"
    assert "CUDA_VISIBLE_DEVICES" in line.fix


def test_a_gpu_in_use_is_a_warning_and_a_free_one_passes() -> None:
    assert statuses(gpu_lines(torch_build(cuda="13.0", sees=1), T4)) == ["pass", "pass"]
    assert statuses(gpu_lines(torch_build(cuda="13.0", sees=1, free=2), T4)) == ["pass", "warn"]


def test_no_gpu_at_all_is_fine() -> None:
    assert statuses(gpu_lines(torch_build(cuda=None), [])) == ["pass"]


def test_a_gpu_without_bf16_is_told_what_is_taken_instead() -> None:
    (line,) = precision_lines(torch_build(cuda="13.0", sees=1, bf16=False))
    assert line.status == "warn"
    assert "fp16" in line.fix


def test_cpu_flags_are_read_whole(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor: 0\nflags\t\t: fpu avx512_bf16 amx_bf16\n", encoding="utf-8")
    assert cpu_flags(cpuinfo) == {"fpu", "avx512_bf16", "amx_bf16"}
    assert cpu_flags(tmp_path / "none") == frozenset()


def test_modelscope_asked_for_but_not_there_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    monkeypatch.setattr(doctor, "_installed", lambda package: False)
    assert [line.fix for line in doctor.hub_lines() if line.status == "fail"] == [
        "pip install modelscope, or unset USE_MODELSCOPE_HUB."
    ]


def test_a_mirror_without_its_scheme_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USE_MODELSCOPE_HUB", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "hf-mirror.example")
    assert "fail" in statuses(doctor.hub_lines())


def test_without_a_mirror_none_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USE_MODELSCOPE_HUB", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert "no mirror is set" in next(doctor.hub_lines()).detail


def test_the_token_is_never_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_HOME", "/nonexistent/hub")
    main(["doctor"])
    main(["env"])
    page = capsys.readouterr().out
    assert "hf_secret" not in page
    assert "hub token" in page and "present" in page


def test_a_full_disk_fails_and_sets_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**29))
    assert main(["doctor"]) == 1
    assert "537 MB free" in capsys.readouterr().out


def test_a_missing_or_old_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor.metadata, "requires", lambda name: ["torch>=99", "no-such-package>=1", 'pytest>=1; extra == "test"']
    )
    found = {line.what: line for line in doctor.package_lines()}
    assert set(found) == {"torch", "no-such-package"}
    assert "not installed" in found["no-such-package"].detail
    assert found["torch"].fix == 'pip install "torch>=99"'
