"""Keys name content: they change with what decides it, and with nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from flows.plan import RunPlan, Shard
from mopd.settings import Settings

TREE: dict[str, Any] = {
    "rounds": 3,
    "prompts_per_shard": 4,
    "model": {"path": "tiny:llama"},
    "generate": {"engine": "fake", "num_prompts": 10, "num_samples": 4, "max_tokens": 16, "max_prompt_tokens": 256},
    "evaluate": {"when": "every_round"},
}
TABLES = ("prompts", "rollouts", "verdicts", "contexts", "scores", "policies", "updates", "evaluations")


def plan_of(changes: dict[str, Any] | None = None, **digests: Any) -> RunPlan:
    tree: dict[str, Any] = {name: dict(part) if isinstance(part, dict) else part for name, part in TREE.items()}
    for dotted, value in (changes or {}).items():
        node, names = tree, dotted.split(".")
        for name in names[:-1]:
            node = node.setdefault(name, {})
        node[names[-1]] = value
    given = {"model_digest": "model", "tasks_digest": "tasks", "num_heldout": 6, **digests}
    return RunPlan(Settings.model_validate(tree), **given)


def keys(plan: RunPlan, round: int) -> dict[str, list[str]]:
    """Keys of a round and of the evaluation of its policy, by table."""
    found: dict[str, list[str]] = {table: [] for table in TABLES}
    for shard in [*plan.rounds[round].all(), *plan.evaluations[round].all()]:
        found[shard.table].append(shard.key)
    return found


def changed(plan: RunPlan, round: int = 1) -> set[str]:
    """Tables of a round whose keys differ from the base plan's."""
    base, other = keys(plan_of(), round), keys(plan, round)
    return {table for table in TABLES if base[table] != other[table]}


LATER = set(TABLES) - {"prompts"}
"""What depends on the policy of the round before."""


@pytest.mark.parametrize(
    ("change", "tables"),
    [
        ({"seed": 1}, set(TABLES)),
        ({"tasks": {"kind": "numbers", "num_train": 99}}, set(TABLES)),
        ({"generate.num_prompts": 11}, set(TABLES)),
        ({"prompts_per_shard": 5}, set(TABLES)),
        ({"generate.temperature": 0.5}, LATER),
        ({"generate.num_samples": 5}, LATER),
        ({"model.precision": "float32"}, LATER),
        ({"verify.success_threshold": 0.5}, LATER),
        ({"condition.variant": "positive"}, LATER),
        ({"score.top_k": 5}, LATER),
        ({"train.learning_rate": 0.5}, LATER),
        ({"train.teacher": {"kind": "ema", "rate": 0.5}}, LATER),
        ({"evaluate.num_samples": 3}, {"evaluations"}),
        ({"rounds": 9}, set()),
        ({"shard_retries": 9}, set()),
        ({"generate.max_num_seqs": 3}, set()),
        ({"score.max_tokens_per_pass": 99}, set()),
        ({"score.chunk_positions": 99}, set()),
        ({"train.max_tokens_per_pass": 99}, set()),
        ({"train.keep_trainer_states": 9}, set()),
        ({"evaluate.bootstrap_samples": 9}, set()),
    ],
    ids=str,
)
def test_a_setting_changes_the_keys_of_what_it_decides(change: dict[str, Any], tables: set[str]) -> None:
    assert changed(plan_of(change)) == tables


@pytest.mark.parametrize(
    ("change", "tables"),
    [
        ({"verify.success_threshold": 0.5}, LATER - {"rollouts"}),
        ({"condition.variant": "positive"}, {"contexts", "scores", "policies", "updates"}),
        ({"score.top_k": 5}, {"scores", "policies", "updates"}),
        ({"train.learning_rate": 0.5}, {"policies", "updates"}),
    ],
    ids=str,
)
def test_in_the_first_round_what_comes_before_a_stage_keeps_its_keys(change: dict[str, Any], tables: set[str]) -> None:
    assert changed(plan_of(change), round=0) == tables


def test_another_model_changes_all_but_the_prompts() -> None:
    assert changed(plan_of(model_digest="other")) == LATER


def test_other_task_files_change_all() -> None:
    assert changed(plan_of(tasks_digest="other")) == set(TABLES)


def test_all_keys_of_a_run_differ() -> None:
    plan = plan_of()
    shards = [shard for part in [*plan.rounds, *plan.evaluations.values()] for shard in part.all()]  # type: ignore[attr-defined]
    assert len({shard.key for shard in shards}) == len(shards)


def test_shards_hold_whole_groups_and_the_last_one_the_rest() -> None:
    plan = plan_of()
    assert [shard.shard for shard in plan.rounds[0].prompts] == [0, 1, 2]
    assert [shard.shard for shard in plan.evaluations[0].prompts] == [3, 4]
    assert [shard.shard for shard in plan.evaluations[0].evaluations] == [0, 1]


def test_inputs_are_found_along_the_chain() -> None:
    score = plan_of().rounds[1].scores[2]
    for table in ("contexts", "verdicts", "rollouts", "prompts"):
        assert (score.input(table).table, score.input(table).round, score.input(table).shard) == (table, 1, 2)
    assert score.input("policies").round == 0
    with pytest.raises(KeyError):
        score.input("evaluations")


def test_a_long_run_does_not_nest_its_history() -> None:
    def depth(shard: Shard) -> int:
        return 1 + max((depth(one) for one in shard.inputs), default=0)

    assert depth(plan_of({"rounds": 40}).rounds[39].updates) == depth(plan_of().rounds[1].updates)


@pytest.mark.parametrize(
    ("changes", "versions"),
    [
        ({"evaluate.when": "first_and_last"}, [0, 3]),
        ({"evaluate.when": "every_round"}, [0, 1, 2, 3]),
        ({"evaluate.when": "never"}, []),
    ],
)
def test_which_policies_are_evaluated(changes: dict[str, Any], versions: list[int]) -> None:
    assert list(plan_of(changes).evaluations) == versions


def test_nothing_is_evaluated_without_held_out_tasks() -> None:
    assert plan_of(num_heldout=0).evaluations == {}
