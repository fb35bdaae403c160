"""Fixtures of the fault suite; what the faults came to is told at the end, where this folder is named to pytest.

MOPD_FAULT_SEED: of all that is drawn. MOPD_FAULT_KILLS: about so many kills. MOPD_FAULT_RECORD: a file for the results.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import finished_run, prefect
from tests.e2e.harness import Prefect
from tests.faults.record import PROPERTY, count_faults, faults_table, write_record
from tests.faults.trial import Trial, Undisturbed

__all__ = ["finished_run", "prefect"]
SEED = os.environ.get("MOPD_FAULT_SEED", "0")
BEGAN = time.monotonic()
PATIENCE = {"MOPD_SERVER_PATIENCE": "60"}
Begin = Callable[..., Trial]


@pytest.fixture(scope="session")
def undisturbed(prefect: Prefect, finished_run: Path) -> Undisturbed:
    """What every trial must end as."""
    return Undisturbed(finished_run, prefect.mopd("digest", finished_run).stdout)


@pytest.fixture
def begin(
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
    prefect: Prefect,
    undisturbed: Undisturbed,
    tmp_path: Path,
) -> Iterator[Begin]:
    """Begins a trial: `begin(fault)`, with other fields of `Trial` where they differ."""
    trials: list[Trial] = []

    def begin_trial(fault: str, **fields: Any) -> Trial:
        draw = random.Random(f"{SEED} {request.node.name} {len(trials)}")
        given = {
            "run": tmp_path / f"run-{len(trials)}",
            "prefect": prefect,
            "env": {**prefect.env, **PATIENCE},
            **fields,
        }
        trials.append(Trial(fault, undisturbed=undisturbed, draw=draw, outputs=tmp_path, **given))
        return trials[-1]

    yield begin_trial
    for trial in trials:
        trial.end()
        record_property(PROPERTY, trial.result())


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table, and the file that is asked for."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind if hasattr(report, "when")]
    ended = [report for report in reports if report.when == "teardown"]
    results = [value for report in ended for name, value in report.user_properties if name == PROPERTY]
    if not results:
        return
    rows = count_faults(results)
    terminalreporter.section(f"faults, MOPD_FAULT_SEED={SEED}")
    terminalreporter.write_line(faults_table(rows))
    if file := os.environ.get("MOPD_FAULT_RECORD"):
        write_record(Path(file), rows, seed=SEED, seconds=time.monotonic() - BEGAN)
