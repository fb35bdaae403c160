"""A whole run in a bucket: killed, gone on with, looked at; it holds what the same run in a folder holds."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from storage.runs import RunFolder
from storage.shards import verify_run
from storage.stores.address import open_store
from tests.e2e.commands import Commands
from tests.e2e.harness import FAKE, TINY, Prefect, is_alive, wait_for
from tests.object_servers import READER, READER_SECRET, new_bucket, seaweed_in_environment, store_environment

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real object store, to which the environment of this process leads."""
    with seaweed_in_environment(tmp_path_factory) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def bucket(endpoint: str) -> str:
    """Its address."""
    return f"s3://{new_bucket(endpoint)}"


@pytest.fixture(scope="module")
def here(prefect: Prefect, bucket: str) -> Iterator[Prefect]:
    """Commands with the environment that leads to the store."""
    env = {**prefect.env, **store_environment()}
    commands = Commands(env)
    yield replace(prefect, env=env, commands=commands)
    commands.close()


@pytest.fixture(scope="module")
def run(here: Prefect, bucket: str) -> str:
    """The address of a run that was killed twice, and gone on with to its end."""
    address = f"{bucket}/runs/tiny"
    kill_when_there(here, address, "scores/round=0000/")
    kill_when_there(here, address, "rollouts/round=0001/")
    done = here.mopd("run", TINY, "--run", address, *FAKE)
    assert done.returncode == 0, done.stdout + done.stderr
    return address


def kill_when_there(here: Prefect, address: str, folder: str) -> None:
    """Start the run, or go on with it, and kill it when it has shards there."""

    def has_shards() -> bool:
        return any(name.endswith(".json") for name in open_store(address).list_files(folder))

    kill_when(here, has_shards, "run", TINY, "--run", address, *FAKE)


def kill_when(here: Prefect, condition: Callable[[], bool], *words: str | Path) -> None:
    """Start a command, and kill it with all that works for it."""
    with here.start_mopd(*words) as process:
        wait_for(condition, 180)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(is_alive(child) for child in family))


def test_a_killed_run_ends_as_one_in_a_folder_does(here: Prefect, run: str, finished_run: Path) -> None:
    assert here.mopd("digest", run).stdout == here.mopd("digest", finished_run).stdout
    assert verify_run(RunFolder.open(run)) == []
    assert here.mopd("run", run).stdout.startswith(f"{run}: finished already, nothing to do")


def test_it_is_looked_at_as_others_are(here: Prefect, run: str, finished_run: Path, tmp_path: Path) -> None:
    count = "SELECT round, count(*), count(distinct prompt_id) FROM episodes GROUP BY ALL ORDER BY ALL"
    assert here.mopd("sql", run, count).stdout == here.mopd("sql", finished_run, count).stdout
    assert here.mopd("status", run).stdout.splitlines()[0].startswith(f"{run}: finished; ")
    prompt = here.mopd("sql", run, "SELECT min(prompt_id) FROM episodes WHERE round = 0", "--format", "csv").stdout
    shown = here.mopd("show", run, "--round", "0", "--prompt", prompt.split()[-1], "--sample", "0")
    assert "largest differences" in shown.stdout, shown.stderr
    assert here.mopd("export", run, tmp_path / "policy", "--round", "1").returncode == 0
    exported = {path.name: path.read_bytes() for path in (tmp_path / "policy").glob("*.safetensors")}
    assert exported == {path.name: path.read_bytes() for path in finished_run.glob("policies/round=0001/*.safetensors")}
    assert "this model" in (tmp_path / "policy" / "README.md").read_text()


def test_other_contexts_and_forks_are_made_there(here: Prefect, run: str, bucket: str, tmp_path: Path) -> None:
    done = here.mopd("score", run, "--round", "0", "--name", "other", "--set", "condition.variant=positive")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = here.mopd("sql", run, "SELECT count(*) FROM scores WHERE condition = 'other'", "--format", "csv").stdout
    assert int(rows.split()[-1]) > 0
    fork = f"{bucket}/runs/fork"
    done = here.mopd("fork", run, fork, "--round", "0", "--set", "train.learning_rate=0.01")
    assert done.returncode == 0, done.stdout + done.stderr
    done = here.mopd("run", fork)
    assert done.returncode == 0, done.stdout + done.stderr
    refused = here.mopd("fork", run, tmp_path / "fork", "--round", "0", "--set", "train.learning_rate=0.01")
    assert (refused.returncode, "lies in another store" in refused.stderr) == (2, True)


def test_a_round_is_redone_there_and_taken_back(here: Prefect, run: str, bucket: str) -> None:
    before = here.mopd("digest", run).stdout
    redo = ("--round", "0", "--from", "train", "--set", "train.learning_rate=0.01")
    kill_when(here, lambda: bool(RunFolder.open(run).superseded), "rerun", run, *redo)
    done = here.mopd("run", run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert here.mopd("digest", run).stdout == here.mopd("digest", f"{bucket}/runs/fork").stdout != before
    assert here.mopd("rerun", run, "--undo").returncode == 0
    assert here.mopd("digest", run).stdout == before


ROLLING = [f"guards.{name}" for name in ("gradient_norm=2", "on_breach=rollback", "rollback.most=1")]
GUARDED = [word for setting in ("evaluate.when=never", *ROLLING) for word in ("--set", setting)]
"""The gradients of the second round are three times those of the first, whatever the learning rate."""


def test_a_guard_sends_a_run_back_there_also_where_it_is_killed(here: Prefect, bucket: str, tmp_path: Path) -> None:
    """Killed where the guard has answered, it goes back at the next start, is ended by the next breach, goes on."""
    address, beside = f"{bucket}/runs/guarded", tmp_path / "run"
    command = ("run", TINY, *FAKE, *GUARDED, "--run")
    kill_when(here, lambda: bool(open_store(address).list_files("guards/round=0002/")), *command, address)
    for run in (address, beside):
        stopped = here.mopd(*command, run)
        assert stopped.returncode == 3, stopped.stdout + stopped.stderr
        assert f"{run}: stopped at policy 2 by gradient_norm after 1 rollbacks: " in stopped.stderr
        done = here.mopd("run", run, "--set", "guards.on_breach=warn")
        assert done.returncode == 0, done.stdout + done.stderr
    (redone,) = RunFolder.open(address).document["redone"]
    assert redone["why"].startswith("rolled back: policy 2: gradient_norm: ")
    assert redone["why"] in here.mopd("status", address).stdout
    assert here.mopd("digest", address).stdout == here.mopd("digest", beside).stdout
    assert verify_run(RunFolder.open(address)) == []
    assert here.mopd("rerun", address, "--undo").returncode == 0
    assert json.loads(here.mopd("status", address, "--json").stdout)["redone"] == []


BAD = {
    "no bucket": ("s3://no-such-bucket/run", {}, "has no bucket no-such-bucket: make it, or correct the address"),
    "no prefix": ("s3://no-such-bucket", {}, "is no place for a run; name a bucket and a prefix"),
    "wrong secret": ("{bucket}/new", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "refuses access (403 Forbidden)"),
    "no credentials": ("{bucket}/new", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials: set"),
    "may not write": (
        "{bucket}/new",
        {"AWS_ACCESS_KEY_ID": READER, "AWS_SECRET_ACCESS_KEY": READER_SECRET},
        "refuses access (AccessDenied)",
    ),
    "something else": ("{bucket}/other", {}, "is not empty and is not a run (no run.json); choose another folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_can_not_be_is_said_in_one_line_and_nothing_is_written(here: Prefect, bucket: str, case: str) -> None:
    address, environment, message = BAD[case]
    open_store(f"{bucket}/other").replace("notes.txt", b"mine")
    before = open_store(f"{bucket}/new").list_files(""), open_store(f"{bucket}/other").list_files("")
    env = {**here.env, **environment}
    env = {name: value for name, value in env.items() if value or name not in environment}
    refused = replace(here, env=env).own_mopd("run", TINY, "--run", address.format(bucket=bucket), *FAKE)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert message in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1, refused.stderr
    assert (open_store(f"{bucket}/new").list_files(""), open_store(f"{bucket}/other").list_files("")) == before
