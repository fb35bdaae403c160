"""A failed attempt at a shard is told of afterwards: whose job it was, where its log is, how often it was tried."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.execute.attempts import Attempts
from flows.execute.work import commit
from flows.plan.stage import STAGES
from flows.report.last_errors import errors_text, last_errors
from flows.runtime.worker import Worker, WorkerDied, WorkerStopped
from mopd.errors import InputError
from storage.failures import count_failures
from storage.runs import RunFolder
from tests.flows.plan.test_plan import run_of
from tests.flows.runtime.worker_jobs import die_once, fail, load
from tests.storage.storage_samples import make_rows


def test_a_shard_that_was_made_in_the_end_says_how_often_it_was_tried(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", {})
    stage, shard = STAGES["prompts"], plan.rounds[0].prompts[0]
    log = tmp_path / "draw-0.log"
    worker = Worker("draw-0 (draw)", load, tmp_path / "notes", log=log)
    for job, error in ((die_once, WorkerDied), (fail, InputError)):
        with pytest.raises(error), Attempts(folder).at(stage, shard) as attempt:
            worker.run(job)
        assert attempt.attempt == (1 if job is die_once else 2)
    worker.close()
    (failed,) = last_errors(folder)
    assert (failed["replica"], failed["log"], failed["attempt"], failed["made"]) == (
        "draw-0 (draw)",
        str(log),
        2,
        False,
    )
    lines = errors_text(last_errors(folder)).splitlines()
    assert lines[0] == "last errors"
    assert lines[1].startswith("draw r0000 s0000: failed 2 times, 20")
    assert lines[1].endswith(f" UTC on {platform.node()}: InputError: tasks.jsonl:3: broken; see {log}")
    with Attempts(folder).at(stage, shard) as attempt:
        manifest = commit(folder, attempt, make_rows("prompts", folder.run_id), 0.0)
    assert manifest.info["attempts"] == 3
    assert "draw r0000 s0000: failed 2 times, then made, " in errors_text(last_errors(folder))
    RunFolder(folder.store, {**folder.document, "superseded": [shard.key]}).save(folder)
    assert last_errors(RunFolder.open(folder.path)) == []


@pytest.mark.parametrize(("end", "failures"), [(WorkerStopped, 0), (KeyboardInterrupt, 0), (ValueError, 1)])
def test_what_ends_on_purpose_is_no_failure(tmp_path: Path, end: Callable[[], BaseException], failures: int) -> None:
    folder, plan = run_of(tmp_path / "run", {})
    with pytest.raises(end), Attempts(folder).at(STAGES["prompts"], plan.rounds[0].prompts[0]):  # type: ignore[call-overload]
        raise end()
    assert count_failures(folder).total() == failures
