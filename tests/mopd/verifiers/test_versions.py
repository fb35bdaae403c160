"""What judged is told apart: by the packages that decide, or by the file that a function is written in."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

import pytest

from mopd.verifiers.versions import judge_versions

OURS = f"mopd {version('mopd')}"


def test_a_verifier_of_ours_is_told_by_what_decides_its_verdicts() -> None:
    said = judge_versions(["math", "numeric", "code", "math"])
    assert said["numeric"] == OURS
    assert said["code"] == f"{OURS}, python {platform.python_version()}"
    packages = ("math-verify", "latex2sympy2-extended", "sympy")
    assert said["math"] == ", ".join([*(f"{name} {version(name)}" for name in packages), OURS])
    assert list(said) == ["code", "math", "numeric"]


def test_a_function_of_yours_is_told_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "judge_by_length.py"
    file.write_text("def judge(text, problem):\n    return None\n")
    monkeypatch.syspath_prepend(tmp_path)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    assert judge_versions(["judge_by_length:judge"]) == {"judge_by_length:judge": f"judge_by_length.py {digest}"}
    assert judge_versions(["builtins:len"]) == {"builtins:len": "unknown"}
