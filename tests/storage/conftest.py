"""Fixtures of the storage tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.runs import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """An empty run."""
    return RunFolder.create(tmp_path / "run", {"settings": {"seed": 1, "train": {"learning_rate": 1e-5}}})
