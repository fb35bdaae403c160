"""What is printed to be copied to a shell is what the shell is to take, also for a folder with a blank in its name."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from flows.cli.actions.replay import _end_text, fork_command
from flows.folder.replay.fork import fork_run
from flows.folder.replay.other_contexts import open_contexts
from flows.measure.compare.command import plan_comparison
from flows.measure.diversity.command import analyze
from flows.measure.eval.request import find_model
from flows.runtime.shell import shell_command
from mopd.errors import InputError
from storage.runs import RunFolder
from tests.flows.folder.replay.test_fork_plan import INPUTS
from tests.flows.plan.test_plan import commit, finish, run_of
from tests.flows.rounds_by_jobs import TINY

OVERRIDES = ["condition.variant={kind: random_peer, match: tokens}"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A finished run of two rounds, in a folder with a blank."""
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda *_: INPUTS)
    folder, plan = run_of(tmp_path / "my runs" / "first")
    finish(folder, plan)
    return folder


def printed(text: str, start: str) -> list[str]:
    """The words that a shell takes of the command behind `start`."""
    line = next(line for line in text.splitlines() if start in line)
    return shlex.split(line.partition(start)[2])


def test_options() -> None:
    given: dict[str, Any] = {"round": 0, "variants": ["none", "{kind: x}"], "out": None, "orders": (), "set": ["a=b c"]}
    words = ["mopd", "analyze", "signal", "a b", "--round", "0", "--variants", "none,{kind: x}", "--set", "a=b c"]
    assert shlex.split(shell_command("analyze signal", Path("a b"), **given)) == words
    assert shell_command("run", "runs/demo") == "mopd run runs/demo"
    assert (
        shell_command("compare", "x", vary=["a=1", "b=2"], seeds=1) == "mopd compare x --vary a=1 --vary b=2 --seeds 1"
    )


def test_a_fork_says_how_to_start_it(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    new = run.path.parent / "second run"
    fork_command(run.path, 1, ["seed=2"], new)
    assert printed(capsys.readouterr().out, "to start it: ") == ["mopd", "run", str(new)]


def test_what_is_missing_is_made_by_a_command(tmp_path: Path, run: RunFolder) -> None:
    empty, _ = run_of(tmp_path / "an empty run")
    command = shell_command("run", empty.path)
    assert shlex.split(command) == ["mopd", "run", str(empty.path)]
    with pytest.raises(InputError, match=f"{command} first, or fork at"):
        fork_run(empty.path, 1, ["seed=2"], tmp_path / "new")
    with pytest.raises(InputError, match=f"{command} first"):
        open_contexts(empty, 0, "other", OVERRIDES, scores=False)
    with pytest.raises(InputError, match=f"{command} makes them"):
        analyze([empty.path], None)
    with pytest.raises(InputError, match=f"{command} first, or name one"):
        find_model(f"{empty.path}@1")


def test_other_contexts_say_how_to_look_at_them(run: RunFolder) -> None:
    other = open_contexts(run, 0, "best", OVERRIDES, scores=False)
    for shard in other.made_by(scores=False):
        commit(run, shard)
    text = _end_text(run, other, scores=False)
    query = "FROM contexts WHERE condition = 'best'"
    assert printed(text, "to look at them: ") == ["mopd", "sql", str(run.path), query]
    fork = ["mopd", "fork", str(run.path), "--round", "0", "--set", OVERRIDES[0], "NEW"]
    assert printed(text, "to train on them: ") == fork


def test_a_page_says_how_it_was_made(tmp_path: Path) -> None:
    config = tmp_path / "my config.yaml"
    config.write_text(TINY.read_text())
    vary = ["condition.variant={kind: summary, num_summaries: 2},none"]
    comparison = plan_comparison(config, vary=vary, num_seeds=1, overrides=["rounds=1"], out=None, workers=1)
    words = ["mopd", "compare", str(config), "--vary", *vary, "--seeds", "1", "--set", "rounds=1"]
    assert shlex.split(comparison.command) == words
