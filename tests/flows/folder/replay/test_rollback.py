"""A run that a guard sends back or ends: where it stands, where it goes on from, how often, what is kept for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.folder.guards import raise_if_stopped, roll_back, standing_version
from flows.folder.keep.clean import plan_removal, remove
from flows.folder.open import open_run
from flows.folder.policies import keeps_trainer_state, remove_old_states
from flows.folder.replay.rerun import plan_undo
from flows.folder.replay.rollbacks import rollbacks
from flows.plan.guards import SAMPLED, TRAINED, needed_guards
from flows.plan.run import RunPlan
from flows.report.status.guards import guards_text
from flows.report.status.state import run_status
from flows.runtime.exit_code import RunStopped
from mopd.settings import Settings, override_tree, parse_settings
from storage.digest import digest_tables
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.shards import manifests
from tests.flows.folder.replay.test_fork_plan import INPUTS
from tests.flows.plan.test_plan import commit, run_of

ROLLING = {"rounds": 4, "guards.on_breach": "rollback", "train.keep_trainer_states": 1}


@pytest.fixture(autouse=True)
def _inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda *_: INPUTS)


def until(folder: RunFolder, policy: int, part: int, **breach: Any) -> RunFolder:
    """Whatever comes before a guard of that policy is made, policy 1 being the best; that guard is answered so."""
    plan = RunPlan.of(folder)
    for version in range(policy + 1):
        best = {"breached": False, "action": None, "reference_round": min(version, 1)}
        for shard in needed_guards(plan, folder, version):
            if (shard.round, shard.shard) == (policy, part):
                commit(folder, shard, **(breach or best))
                return folder
            if shard.shard == SAMPLED:
                make(folder, plan, version, ("prompts", "rollouts", "verdicts", "contexts"))
            commit(folder, shard, **best)
        make(folder, plan, version, ("scores", "signals", "policy", "updates"))
        remove_old_states(folder, version, plan.settings)
    return folder


def make(folder: RunFolder, plan: RunPlan, round: int, parts: tuple[str, ...]) -> None:
    for name in parts:
        shards = getattr(plan.rounds[round], name)
        control = plan.rounds[round].control
        for shard in shards if isinstance(shards, list) else [shards]:
            commit(folder, shard)
        for shard in getattr(control, name, []):
            commit(folder, shard)


def breach(action: str = "rollback", reference_round: int | None = 1) -> dict[str, Any]:
    return {"breached": True, "action": action, "reference_round": reference_round, "why": "far too little"}


def changed(folder: RunFolder, *overrides: str) -> Settings:
    return parse_settings(override_tree(folder.document["settings"], list(overrides)))


def said(folder: RunFolder) -> tuple[RunFolder | None, list[str]]:
    lines: list[str] = []
    return roll_back(folder, lines.append), lines


def test_a_run_goes_on_from_the_best_policy_under_half_its_rate(tmp_path: Path) -> None:
    folder = until(run_of(tmp_path / "run", ROLLING)[0], 3, SAMPLED, **breach())
    assert standing_version(folder, RunPlan.of(folder)) == 3
    assert run_status(folder)["guards"]["stopped"] is None
    before = digest_tables(folder)
    after, lines = said(folder)
    assert after is not None and after == RunFolder.open(folder.path)
    assert lines == ["policy 3   guard      back to policy 1, and on with train.learning_rate=5e-06"]
    assert after.document["settings"]["train"]["learning_rate"] == 5e-6
    assert [(line["round"], line["from"], line["why"]) for line in rollbacks(after)] == [
        (1, "train", "rolled back: policy 3: entropy: far too little")
    ]
    assert [one.round for one in manifests(after, "policies")] == [0]
    assert [one.round for one in manifests(after, "scores")] == [0, 1]  # what was sampled and scored of policy 1 stays
    assert [(one.round, one.shard) for one in manifests(after, "guards")] == [
        *[(0, TRAINED), (0, SAMPLED)],
        *[(1, TRAINED), (1, SAMPLED)],
    ]
    assert said(after) == (None, [])
    assert digest_tables(plan_undo(after).save()) == before


def test_a_rollback_that_was_killed_is_done_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = until(run_of(tmp_path / "run", ROLLING)[0], 3, SAMPLED, **breach())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("flows.folder.replay.rerun.Turn.save", killed)
        said(folder)
    assert RunFolder.open(folder.path) == folder
    assert said(RunFolder.open(folder.path))[0] is not None


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_a_rollback_may_want_is_kept(tmp_path: Path) -> None:
    folder = until(run_of(tmp_path / "run", ROLLING)[0], 4, TRAINED)
    assert [keeps_trainer_state(folder, version) for version in range(1, 5)] == [True, False, True, True]
    plain = until(run_of(tmp_path / "plain", {**ROLLING, "guards.on_breach": "stop"})[0], 4, TRAINED)
    assert [keeps_trainer_state(plain, version) for version in range(1, 5)] == [False, False, False, True]


def test_gc_keeps_the_policy_that_a_rollback_may_want(tmp_path: Path) -> None:
    """The best one by what it sampled: none is evaluated."""
    folder = until(run_of(tmp_path / "run", {**ROLLING, "train.keep_trainer_states": 9})[0], 3, SAMPLED, **breach())
    assert [removal.what for removal in plan_removal(folder, keep_policies=1)] == []
    folder = until(run_of(tmp_path / "later", {**ROLLING, "train.keep_trainer_states": 9})[0], 4, TRAINED, **breach())
    removals = plan_removal(folder, keep_policies=1)
    assert [removal.what for removal in removals if removal.policies] == ["policy 2"]
    remove(folder, removals)
    assert said(folder)[0] is not None


def test_after_so_many_rollbacks_the_next_breach_ends_the_run(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run", {**ROLLING, "guards.rollback.most": 1})[0]
    after, _ = said(until(folder, 2, SAMPLED, **breach()))
    assert after is not None
    stopped = until_again(after, 2)
    with pytest.raises(RunStopped, match=r"stopped at policy 2 by entropy after 1 rollbacks: far too little; mopd"):
        said(stopped)
    assert RunFolder.open(stopped.path) == after


def until_again(folder: RunFolder, policy: int) -> RunFolder:
    """The run made again up to that policy, which breaches again."""
    plan = RunPlan.of(folder)
    make(folder, plan, policy - 1, ("policy", "updates"))
    commit(folder, plan.guards[policy].trained, **breach())
    return folder


def test_a_breach_with_no_policy_to_go_back_to_ends_the_run(tmp_path: Path) -> None:
    folder = until(run_of(tmp_path / "run", ROLLING)[0], 1, TRAINED, **breach(reference_round=None))
    with pytest.raises(RunStopped, match="stopped at policy 1 by entropy after 0 rollbacks"):
        said(folder)


def test_the_command_that_began_a_run_continues_it_after_a_rollback(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", ROLLING)
    after, _ = said(until(folder, 3, SAMPLED, **breach()))
    again = open_run(plan.settings, folder.path, config="")
    assert again == after
    other = changed(folder, "train.learning_rate=0.1")
    with pytest.raises(StorageError, match=r"train.learning_rate is 5e-06 there, 0.1 here"):
        open_run(other, folder.path, config="")


def test_a_stop_holds_where_the_run_stands_and_not_where_it_has_gone_on(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", {"rounds": 4, "guards.on_breach": "stop"})
    until(folder, 2, SAMPLED, **breach("stop"))
    with pytest.raises(RunStopped) as caught:
        raise_if_stopped(folder, plan, 2)
    assert str(caught.value) == (
        f"{folder.address}: stopped at policy 2 by entropy: far too little; mopd run {folder.address} --set "
        f"guards.on_breach_of.entropy=warn goes on all the same, mopd export {folder.address} DIR --round 0 has the "
        "best policy"
    )
    status = run_status(folder)["guards"]
    shown = {"policy": 2, "guard": "entropy", "action": "stop", "why": "far too little"}
    assert status == {"stopped": shown, "breaches": [shown]}
    assert guards_text(status) == "policy 2: entropy (stop): far too little"
    make(folder, plan, 2, ("scores", "signals", "policy", "updates"))
    raise_if_stopped(folder, plan, 2)
    assert run_status(folder)["guards"]["stopped"] is None


def test_other_bounds_are_asked_anew(tmp_path: Path) -> None:
    folder = until(run_of(tmp_path / "run", {"rounds": 4, "guards.on_breach": "stop"})[0], 2, SAMPLED, **breach("stop"))
    again = open_run(changed(folder, "guards.on_breach=warn"), folder.path, config="")
    assert standing_version(again, RunPlan.of(again)) == 2
    assert run_status(again)["guards"]["stopped"] is None
    raise_if_stopped(again, RunPlan.of(again), 2)
    assert {shard.table for shard in needed_guards(RunPlan.of(again), again, 2) if shard.find(again) is None} == {
        "guards"
    }
