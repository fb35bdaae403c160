"""Promises: what comes to a run is seen by the next look and told of by table; runs come and go as they do on disk."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from flows.viewer.documents import viewed as viewed_module
from flows.viewer.server import runs as runs_module
from flows.viewer.server.live import LiveRun, RunGone
from flows.viewer.server.runs import ServedRuns
from mopd.errors import InputError
from mopd.settings import parse_settings
from storage.runs import RUN_FILE, RunFolder
from storage.stores.base import Holder
from tests.flows.viewer.server.conftest import make_run
from tests.object_servers import CACHE, ENDPOINT, ENVIRONMENT, moto, new_bucket
from tests.storage.storage_samples import commit, make_rows

COUNTED = "SELECT count(*) AS rows FROM rollouts"


def commit_more(run: RunFolder, shard: int, samples: int = 2) -> None:
    rows = make_rows("rollouts", run.run_id, prompts=(f"prompt {shard}",), samples=samples)
    commit(run, "rollouts", rows, shard=shard)


def test_a_shard_that_comes_begins_another_moment(run: RunFolder) -> None:
    live = LiveRun(run, "run")
    viewed, moment = live.view()
    assert viewed.ask(COUNTED) == [{"rows": 4}]
    commit_more(run, 1)
    commit_more(run, 2, samples=3)
    live.look()
    later, next_moment = live.view()
    assert (next_moment, later.ask(COUNTED)) == (moment + 1, [{"rows": 9}])
    assert live.came_since(moment) == {"rollouts": 5}
    assert live.came_since(next_moment) == {}
    assert viewed.ask(COUNTED) == [{"rows": 4}]  # of its moment


def test_words_of_a_model_that_is_loaded_meanwhile(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[RunFolder] = []
    monkeypatch.setattr(viewed_module, "token_texts", lambda folder: asked.append(folder) or ["the"][: len(asked) - 1])
    monkeypatch.setattr(viewed_module, "find_tokenizer", lambda folder: object())
    live = LiveRun(run, "run")
    for shard, words in enumerate(([], ["the"], ["the"])):
        assert live.view()[0].vocabulary == words
        commit_more(run, shard + 1)
        live.look()
    assert len(asked) == 2  # what is there stays


def test_where_nothing_came_the_moment_goes_on(run: RunFolder) -> None:
    live = LiveRun(run, "run")
    viewed, moment = live.view()
    live.look()
    assert live.view() == (viewed, moment)


def test_a_run_that_was_redone_is_opened_anew(run: RunFolder) -> None:
    live = LiveRun(run, "run")
    before = live.view()[1]
    key = next((run.path / "rollouts/round=0000").glob("*.json"))
    superseded = [json.loads(key.read_text())["key"]]
    document = {**run.document, "superseded": superseded}
    run.store.replace(RUN_FILE, json.dumps(document).encode())
    live.look()
    viewed, moment = live.view()
    assert (moment, viewed.ask(COUNTED)) == (before + 1, [{"rows": 0}])


def test_a_process_that_holds_the_run_is_seen(run: RunFolder) -> None:
    live = LiveRun(run, "run")
    before = live.view()[1]
    with run.store.hold() as lease:
        lease.write("host a")
        live.look()
        assert (live.viewed.holder, live.moment) == (Holder("host a", held=True), before + 1)
    live.look()
    assert live.viewed.holder is not None and not live.viewed.holder.held


def test_a_run_that_was_removed_is_told_of(run: RunFolder) -> None:
    live = LiveRun(run, "run")
    live.view()
    shutil.rmtree(run.path)
    live.look()
    with pytest.raises(RunGone, match="was removed, or moved, since it is served"):
        live.view()


def test_runs_come_and_go(tmp_path: Path) -> None:
    one = make_run(tmp_path / "runs" / "one")
    served = ServedRuns([str(tmp_path / "runs")])
    kept = served.find("one")
    make_run(tmp_path / "runs" / "two")
    served.look()
    assert ([live.id for live in served.all()], served.edition) == (["one", "two"], 2)
    assert served.find("one") is kept
    shutil.rmtree(one.path)
    served.look()
    assert ([live.id for live in served.all()], served.edition) == (["two"], 3)
    with pytest.raises(RunGone, match="no run that is served is called one"):
        served.find("one")


def test_a_run_that_can_not_be_served_leaves_the_others(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "one")
    served = ServedRuns([str(tmp_path / "runs")])
    (tmp_path / "runs" / "old").mkdir()
    (tmp_path / "runs" / "old" / RUN_FILE).write_text(json.dumps({"run_id": "old", "format": 1, "settings": {}}))
    served.look()
    assert [live.id for live in served.all()] == ["one"]
    assert "old has run format 1" in served.left_out()[0]


def test_where_all_are_gone_the_list_is_empty(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "one")
    served = ServedRuns([str(tmp_path / "runs")])
    shutil.rmtree(run.path)
    served.look()
    assert served.all() == [] and "holds none" in served.left_out()[0]
    with pytest.raises(RunGone, match="no run is served now"):
        served.some(None)


def test_a_fault_ends_no_other_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [make_run(tmp_path / "runs" / name) for name in ("one", "two")]
    served, ended = ServedRuns([str(tmp_path / "runs")]), threading.Event()
    failed: list[str] = []

    def fail() -> None:
        failed.append("one")
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(runs_module, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(served.find("one"), "look", fail)
    monkeypatch.setattr(served.find("two"), "is_due", lambda: True)
    looking = threading.Thread(target=served.look_on, args=(ended,))
    looking.start()
    commit_more(runs[1], 1)
    while served.find("two").moment == 0 or len(failed) < 2:
        assert looking.is_alive()
        time.sleep(0.01)
    ended.set()
    looking.join()
    assert capsys.readouterr().err.count("ZeroDivisionError: a mistake") == 1


def test_what_is_no_run_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run and holds none"):
        ServedRuns([str(tmp_path)])


def test_changes_tell_what_came_since_a_moment(client: TestClient, run: RunFolder) -> None:
    moment = int(client.get("/api/run/run/overview").headers["mopd-moment"])
    nothing = client.get(f"/api/changes?run=run&since={moment}").json()
    assert nothing == {"edition": 1, "moments": {"run": moment}, "came": {}, "left_out": []}
    assert client.get("/api/changes?run=none").json()["moments"] == {"run": moment}


def test_damaged_shards_are_told_of(client: TestClient, run: RunFolder) -> None:
    file = next((run.path / "rollouts/round=0000").glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-8])
    assert client.get("/api/run/run/prompts").json()["total"] == 0
    assert file.name in client.get("/api/changes?run=run").json()["left_out"][0]
    assert file.name in client.get("/api/directory").json()["left_out"][0]


def test_a_run_in_a_bucket_is_followed_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with moto() as endpoint:
        for name, value in {**ENVIRONMENT, ENDPOINT: endpoint, CACHE: str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        place = f"s3://{new_bucket(endpoint)}/runs"
        settings = {"settings": parse_settings({}).model_dump(mode="json")}
        run = RunFolder.create(f"{place}/one", settings)
        commit_more(run, 0)
        served = ServedRuns([place])
        live = served.find("one")
        viewed, moment = live.view()
        assert viewed.ask(COUNTED) == [{"rows": 2}]
        commit_more(run, 1, samples=3)
        live.look()
        assert (live.view()[0].ask(COUNTED), live.came_since(moment)) == ([{"rows": 5}], {"rollouts": 3})
        RunFolder.create(f"{place}/two", settings)
        served.look()
        assert [one.id for one in served.all()] == ["one", "two"]
