"""What `mopd status` says of evaluations: keys that stay, and maj@k only where it is defined."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.cli import main
from flows.folder.open import run_lock
from flows.report.status.state import run_status, seconds_between
from flows.report.status.text import rounds_text, status_text
from storage.shards import commit_shard
from tests.flows.plan.test_plan import commit, run_of
from tests.storage.storage_samples import make_rows

KEYS = ("policy", "shards_done", "mean_at_k", "mean_interval", "pass_at_k", "pass_interval", "k", "num_prompts")
"""What scripts have read since the first version."""


def evaluated(path: Path, **columns: Any) -> dict[str, Any]:
    """The status of a run whose first policy was evaluated: two prompts, two samples each."""
    folder, plan = run_of(path, {"evaluate.num_samples": 2, "evaluate.when": "every_round", "prompts_per_shard": 6})
    for shard in plan.evaluations[0].all():
        commit(folder, shard, **(columns if shard.table == "evaluations" else {}))
    return run_status(folder)


@pytest.mark.parametrize(
    ("columns", "majority"),
    [
        ({"prediction": "15"}, 1.0),
        ({"prediction": "15", "success": False}, 0.0),
        ({"prediction": None}, None),
        ({"prediction": "def f(): ...", "sandbox": "bubblewrap"}, None),
        ({"success": None}, None),
    ],
)
def test_the_majority_is_told_where_it_is_defined(
    tmp_path: Path, columns: dict[str, Any], majority: float | None
) -> None:
    status = evaluated(tmp_path / "run", **columns)
    first, second = status["evaluations"][:2]
    assert first.keys() >= set(KEYS)
    assert (first["maj_at_k"], second["maj_at_k"]) == (majority, None)
    assert ("maj@2" in rounds_text(status)) == (majority is not None)


def test_replicas_and_hosts_stand_in_the_table_where_there_are_several(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", {"prompts_per_shard": 1})
    first, second = plan.rounds[0].rollouts[:2]
    commit(folder, plan.rounds[0].prompts[0])
    commit(folder, plan.rounds[0].prompts[1])
    for shard, host in ((first, "a"), (second, "b")):
        info = {"host": host, "replica": f"engine-{shard.shard}", "seconds": 1.0}
        place: dict[str, Any] = {"round": 0, "shard": shard.shard, "key": shard.key, "parents": shard.parents(folder)}
        commit_shard(folder, "rollouts", **place, rows=make_rows("rollouts", folder.run_id), info=info)
        status = run_status(folder)
        assert ("replicas  hosts" in status_text(status, "finished")) == (host == "b")
    assert [status["rounds"][0]["stages"]["generate"][name] for name in ("replicas", "hosts")] == [2, 2]


def test_who_runs_it_is_said_and_what_has_not_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, plan = run_of(tmp_path / "run", {"rounds": 4})
    commit(folder, plan.rounds[0].prompts[0])
    commit(folder, plan.rounds[0].rollouts[0])
    assert main(["status", str(folder.path)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{folder.address}: not finished, and nobody runs it; ")
    assert "not begun: round 1 to 3" in told.splitlines()
    with run_lock(folder):
        main(["status", str(folder.path)])
    assert capsys.readouterr().out.startswith(f"{folder.address}: run by process {os.getpid()} on ")


def test_the_digest_of_a_run_that_is_not_finished_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, plan = run_of(tmp_path / "run", {"rounds": 1, "evaluate.when": "never"})
    for shard in plan.missing(folder):
        assert main(["digest", str(folder.path)]) == 0
        note = f"mopd: {folder.address}: not finished; this is the digest of what is there by now\n"
        assert capsys.readouterr().err == note
        commit(folder, shard)
    assert main(["digest", str(folder.path)]) == 0
    assert capsys.readouterr().err == ""


def test_what_stands_between_the_shards_is_told(tmp_path: Path) -> None:
    """Beside each other, one after another, and after a pause: of ten seconds, three are nobody's."""

    def made(ended: int, seconds: float | None) -> Any:
        return SimpleNamespace(created=f"2026-01-01T00:00:{ended:02}+00:00", info={"seconds": seconds})

    assert seconds_between([made(4, 4.0), made(3, 2.0), made(6, None), made(10, 3.0)]) == pytest.approx(3.0)
    assert seconds_between([]) == 0.0
