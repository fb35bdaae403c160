"""`mopd reverify` for real: Prefect, workers, a kill, another start, a run that goes on at the same time."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from flows.folder.open import run_lock
from storage.digest import digest_tables
from storage.runs import RunFolder
from storage.shards import manifests, verify_run
from tests.e2e.harness import FAKE, TINY, Prefect, is_alive, wait_for

SMALL = (*FAKE, "--set", "evaluate.when=never", "--set", "signals.control_groups=0")
EVEN = ("--verifier", "tests.flows.measure.reverify.even_verifier:judge")
NAME = "even_verifier-judge"


@pytest.fixture(scope="module")
def made(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two rounds of two shards."""
    run = tmp_path_factory.mktemp("judged") / "run"
    done = prefect.mopd("run", TINY, "--run", run, *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    return run


@pytest.fixture(scope="module")
def judged(prefect: Prefect, made: Path) -> Path:
    """The run, judged again by a command that was killed at its first verdicts, and by the same command to its end."""
    before = digest_tables(RunFolder.open(made))
    with prefect.start_mopd("reverify", made, *EVEN) as process:
        wait_for(lambda: manifests(RunFolder.open(made), "verdicts", name=NAME), 120)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(is_alive(child) for child in family))
    kept = written(made)
    done = prefect.mopd("reverify", made, *EVEN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{NAME}: 14 of 32 verdicts flipped\n" in done.stdout
    assert "reverify.md, reverify.csv, reverify.json\n" in done.stdout
    assert {path: time for path, time in written(made).items() if path in kept} == kept
    assert digest_tables(RunFolder.open(made)) == before
    assert verify_run(RunFolder.open(made)) == []
    return made


def written(run: Path) -> dict[Path, int]:
    """When the manifests of a run were written."""
    return {path: path.stat().st_mtime_ns for path in run.rglob("shard-*.json")}


def test_what_is_there_is_told_at_once_also_beside_whoever_holds_the_run(prefect: Prefect, judged: Path) -> None:
    kept = written(judged)
    with run_lock(RunFolder.open(judged)):
        again = prefect.mopd("reverify", judged, *EVEN, "--json")
        other = prefect.mopd("reverify", judged, "--verifier", "first_number")
    told = json.loads(again.stdout)
    assert (told["name"], told["total"]["flipped"], len(told["rounds"])) == (NAME, 14, 2)
    assert other.returncode == 2
    assert other.stderr.startswith(f"mopd: {judged}: is being run by process {os.getpid()} on ")
    assert written(judged) == kept


def test_flips_are_asked_for_in_sql(prefect: Prefect, judged: Path) -> None:
    count = f"SELECT count(*) AS n FROM flips WHERE condition = '{NAME}'"
    assert json.loads(prefect.mopd("sql", judged, count, "--format", "json").stdout) == [{"n": 14}]


def test_prefect_has_the_page(prefect: Prefect, judged: Path) -> None:
    runs = {one["id"]: one["name"] for one in prefect.flow_runs(judged)}
    assert {"reverify", "verify-r0000", "condition-r0001", "rejudge-r0001"} <= set(runs.values())
    artifacts = prefect.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": list(runs)}}})
    (page,) = (one["data"] for one in artifacts if one["key"] == "mopd-reverify")
    assert f"{NAME}: 14 of 32 verdicts flipped" in page


def test_applied_the_run_is_one_that_had_the_verifier(prefect: Prefect, judged: Path, tmp_path: Path) -> None:
    """Rerun from its verdicts, which aren't made again, killed once that has begun; and taken back."""
    run = Path(shutil.copytree(judged, tmp_path / "run"))
    before, theirs = digest_tables(RunFolder.open(run)), written(run)
    with prefect.start_mopd("reverify", run, *EVEN, "--apply") as process:
        wait_for(lambda: RunFolder.open(run).superseded, 120)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(is_alive(child) for child in family))
    done = prefect.mopd("reverify", run, *EVEN, "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was redone so already, and goes on" in done.stdout
    kept = {path: time for path, time in written(run).items() if path in theirs}
    assert kept == theirs
    fresh = prefect.mopd("run", TINY, "--run", tmp_path / "fresh", *SMALL, "--set", f"verify.verifier={EVEN[1]}")
    assert fresh.returncode == 0, fresh.stdout + fresh.stderr
    assert digest_tables(RunFolder.open(run)) == digest_tables(RunFolder.open(tmp_path / "fresh"))
    new = {path.relative_to(run).parts[:2] for path in written(run).keys() - theirs.keys()}
    assert ("scores", "round=0000") in new
    assert not new & {("rollouts", "round=0000"), ("verdicts", "round=0000"), ("contexts", "round=0000")}
    refused = prefect.mopd("reverify", run, *EVEN)
    assert "would change nothing" in refused.stderr
    assert prefect.mopd("rerun", run, "--undo").returncode == 0
    assert digest_tables(RunFolder.open(run)) == before
    found = prefect.mopd("reverify", run, *EVEN, "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["total"]["flipped"] == 14


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--verifier", "last_number"), "would change nothing, it was judged by last_number (mopd "),
        (("--verifier", "code"), "verify.verifier: code can't judge prompt larger-"),
        (("--again", "--apply"), "--apply: a check by the same verifier has nothing to apply"),
        (("--verifier", "first_number", "--round", "9"), "--round 9: "),
    ],
    ids=str,
)
def test_bad_input_is_one_line(prefect: Prefect, judged: Path, arguments: tuple[str, ...], message: str) -> None:
    done = prefect.mopd("reverify", judged, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
