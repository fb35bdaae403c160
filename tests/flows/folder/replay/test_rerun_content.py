"""A run that was redone holds what its fork with the same settings holds, in a folder and in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.fixtures import SubRequest

from flows.folder.replay.fork import fork_run
from flows.folder.replay.rerun import plan_undo, redo
from storage.digest import digest_tables
from storage.runs import RunFolder
from tests.flows.rounds_by_jobs import inputs, make_run
from tests.object_servers import ENVIRONMENT, moto, new_bucket

FROZEN = ["train.teacher=frozen"]
EVALUATED = ("rounds=2", "evaluate.when=every_round", "evaluate.num_samples=2")


@pytest.fixture(params=["folder", "bucket"])
def place(request: SubRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Where runs lie."""
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda settings, *_: inputs(settings))
    with moto() as endpoint:
        here = {"AWS_ENDPOINT_URL": endpoint, "MOPD_CACHE": str(tmp_path / "cache")}
        for name, value in {**ENVIRONMENT, **here}.items():
            monkeypatch.setenv(name, value)
        yield str(tmp_path) if request.param == "folder" else f"s3://{new_bucket(endpoint)}/runs"


def test_a_rerun_has_the_content_of_a_fork_and_its_undoing_that_of_the_run(place: str) -> None:
    run = make_run(f"{place}/run", *EVALUATED)
    before = digest_tables(run)
    kept = {table: run.store.list_files(f"{table}/") for table in ("rollouts", "verdicts", "contexts")}
    fork = make_run(fork_run(run.address, 1, FROZEN, f"{place}/fork").address)
    redo(run, 1, "score", FROZEN)
    redone = make_run(run.address)
    assert digest_tables(redone) == digest_tables(fork) != before
    assert {table: run.store.list_files(f"{table}/") for table in kept} == kept
    assert digest_tables(plan_undo(RunFolder.open(run.store)).save()) == before
