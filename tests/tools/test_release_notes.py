"""Promise: a release says what CHANGELOG.md says of its version, and nothing is released of which that says nothing."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "release_notes.py"
release = runpy.run_path(str(TOOL))

CHANGELOG = """\
# Changelog

## 0.2.0, not yet released

- Next.

## 0.1.10, 2026-12-24

- Ten.

### Parts

- More.

## 0.1.1, 2026-12-01

- One.

## 0.1.0, 2026-11-30
"""


def test_the_text_under_a_versions_heading() -> None:
    assert release["release_notes"]("0.1.10", CHANGELOG) == "- Ten.\n\n### Parts\n\n- More."
    assert release["release_notes"]("0.1.1", CHANGELOG) == "- One."


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("0.1", "no heading '## 0.1, DATE'"),
        ("0x1.1", "no heading '## 0x1.1, DATE'"),
        ("0.2.0", "'## 0.2.0, not yet released' has no date; write '## 0.2.0, YEAR-MONTH-DAY'"),
        ("0.1.0", "says nothing under '## 0.1.0, 2026-11-30'"),
    ],
)
def test_versions_without_notes(version: str, message: str) -> None:
    with pytest.raises(release["ReleaseError"], match=message):
        release["release_notes"](version, CHANGELOG)


def test_another_version_than_the_projects_is_refused() -> None:
    release["check_version"]("0.1.0", '[project]\nversion = "0.1.0"\n')
    ended = subprocess.run([sys.executable, TOOL, "99.0"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("release: pyproject.toml is of version ")
    assert ended.stderr.endswith(", not 99.0\n")
