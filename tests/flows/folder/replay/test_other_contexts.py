"""Other contexts have the run's rollouts and a fork's keys; what can't be made is refused with nothing written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from flows.cli import main
from flows.folder.open import run_lock
from flows.folder.replay.fork import fork_run
from flows.folder.replay.other_contexts import OtherContexts, open_contexts
from flows.folder.replay.rerun import redo
from flows.plan.conditions import named_conditions
from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from mopd.errors import InputError
from storage.errors import StorageError
from storage.runs import RunFolder
from tests.flows.folder.replay.test_fork_plan import INPUTS
from tests.flows.plan.test_plan import commit, finish, run_of

POSITIVE = ["condition.variant=positive"]


@pytest.fixture(autouse=True)
def _inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda *_: INPUTS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two rounds that keeps the trainer state of the last one."""
    folder, plan = run_of(tmp_path_factory.mktemp("made") / "run")
    finish(folder, plan)
    shutil.rmtree(folder.path / folder.policy_place(0) / "trainer")
    return folder.path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> RunFolder:
    """A copy of it."""
    return RunFolder.open(shutil.copytree(made, tmp_path / "run"))


def missing(run: RunFolder, other: OtherContexts) -> list[Shard]:
    """What of contexts and scores is still to be made."""
    return RunPlan.of(run).missing_of(run, other.made_by(scores=True))


def test_other_contexts_have_the_keys_of_a_fork(run: RunFolder, tmp_path: Path) -> None:
    later = open_contexts(run, 1, "best", POSITIVE, scores=False)
    assert [one.key for one in later.part.verdicts] == [one.key for one in RunPlan.of(run).rounds[1].verdicts]
    assert {one.name for one in later.made_by(scores=True)} == {"best"}
    assert later.shards.scores[0].input("contexts") == later.shards.contexts[0]
    other = open_contexts(run, 0, "best", POSITIVE, scores=True)
    for shard in other.made_by(scores=True):
        commit(run, shard)
    assert missing(run, other) == []
    fork = fork_run(run.path, 0, POSITIVE, tmp_path / "fork")
    ours = RunPlan.of(fork).rounds[0]
    assert [one.find(fork) is not None for one in (ours.contexts[0], ours.scores[0], ours.policy)] == [
        True,
        True,
        False,
    ]


def test_scores_of_the_runs_own_contexts_need_no_others(run: RunFolder) -> None:
    other = open_contexts(run, 0, "wide", ["score.top_k=7"], scores=True)
    assert [(one.table, one.name) for one in other.made_by(scores=True)] == [("contexts", ""), ("scores", "wide")]


@pytest.mark.parametrize(
    ("round", "name", "overrides", "scores", "message"),
    [
        (2, "best", POSITIVE, False, "--round 2: .* has rounds 0 to 1"),
        (-1, "best", POSITIVE, False, "--round -1: "),
        (0, "A/b", POSITIVE, False, "--name 'A/b': must be up to 40 small letters"),
        (0, "..", POSITIVE, False, r"--name '\.\.': must be"),
        (0, "", POSITIVE, False, "--name '': must be"),
        (0, "best", [], False, "these are the settings of the run's own contexts"),
        (0, "best", ["train.learning_rate=0.5"], True, "these are the settings of the run's own scores"),
        (0, "best", ["condition.variant=perfect"], False, "condition.variant"),
        (0, "best", ["generate.temperature=0.5"], False, "would give other rollouts or verdicts.*fork the run instead"),
        (0, "best", ["verify.success_threshold=0.5"], True, "would give other rollouts or verdicts"),
        (1, "best", POSITIVE, True, r"--round 1: the teacher of this round was removed \(train.keep_trainer_states\)"),
    ],
    ids=str,
)
def test_what_can_not_be_made_is_one_line(
    run: RunFolder, round: int, name: str, overrides: list[str], scores: bool, message: str
) -> None:
    with pytest.raises((InputError, StorageError), match=message) as caught:
        open_contexts(run, round, name, overrides, scores=scores)
    assert "\n" not in str(caught.value)


def test_scores_that_are_there_need_no_teacher(run: RunFolder) -> None:
    frozen = open_contexts(run, 1, "best", [*POSITIVE, "train.teacher=frozen"], scores=True)
    ema = open_contexts(run, 1, "ema", POSITIVE, scores=False)
    for shard in [*frozen.made_by(scores=True), *ema.made_by(scores=True)]:
        commit(run, shard)
    assert missing(run, open_contexts(run, 1, "ema", POSITIVE, scores=True)) == []


def test_a_teacher_without_weights_scores_any_round(run: RunFolder) -> None:
    assert open_contexts(run, 1, "frozen", ["train.teacher=frozen"], scores=True).made_by(scores=True)


def test_who_asks_for_the_same_finds_it_by_any_name(run: RunFolder) -> None:
    for shard in open_contexts(run, 0, "best", POSITIVE, scores=True).made_by(scores=True):
        commit(run, shard)
    assert missing(run, open_contexts(run, 0, "again", POSITIVE, scores=True)) == []


def test_a_name_belongs_to_its_settings(run: RunFolder) -> None:
    for shard in open_contexts(run, 0, "best", POSITIVE, scores=False).made_by(scores=False):
        commit(run, shard)
    assert named_conditions(run) == {"best": POSITIVE}
    assert open_contexts(run, 1, "best", [], scores=False).overrides == POSITIVE
    placed = open_contexts(run, 1, "best", [*POSITIVE, "place.devices=2", "place.silence_seconds=60"], scores=False)
    assert placed.overrides == POSITIVE  # where they are made is no part of what the name stands for
    with pytest.raises(InputError, match=r"--name best: its contexts were made with .*positive; take"):
        open_contexts(run, 1, "best", ["condition.variant=none"], scores=False)
    assert open_contexts(run, 0, "best", ["score.top_k=7"], scores=True).overrides == [*POSITIVE, "score.top_k=7"]


def test_the_same_settings_in_other_words_are_the_names_own(run: RunFolder) -> None:
    for shard in open_contexts(run, 0, "best", POSITIVE, scores=False).made_by(scores=False):
        commit(run, shard)
    in_other_words = ["condition.variant={kind: positive}", "condition.rendering=sections"]
    assert open_contexts(run, 0, "best", in_other_words, scores=False).overrides == POSITIVE


def test_a_name_that_stands_for_nothing_is_told_those_that_do(run: RunFolder) -> None:
    for shard in open_contexts(run, 0, "best", POSITIVE, scores=False).made_by(scores=False):
        commit(run, shard)
    with pytest.raises(InputError, match=r"run's own scores; give a name that stands for others \(best\), or --set"):
        open_contexts(run, 0, "bset", [], scores=True)


def test_beside_a_run_that_goes_on_nothing_is_started(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.cli.actions.replay.launch", lambda *_, **__: pytest.fail("was started"))
    with run_lock(run):
        assert main(["condition", run.address, "--round", "0", "--variant", "positive"]) == 2
    assert capsys.readouterr().err.startswith(f"mopd: {run.address}: is being run by process {os.getpid()} on ")


def test_a_round_without_rollouts_has_no_other_contexts(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run")
    for shard in plan.rounds[0].prompts:
        commit(folder, shard)
    with pytest.raises(InputError, match=f"rollouts are not all there and judged yet; mopd run {folder.path} first"):
        open_contexts(folder, 0, "best", POSITIVE, scores=False)


def test_what_a_rerun_superseded_is_not_made_under_a_name(run: RunFolder) -> None:
    before = RunPlan.of(run).settings.condition.variant.kind
    redone = redo(run, 0, "condition", POSITIVE)
    with pytest.raises(InputError, match=r"--round 0: its contexts .* are superseded; mopd rerun .* --undo brings"):
        open_contexts(redone, 0, "before", [f"condition.variant={before}"], scores=False)
    open_contexts(
        redone, 0, "other", ["condition.variant=contrastive", "condition.max_context_tokens=999"], scores=False
    )
