"""How a run ended is told alike on its page and in the list of runs, whoever holds it meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.folder.open import run_lock
from flows.plan.guards import SAMPLED
from flows.plan.run import DIGESTS
from flows.viewer.documents.overview import overview
from flows.viewer.documents.row import run_row
from flows.viewer.documents.viewed import ViewedRun
from flows.viewer.server.live import LiveRun
from mopd.settings import parse_settings
from storage.runs import RunFolder
from storage.stores import lease
from tests.flows.folder.replay.test_rollback import breach, until
from tests.flows.plan.test_plan import run_of
from tests.flows.viewer.run_samples import make_run
from tests.object_servers import CACHE, ENDPOINT, ENVIRONMENT, moto, new_bucket


def told(run: ViewedRun) -> tuple[str, str, str]:
    """Kind and text on the run's page, and the word in the list."""
    state = overview(run)["state"]
    return state["kind"], state["text"], run_row(run)["state"]


def test_a_run_that_came_to_its_end(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with run_lock(folder):  # as whoever made it still does when it writes its page
        assert told(ViewedRun(folder, "run")) == ("finished", "finished", "finished")
    row = run_row(ViewedRun(folder, "run"))
    assert (row["rounds"], row["rounds_done"], row["model"]) == (2, 2, "tiny:llama")
    assert [row[f"{name}_{place}"] for name in ("pass_rate", "heldout") for place in ("first", "last")] == [1, 1, 0, 1]


def test_a_run_that_a_guard_ended(tmp_path: Path) -> None:
    folder, _ = run_of(tmp_path / "run", {"rounds": 2, "guards.on_breach": "stop"})
    until(folder, 1, SAMPLED, **breach("stop"))
    stopped = "stopped by entropy at policy 1"
    with run_lock(folder):
        assert told(ViewedRun(folder, "run")) == ("stopped", f"not finished, {stopped}", stopped)


def test_a_run_that_got_other_bounds_goes_on(tmp_path: Path) -> None:
    folder, _ = run_of(tmp_path / "run", {"rounds": 2, "guards.on_breach": "stop"})
    until(folder, 1, SAMPLED, **breach("stop"))
    settings = {**folder.document["settings"], "rounds": 3}
    settings["guards"] = {**settings["guards"], "on_breach": "warn"}
    RunFolder(folder.store, {**folder.document, "settings": settings}).save(folder)
    assert told(ViewedRun(RunFolder.open(folder.path), "run"))[0] == "unfinished"


def test_a_run_that_has_ended_nowhere(tmp_path: Path) -> None:
    folder, _ = run_of(tmp_path / "run")
    run = ViewedRun(folder, "run")
    assert told(run) == ("unfinished", "not finished, and nobody runs it", "not finished")
    with run_lock(folder):
        kind, text, word = told(ViewedRun(folder, "run"))
    assert (kind, text.split()[:3], word) == ("running", ["run", "by", "process"], "running")


def test_of_rows_without_a_plan_nobody_knows(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "rows", {"settings": parse_settings({}).model_dump(mode="json")})
    row = run_row(ViewedRun(folder, "rows"))
    assert (row["state"], "rounds" in row, row["pass_rate_last"]) == ("unknown", False, None)


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFolder]:
    """A run in a bucket, held by a process of another host that died."""
    near, _ = run_of(tmp_path / "near")
    with moto() as endpoint:
        for name, value in {**ENVIRONMENT, ENDPOINT: endpoint, CACHE: str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        document = {name: near.document[name] for name in ("settings", *DIGESTS)}
        folder = RunFolder.create(f"s3://{new_bucket(endpoint)}/runs/far", document)
        note = {"text": "process 7 on another", "held": True, "process": "boot pid:[1] 7", "token": "a"}
        folder.store.replace(lease.LEASE_FILE, json.dumps(note).encode())
        yield folder


def test_one_look_at_a_lease_in_a_bucket_says_that_it_can_not_tell(far: RunFolder) -> None:
    assert overview(ViewedRun(far, "far"))["state"] == {
        "kind": "running",
        "text": "run by process 7 on another, unless that process died: of a run in a bucket one look can't tell",
    }


def test_who_watches_a_lease_finds_out_and_begins_another_moment(
    far: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "PATIENCE_SECONDS", 0.2)
    live = LiveRun(far, "far")
    run, moment = live.view()
    assert told(run) == ("running", "run by process 7 on another", "running")
    time.sleep(0.3)
    live.look()
    assert live.moment == moment + 1
    assert told(live.view()[0])[1:] == ("not finished, and nobody runs it", "not finished")
