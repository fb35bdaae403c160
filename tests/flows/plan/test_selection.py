"""Rounds with selected groups: keys, what is missing, what is read, and what is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.folder.inputs import check_inputs
from flows.plan.guards import needed_guards
from flows.plan.run import RunPlan, Shard
from flows.plan.selection import chosen_groups, round_selection, selection_line
from flows.plan.stage import STAGES, key_tree
from flows.report.status.state import run_status
from flows.report.status.text import rounds_text
from mopd.errors import InputError
from mopd.settings import Settings, load_settings
from storage.runs import RunFolder
from storage.shards import Manifest, commit_folder, commit_shard
from tests.storage.storage_samples import make_rows, write_weights

TINY = Path(__file__).parents[3] / "examples" / "tiny.yaml"
TABLES = ("prompts", "rollouts", "verdicts", "contexts", "scores", "signals")
DIGESTS: dict[str, Any] = {"model_digest": "model", "tasks_digest": "tasks", "num_heldout": 4, "teacher_digest": None}


def plan_of(groups: Any = "mixed", rounds: int = 1) -> RunPlan:
    """Rounds of four prompts, two a shard; up to eight with selected groups."""
    return RunPlan(load_settings(TINY, [f"generate.groups={groups}", f"rounds={rounds}"]), **DIGESTS)


def folder_of(path: Path, plan: RunPlan) -> RunFolder:
    return RunFolder.create(path, {"settings": plan.settings.model_dump(mode="json"), **DIGESTS})


def commit(folder: RunFolder, shard: Shard, **info: Any) -> Manifest:
    """Made-up content; of verdicts the number of useful groups matters alone."""
    place: dict[str, Any] = {"round": shard.round, "key": shard.key, "parents": shard.parents(folder)}
    if shard.table == "policies":
        return commit_folder(folder, **place, info={"updates": []}, write=write_weights)
    rows = make_rows(shard.table, folder.run_id, round=shard.round)
    return commit_shard(folder, shard.table, shard=shard.shard, **place, rows=rows, info=info)


def finish(folder: RunFolder, plan: RunPlan, useful: list[int], round: int = 0) -> None:
    """A round whose shards have so many useful groups, made as the stages make it."""
    part = plan.rounds[round]
    for place, found in enumerate(useful):
        for table in TABLES:
            commit(folder, getattr(part, table)[place], **({"mixed": found} if table == "verdicts" else {}))
    for shard in part.control.all() if part.control else ():
        commit(folder, shard)
    commit(folder, part.needed(folder).policy)
    commit(folder, part.updates)
    for shard in (*needed_guards(plan, folder, round), plan.guards[-1].trained):
        commit(folder, shard)


def names(shards: list[Shard]) -> list[tuple[str, int]]:
    return [(shard.table, shard.shard) for shard in shards]


RECORDED = {0: "32838c549dbacc11", 1: "d496164c415947e1", 2: "86d37e845476f490", 3: "918f614ffe05d472"}
"""Keys of the first prompts shards of examples/tiny.yaml, two of them held out; new with each version of the stage."""


def test_with_all_groups_no_key_knows_that_they_can_be_selected() -> None:
    plan = plan_of("all")
    first = plan.rounds[0]
    assert {one.shard: one.key[:16] for one in [*first.prompts, *plan.evaluations[0].prompts]} == RECORDED
    assert [[one.key for one in shard.inputs] for shard in first.contexts] == [[one.key] for one in first.verdicts]
    tree = key_tree(plan.settings)
    assert not [table for table, stage in STAGES.items() if "'groups'" in str(stage.settings(plan.settings, tree))]


def test_what_all_groups_have_too_keeps_its_key() -> None:
    """So that a comparison samples the first round's prompts, and evaluates the first policy, once."""
    all_groups, selected = plan_of("all"), plan_of("mixed")
    for table in ("prompts", "rollouts", "verdicts"):
        shards = getattr(selected.rounds[0], table)
        assert len(shards) == 4
        assert [shard.key for shard in shards[:2]] == [shard.key for shard in getattr(all_groups.rounds[0], table)]
    assert selected.evaluations[0] == all_groups.evaluations[0]
    assert len({shard.key for shard in selected.shards()}) == len(selected.shards())
    assert len({(one.table, one.name, one.round, one.shard) for one in selected.shards()}) == len(selected.shards())


@pytest.mark.parametrize(
    ("groups", "changed"),
    [
        ("all", {"contexts", "scores", "signals", "policies", "updates"}),
        ("any_success", {"contexts", "scores", "signals", "policies", "updates"}),
        ("{kind: mixed, max_oversample: 3.0}", {"policies", "updates"}),
    ],
)
def test_another_choice_of_groups_changes_what_is_made_from_them(groups: str, changed: set[str]) -> None:
    base, other = (
        {(shard.table, shard.shard, shard.name): shard.key for shard in plan_of(kind).rounds[0].all()}
        for kind in ("mixed", groups)
    )
    assert {name for name in base if name in other and base[name] != other[name]} == {
        name for name in base if name in other and name[0] in changed
    }


@pytest.mark.parametrize(
    ("useful", "missing"),
    [
        ([2, 2], []),
        ([1, 2, 1], []),
        ([0, 1, 1, 1], []),
        ([0, 0, 0, 0], []),
        ([2], [("prompts", 1), ("rollouts", 1), ("verdicts", 1), ("contexts", 1), ("scores", 1), ("signals", 1)]),
        ([1, 2], [("prompts", 4), ("rollouts", 2), ("verdicts", 2), ("contexts", 2), ("scores", 2), ("signals", 2)]),
    ],
)
def test_candidates_that_are_not_needed_are_not_missing(
    tmp_path: Path, useful: list[int], missing: list[tuple[str, int]]
) -> None:
    plan = RunPlan(load_settings(TINY, ["generate.groups=mixed", "rounds=1", "evaluate.when=never"]), **DIGESTS)
    folder = folder_of(tmp_path / "run", plan)
    finish(folder, plan, useful)
    assert names(plan.missing(folder)) == missing
    again = RunPlan.of(folder)
    assert names(again.missing(folder)) == missing


def test_a_policy_names_all_candidates_in_its_key_and_what_was_read_as_its_parents(tmp_path: Path) -> None:
    plan = plan_of()
    folder = folder_of(tmp_path / "run", plan)
    part = plan.rounds[0]
    commit(folder, part.scores[3])  # left from when the verdicts were others
    finish(folder, plan, [1, 2, 1])
    policy = part.needed(folder).policy
    assert policy.key == part.policy.key
    assert [one.shard for one in policy.inputs] == [0, 1, 2]
    manifest = part.policy.find(folder)
    assert manifest is not None
    assert [parent.split(":")[0] for parent in manifest.parents] == [shard.key for shard in part.scores[:3]]


def test_other_verdicts_before_a_shard_make_its_contexts_anew(tmp_path: Path) -> None:
    plan = plan_of()
    folder = folder_of(tmp_path / "run", plan)
    finish(folder, plan, [2, 2])
    first = plan.rounds[0]
    lost = first.verdicts[0].committed(folder)
    assert lost is not None
    (folder.path / lost.file).unlink()
    rows = [{**row, "reward": 0.25} for row in make_rows("verdicts", folder.run_id)]
    key, parents = first.verdicts[0].key, first.verdicts[0].parents(folder)
    commit_shard(folder, "verdicts", round=0, shard=0, key=key, rows=rows, parents=parents, info={"mixed": 1})
    assert [shard.find(folder) is None for shard in first.contexts] == [True, True, True, True]
    assert len(first.needed(folder).prompts) == 3


@pytest.mark.parametrize(
    ("before", "chosen"), [([], {"b", "c"}), ([2], {"b", "c"}), ([2, 1], {"b"}), ([2, 2], set()), ([3, 4], set())]
)
def test_the_first_useful_groups_in_the_order_of_the_shards_are_chosen(
    tmp_path: Path, before: list[int], chosen: set[str]
) -> None:
    plan = plan_of()
    folder = folder_of(tmp_path / "run", plan)
    for shard, found in zip(plan.rounds[0].verdicts, before, strict=False):
        commit(folder, shard, mixed=found)
    outcomes = {"a": (True, True), "b": (True, False), "c": (False, True)}
    rows = [{"prompt_id": name, "success": outcome} for name, group in outcomes.items() for outcome in group]
    shard = plan.rounds[0].contexts[len(before)]
    assert chosen_groups(folder, shard, rows, plan.settings.generate) == chosen


@pytest.mark.parametrize(
    ("useful", "said", "short"),
    [
        ([2, 2], "4 of 4 groups with both outcomes, 4 asked", False),
        ([2, 1, 2], "4 of 4 groups with both outcomes, 6 asked", False),
        (
            [0, 1, 1, 1],
            "3 of 4 groups with both outcomes, 8 asked: generate.groups.max_oversample allows no more, "
            "the round goes on with these",
            True,
        ),
        (
            [0, 0, 0, 0],
            "0 of 4 groups with both outcomes, 8 asked: generate.groups.max_oversample allows no more, "
            "the round learns nothing",
            True,
        ),
        ([1], "1 of 4 groups with both outcomes, 2 asked", False),
    ],
)
def test_what_was_found_is_said(tmp_path: Path, useful: list[int], said: str, short: bool) -> None:
    plan = plan_of()
    folder = folder_of(tmp_path / "run", plan)
    for shard, found in zip(plan.rounds[0].verdicts, useful, strict=False):
        commit(folder, shard, mixed=found)
    status = run_status(folder)
    selection = status["rounds"][0]["selection"]
    assert selection == round_selection(plan.rounds[0], folder)
    assert (selection_line(selection), selection["short"]) == (said, short)
    assert (f"round 0: {said}" in rounds_text(status)) == short
    assert selection["surplus"] == max(sum(useful) - 4, 0)


def test_a_round_of_all_groups_selects_nothing(tmp_path: Path) -> None:
    plan = plan_of("all")
    folder = folder_of(tmp_path / "run", plan)
    assert round_selection(plan.rounds[0], folder) is None
    assert plan.rounds[0].needed(folder) is plan.rounds[0]
    assert "trained groups" not in rounds_text(run_status(folder))


def test_too_few_tasks_are_said_before_the_run_begins() -> None:
    settings: Settings = load_settings(TINY, ["generate.groups={kind: mixed, max_oversample: 5}"])
    with pytest.raises(InputError, match=r"max_oversample: up to 20 prompts a round .* there are 16; lower"):
        check_inputs(None, print, settings, "")
