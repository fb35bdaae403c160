"""docs/scale.md: its tables are what the arithmetic gives, and the arithmetic does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_the_page_has_the_tables_that_the_script_makes() -> None:
    command = [sys.executable, BENCHMARKS / "scale_on_paper.py", "--check"]
    assert subprocess.run(command).returncode == 0, "run `make docs`"


def test_a_step_reads_the_weights_once_and_the_keys_of_each_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import scale_round  # type: ignore[import-not-found]

    rate = 0.61 * 3.35e12
    weights, key = 2 * (8_190_735_360 - 151_936 * 4096), 2 * 36 * 1024 * 2
    alone = 100 * weights + key * (100 * 512 + 100**2 / 2)
    assert scale_round.decoding_seconds([100.0], slots=4) == pytest.approx(alone / rate)
    assert scale_round.decoding_seconds([100.0, 100.0], slots=1) == pytest.approx(2 * alone / rate)
    together = 100 * weights + 2 * (alone - 100 * weights)
    assert scale_round.decoding_seconds([100.0, 100.0], slots=2) == pytest.approx(together / rate)
