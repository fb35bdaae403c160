"""`mopd probe`, `mopd analyze` and `condition.variant: auto` for real: Prefect, workers, a kill, another start."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from flows.plan.shard import CONTEXT_TABLES
from storage.lookup import names_of
from storage.runs import RunFolder
from storage.shards import manifests, read_rows, verify_run
from storage.sql.catalog import query
from tests.e2e.harness import FAKE, TINY, Prefect, is_alive, wait_for

SMALL = (*FAKE, "--set", "prompts_per_shard=2", "--set", "rounds=1")
VARIANTS = ("--variants", "none,success,contrastive/turns/first")


@pytest.fixture(scope="module")
def probed(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A probe that was killed while it scored, and started again."""
    run = tmp_path_factory.mktemp("probed") / "run"
    arguments = ("probe", TINY, "--run", run, *SMALL, *VARIANTS)
    with prefect.start_mopd(*arguments) as process:
        wait_for(lambda: (run / "run.json").exists() and manifests(RunFolder.open(run), "scores", name="none"), 120)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(is_alive(child) for child in family))
    kept = written(run)
    done = prefect.mopd(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "recommended: " in done.stdout
    assert {path: time for path, time in written(run).items() if path in kept} == kept
    return run


def written(run: Path) -> dict[Path, int]:
    """When the manifests of a run were written."""
    return {path: path.stat().st_mtime_ns for path in run.rglob("shard-*.json")}


def test_a_killed_probe_goes_on_and_comes_to_what_another_comes_to(
    prefect: Prefect, probed: Path, tmp_path: Path
) -> None:
    done = prefect.mopd("probe", TINY, "--run", tmp_path / "again", *SMALL, *VARIANTS)
    assert done.returncode == 0, done.stdout + done.stderr
    one, other = RunFolder.open(probed), RunFolder.open(tmp_path / "again")
    made = [(table, name) for table in CONTEXT_TABLES for name in names_of(one, table)]
    assert len(made) == 3 * 4
    for table, name in made:
        assert rows_of(one, table, name) == rows_of(other, table, name), (table, name)
    assert verify_run(one) == []
    pages = [(run.path / "analysis" / "probe-round=0000" / "probe.csv").read_text() for run in (one, other)]
    assert pages[0] == pages[1]


def rows_of(run: RunFolder, table: str, name: str) -> list[str]:
    """All that a table says but the run's name and timings."""
    rows = [row for one in manifests(run, table, name=name) for row in read_rows(run, one)]
    assert rows
    return [repr({name: value for name, value in row.items() if name not in ("run", "seconds")}) for row in rows]


def test_a_second_probe_and_an_analysis_make_nothing_again(prefect: Prefect, probed: Path) -> None:
    kept = written(probed)
    again = prefect.mopd("probe", TINY, "--run", probed, *SMALL, *VARIANTS)
    assert again.returncode == 0, again.stderr
    analysis = prefect.mopd("analyze", "signal", probed, "--round", "0", *VARIANTS)
    assert analysis.returncode == 0, analysis.stderr
    assert "minus none" in analysis.stdout
    assert written(probed) == kept
    results = probed / "analysis" / "signal-round=0000"
    assert {path.name for path in results.iterdir()} == {"signal.md", "signal.csv", "signal.json", "plot.png"}
    diversity = prefect.mopd("analyze", "diversity", probed)
    assert diversity.returncode == 0, diversity.stderr
    assert "self-BLEU" in diversity.stdout


def test_prefect_has_the_probes_page(prefect: Prefect, probed: Path) -> None:
    runs = {one["id"]: one for one in prefect.flow_runs(probed)}
    assert {"probe-r0000", "contexts-r0000", "try-r0000", "answer-r0000"} <= {one["name"] for one in runs.values()}
    assert {one["state_type"] for one in runs.values()} == {"CRASHED", "COMPLETED"}
    artifacts = prefect.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": list(runs)}}})
    pages = [one["data"] for one in artifacts if one["key"] == "mopd-probe"]
    assert len(pages) == 1
    assert "| contrastive-turns-first |" in pages[0]


def test_a_probe_goes_on_as_a_run_and_its_contexts_as_a_fork(prefect: Prefect, probed: Path, tmp_path: Path) -> None:
    fork = prefect.mopd("fork", probed, "--round", "0", "--set", "condition.variant=success", tmp_path / "fork")
    assert fork.returncode == 0, fork.stderr
    for table in ("contexts", "scores"):
        theirs = {shard.key for shard in manifests(RunFolder.open(probed), table, name="success")}
        assert {shard.key for shard in manifests(RunFolder.open(tmp_path / "fork"), table)} == theirs != set()
    kept = written(probed)
    done = prefect.mopd("run", TINY, "--run", probed, *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept.items() <= written(probed).items()
    assert json.loads(prefect.mopd("status", probed, "--json").stdout)["finished"]


def test_a_run_that_probes_trains_on_what_it_chose_and_says_why(prefect: Prefect, tmp_path: Path) -> None:
    auto = "condition.variant={kind: auto, candidates: [none, contrastive]}"
    done = prefect.mopd("run", TINY, "--run", tmp_path / "auto", *SMALL, "--set", auto, "--set", "evaluate.when=never")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = RunFolder.open(tmp_path / "auto")
    ((chosen, why),) = query(folder, "SELECT candidate, why FROM choices WHERE chosen").rows
    assert f"{chosen} contexts: {why}" in done.stdout
    assert f"round 0: {chosen} contexts, {why}" in done.stdout
    assert query(folder, "SELECT DISTINCT variant FROM contexts WHERE condition = ''").rows == [(chosen,)]
    status = json.loads(prefect.mopd("status", folder.path, "--json").stdout)["rounds"][0]
    assert status["choice"] == {"candidate": chosen, "why": why}
    assert status["signals"]["control"]["variant"] == "random_peer"
