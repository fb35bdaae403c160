"""A teacher outlives its process: what of it is kept with a round, and that a killed run goes on with the same one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.runs import RunFolder
from storage.shards import manifests, read_rows
from tests.flows.rounds_by_jobs import make_run

ROOT = Path(__file__).parents[3]
ROUNDS = range(3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that nothing stopped."""
    return make_run(tmp_path_factory.mktemp("whole") / "run")


def teacher_weights(run: RunFolder) -> list[bytes]:
    return [
        (run.path / run.policy_place(number) / "trainer" / "teacher" / "model.safetensors").read_bytes()
        for number in ROUNDS
    ]


def test_after_kill_9_the_teacher_goes_on_bit_for_bit(whole: RunFolder, tmp_path: Path) -> None:
    path = tmp_path / "run"
    command = [sys.executable, "-m", "tests.flows.rounds_by_jobs", str(path)]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        while process.poll() is None and not committed(path, 1):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not committed(path, 2)
    assert teacher_weights(make_run(path)) == teacher_weights(whole)
    assert len(set(teacher_weights(whole))) == len(ROUNDS)


def committed(path: Path, number: int) -> bool:
    return (path / "run.json").exists() and bool(manifests(RunFolder.open(path), "policies", number))


@pytest.mark.parametrize(
    ("teacher", "versions"),
    [("frozen", [0, 0, 0]), ("trust_region", [0, 1, 2])],
)
def test_a_teacher_without_weights_of_its_own_leaves_none(tmp_path: Path, teacher: str, versions: list[int]) -> None:
    run = make_run(tmp_path / "run", f"train.teacher={teacher}", "score.support=union")
    assert not any((run.path / run.policy_place(number) / "trainer" / "teacher").exists() for number in ROUNDS)
    rows = [read_rows(run, manifests(run, "scores", number)[0])[0] for number in ROUNDS]
    assert [(row["teacher"], row["teacher_version"]) for row in rows] == [(teacher, one) for one in versions]
