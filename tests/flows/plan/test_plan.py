"""Keys name content: they change with what decides it, and with nothing else."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from flows.folder import policies
from flows.folder.export import policy_files
from flows.folder.open import open_run, run_lock
from flows.plan.guards import SAMPLED, TRAINED, needed_guards
from flows.plan.run import DIGESTS, RunPlan, Shard
from flows.plan.stage import STAGES, key_tree
from mopd.errors import InputError
from mopd.settings import Settings
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.shards import Manifest, commit_folder, commit_shard
from tests.flows.rounds_by_jobs import make
from tests.storage.storage_samples import make_rows, write_weights

TREE: dict[str, Any] = {
    "rounds": 3,
    "prompts_per_shard": 4,
    "model": {"path": "tiny:llama"},
    "generate": {"engine": "fake", "num_prompts": 10, "num_samples": 4, "max_tokens": 16, "max_prompt_tokens": 256},
    "evaluate": {"when": "every_round"},
}
SCORED = {"scores", "signals", "scores of control", "signals of control"}
SHOWN = {"contexts", "contexts of control", *SCORED}
TABLES = ("prompts", "rollouts", "verdicts", *sorted(SHOWN), "policies", "updates", "evaluations")


def plan_of(changes: dict[str, Any] | None = None, **digests: Any) -> RunPlan:
    tree: dict[str, Any] = {name: dict(part) if isinstance(part, dict) else part for name, part in TREE.items()}
    for dotted, value in (changes or {}).items():
        node, names = tree, dotted.split(".")
        for name in names[:-1]:
            node = node.setdefault(name, {})
        node[names[-1]] = value
    given = {"model_digest": "model", "tasks_digest": "tasks", "num_heldout": 6, "teacher_digest": None, **digests}
    return RunPlan(Settings.model_validate(tree), **given)


def keys(plan: RunPlan, round: int) -> dict[str, list[str]]:
    """Keys of a round and of the evaluation of its policy, by table."""
    found: dict[str, list[str]] = {table: [] for table in TABLES}
    for shard in [*plan.rounds[round].all(), *plan.evaluations[round].all()]:
        found[table_of(shard)].append(shard.key)
    return found


def table_of(shard: Shard) -> str:
    """Its table, and its name where it is no row of the run's own."""
    return f"{shard.table} of {shard.name}" if shard.name else shard.table


def changed(plan: RunPlan, round: int = 1) -> set[str]:
    """Tables of a round whose keys differ from the base plan's."""
    base, other = keys(plan_of(), round), keys(plan, round)
    return {table for table in TABLES if base[table] != other[table]}


def case_name(value: Any) -> str:
    """Of a parameter, the same in every process: sets have no order."""
    return " ".join(sorted(value)) or "nothing" if isinstance(value, set) else str(value)


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
        ({"verify.verifier": "math"}, LATER),
        ({"verify.version": "math-verify 0.9.0"}, LATER),
        ({"verify.verifier": None, "verify.version": None}, set()),
        ({"condition.variant": "positive"}, LATER),
        ({"score.top_k": 5}, LATER),
        ({"train.learning_rate": 0.5}, LATER),
        ({"train.teacher": {"kind": "ema", "rate": 0.5}}, LATER),
        ({"train.teacher": {"kind": "ema", "place": "host"}}, set()),
        ({"train.teacher": "frozen"}, LATER),
        ({"train.schedule": "linear"}, LATER),
        ({"train.optimizer": "adamw_8bit"}, LATER),
        ({"train.master_weights": "bfloat16"}, LATER),
        ({"evaluate.num_samples": 3}, {"evaluations"}),
        ({"generate.top_p": 0.9}, LATER),
        ({"generate.stop": ["\n"]}, LATER),
        ({"condition.show_truncated": False}, LATER),
        ({"train.mask_truncated": True}, LATER),
        ({"evaluate.temperature": 0}, {"evaluations"}),
        ({"evaluate.top_k": 3}, {"evaluations"}),
        ({"evaluate.max_tokens": 3}, {"evaluations"}),
        ({"rounds": 9}, set()),
        ({"shard_retries": 9}, set()),
        ({"generate.max_num_seqs": 3}, set()),
        ({"score.max_tokens_per_pass": 99}, set()),
        ({"score.chunk_positions": 99}, set()),
        ({"train.max_tokens_per_pass": 99}, set()),
        ({"train.gradient_checkpointing": "on"}, set()),
        ({"train.offload_optimizer": True}, set()),
        ({"train.ranks": 2}, set()),
        ({"train.checkpoint_every_updates": 2}, set()),
        ({"train.keep_trainer_states": 9}, set()),
        ({"evaluate.bootstrap_samples": 9}, set()),
        ({"guards.entropy": 0.5, "guards.on_breach": "stop"}, set()),
        ({"report.trackers": ["wandb", "mlflow"], "report.completions": 9}, set()),
    ],
    ids=case_name,
)
def test_a_setting_changes_the_keys_of_what_it_decides(change: dict[str, Any], tables: set[str]) -> None:
    assert changed(plan_of(change)) == tables


@pytest.mark.parametrize(
    ("change", "tables"),
    [
        ({"verify.success_threshold": 0.5}, LATER - {"rollouts"}),
        ({"condition.variant": "positive"}, {*SHOWN, "policies", "updates"}),
        ({"condition.variant": "summary"}, LATER - {"evaluations"}),  # the student is asked for one
        ({"score.top_k": 5}, {*SCORED, "policies", "updates"}),
        ({"score.support": "union"}, {*SCORED, "policies", "updates"}),
        ({"train.teacher": "live"}, {*SCORED, "policies", "updates"}),
        ({"train.teacher": {"kind": "ema", "rate": 0.5}}, {"policies", "updates"}),
        ({"train.objective": "dpo"}, {*SCORED, "policies", "updates"}),
        ({"train.learning_rate": 0.5}, {"policies", "updates"}),
        ({"train.mask_truncated": True}, {"policies", "updates"}),
        ({"condition.show_truncated": False}, {*SHOWN, "policies", "updates"}),
    ],
    ids=case_name,
)
def test_in_the_first_round_what_comes_before_a_stage_keeps_its_keys(change: dict[str, Any], tables: set[str]) -> None:
    assert changed(plan_of(change), round=0) == tables


def guard_keys(plan: RunPlan) -> list[list[str]]:
    """Of each policy, the key of what is asked once it is trained, and of what is asked once it has sampled."""
    return [[shard.key for shard in guards.all()] for guards in plan.guards]


def test_each_policy_is_asked_twice_and_the_last_one_once() -> None:
    plan = plan_of()
    assert [[(shard.round, shard.shard) for shard in guards.all()] for guards in plan.guards] == [
        *([(version, TRAINED), (version, SAMPLED)] for version in range(3)),
        [(3, TRAINED)],
    ]
    tables = [sorted({one.table for one in shard.inputs}) for shard in plan.guards[1].all()]
    assert tables == [["evaluations", "guards", "updates"], ["contexts", "guards", "rollouts", "verdicts"]]


@pytest.mark.parametrize(
    "change", [{"guards.entropy": 0.5}, {"train.max_staleness": 2}, {"evaluate.bootstrap_samples": 9}], ids=str
)
def test_what_guards_are_decided_by_is_in_their_keys_alone(change: dict[str, Any]) -> None:
    base, other = guard_keys(plan_of()), guard_keys(plan_of(change))
    assert not {key for keys in base for key in keys} & {key for keys in other for key in keys}
    assert changed(plan_of(change)) == set()


def test_guards_follow_from_what_they_look_at() -> None:
    """Another learning rate changes the first round's policy, and so what is asked of it; not what it came from."""
    base, other = guard_keys(plan_of()), guard_keys(plan_of({"train.learning_rate": 0.5}))
    assert base[0] == other[0]
    assert not {key for keys in base[1:] for key in keys} & {key for keys in other[1:] for key in keys}
    later = guard_keys(plan_of({"evaluate.when": "first_and_last"}))
    assert later[0] == base[0] and later[1][0] != base[1][0]


def test_a_gradient_norm_is_compared_with_ten_rounds_at_most() -> None:
    updates = [
        [one.round for one in guards.trained.inputs if one.table == "updates"]
        for guards in plan_of({"rounds": 12}).guards
    ]
    assert updates[0] == [] and updates[1] == [0]
    assert updates[12] == list(range(1, 12))


def test_the_length_of_a_schedule_is_in_the_keys_of_policies_where_there_is_one() -> None:
    falling = {"train.schedule": "cosine"}
    long, short = (keys(plan_of(falling | {"rounds": rounds}), 0) for rounds in (9, 3))
    assert {table for table in TABLES if long[table] != short[table]} == {"policies", "updates"}


def test_another_model_changes_all_but_the_prompts() -> None:
    assert changed(plan_of(model_digest="other")) == LATER


def test_an_external_teacher_with_other_weights_changes_scores_and_what_follows() -> None:
    external = {"train.teacher": {"kind": "external", "path": "there"}}
    one, other = (keys(plan_of(external, teacher_digest=digest), 0) for digest in ("one", "other"))
    assert {table for table in TABLES if one[table] != other[table]} == {*SCORED, "policies", "updates"}


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


SMALL = {"rounds": 2, "generate.num_prompts": 4, "evaluate.when": "never"}


def run_of(path: Path, changes: dict[str, Any] | None = None) -> tuple[RunFolder, RunPlan]:
    """An empty run of two rounds of one shard each."""
    plan = plan_of({**SMALL, **(changes or {})})
    digests = {name: getattr(plan, name) for name in DIGESTS}
    return RunFolder.create(path, {"settings": plan.settings.model_dump(mode="json"), **digests}), plan


def commit(folder: RunFolder, shard: Shard, **columns: Any) -> Manifest:
    """Made-up rows, or weights, as the shard's content."""
    place: dict[str, Any] = {"round": shard.round, "key": shard.key, "parents": shard.parents(folder)}
    if shard.table == "policies":
        return commit_folder(folder, **place, info={"updates": update_rows(shard.round)}, write=write_weights)
    prompts = ("a",) if shard.name else ("a", "b")  # as a control has fewer than the round itself
    rows = [{**row, **columns} for row in make_rows(shard.table, folder.run_id, round=shard.round, prompts=prompts)]
    return commit_shard(
        folder,
        shard.table,
        shard=shard.shard,
        **place,
        rows=rows,
        info={"set": [*shard.overrides]} if shard.overrides else STAGES[shard.table].count(rows),
        name=shard.name,
    )


def update_rows(round: int) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name != "run"} for row in make_rows("updates", "", round=round)
    ]


def finish(folder: RunFolder, plan: RunPlan) -> None:
    for part in plan.rounds:
        for shard in part.all():
            commit(folder, shard)
    for evaluation in plan.evaluations.values():
        for shard in evaluation.all():
            commit(folder, shard)
    for version in range(len(plan.guards)):
        for shard in needed_guards(plan, folder, version):
            commit(folder, shard)


def lose(folder: RunFolder, shard: Shard) -> None:
    manifest = shard.committed(folder)
    assert manifest is not None
    (folder.path / manifest.file).unlink()


def missing(folder: RunFolder, plan: RunPlan) -> list[tuple[str, int]]:
    return [(table_of(shard), shard.round) for shard in plan.missing(folder)]


def test_a_shard_made_again_alike_leaves_what_follows(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run")
    finish(folder, plan)
    assert missing(folder, plan) == []
    lose(folder, plan.rounds[0].verdicts[0])
    assert missing(folder, plan) == [("verdicts", 0)]
    commit(folder, plan.rounds[0].verdicts[0], seconds=9.0)
    assert missing(folder, plan) == []


def test_a_shard_made_again_with_other_content_is_followed_by_what_was_made_from_it(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run")
    first = plan.rounds[0]
    for shard in [*first.prompts, *first.rollouts, *first.verdicts, *first.contexts, *first.scores]:
        commit(folder, shard)
    lose(folder, first.verdicts[0])
    commit(folder, first.verdicts[0], reward=0.25)
    assert first.rollouts[0].find(folder) is not None
    assert first.contexts[0].find(folder) is first.scores[0].find(folder) is None
    commit(folder, first.contexts[0])
    assert first.contexts[0].find(folder) is not None
    assert first.scores[0].find(folder) is None  # they read verdicts too
    again = commit(folder, first.scores[0])
    assert first.scores[0].find(folder) == again
    assert ("policies", 0) in missing(folder, plan)


def test_a_policy_trained_from_other_scores_is_refused_before_training(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run")
    finish(folder, plan)
    lose(folder, plan.rounds[0].scores[0])
    commit(folder, plan.rounds[0].scores[0], advantage=0.25)
    assert missing(folder, plan) == [("signals", 0), ("policies", 0)]
    with pytest.raises(StorageError, match="never overwritten, start a new run folder"):
        make(STAGES["policies"], folder, plan.rounds[0].policy)


def test_scores_whose_teacher_was_removed_are_not_made_again(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run")
    finish(folder, plan)
    shutil.rmtree(folder.path / folder.policy_place(0) / "trainer")
    lose(folder, plan.rounds[1].verdicts[0])
    commit(folder, plan.rounds[1].verdicts[0], reward=0.25)
    assert missing(folder, plan) == [("contexts", 1), ("contexts of control", 1), ("guards", 1)]
    lose(folder, plan.rounds[1].scores[0])
    assert missing(folder, plan) == [("contexts", 1), ("contexts of control", 1), ("guards", 1)]
    lose(folder, plan.rounds[1].signals[0])
    assert ("signals", 1) not in missing(folder, plan)


def test_scores_of_a_teacher_without_weights_of_its_own_can_always_be_made_again(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", {"train.teacher": "frozen"})
    finish(folder, plan)
    shutil.rmtree(folder.path / folder.policy_place(0) / "trainer")
    lose(folder, plan.rounds[1].scores[0])
    assert missing(folder, plan) == [("scores", 1)]
    assert policies.teacher_state(folder, plan.settings, 1) is None


def test_a_finished_run_is_recognised_fast(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", {"generate.num_prompts": 80, "evaluate.when": "every_round"})
    finish(folder, plan)
    began = time.process_time()
    assert plan.missing(folder) == []
    assert time.process_time() - began < 2


def test_lost_updates_are_made_again_after_the_trainer_state_went(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run")
    finish(folder, plan)
    shutil.rmtree(folder.path / folder.policy_place(0) / "trainer")
    before = plan.rounds[0].updates.find(folder)
    lose(folder, plan.rounds[0].updates)
    after = make(STAGES["updates"], folder, plan.rounds[0].updates)
    assert before is not None
    assert after.content == before.content


@pytest.mark.parametrize("name", ["model.safetensors", "trainer/optimizer.pt"])
def test_a_flipped_bit_in_a_policy_is_named_when_it_is_loaded(tmp_path: Path, name: str) -> None:
    folder, plan = run_of(tmp_path / "run")
    finish(folder, plan)
    assert policies.policy_folder(folder, 1) == folder.path / folder.policy_place(0)
    damaged = folder.path / folder.policy_place(0) / name
    damaged.write_bytes(bytes([damaged.read_bytes()[0] ^ 1]) + damaged.read_bytes()[1:])
    with pytest.raises(StorageError, match=f"{name} is damaged or missing: mopd repair .* sets it aside"):
        policies.trainer_folder(folder, 1) if "trainer" in name else policies.policy_folder(folder, 1)
    if "trainer" in name:
        assert [*policy_files(folder, 0)] == ["config.json", "model.safetensors"]
        return
    with pytest.raises(StorageError, match=f"{name} is damaged"):
        policy_files(folder, 0)


def test_free_settings_may_change_and_are_noted(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run")
    finish(folder, plan)
    other = plan_of({**SMALL, "generate.max_num_seqs": 3, "shard_retries": 7}).settings
    again = open_run(other, folder.path, config="")
    assert again == RunFolder.open(folder.path)
    assert again.document["settings"]["shard_retries"] == 7
    noted = {one["setting"]: (one["from"], one["to"]) for one in again.document["changed"]}
    assert noted == {"generate.max_num_seqs": (128, 3), "shard_retries": (2, 7)}
    assert open_run(other, folder.path, config="").document == again.document


def test_what_a_probe_chooses_by_may_not_change(tmp_path: Path) -> None:
    """The choice holds intervals, and all that follows holds the choice: no policy could be trained again."""
    auto = {**SMALL, "condition.variant": "auto"}
    folder, plan = run_of(tmp_path / "run", auto)
    more = plan_of({**auto, "evaluate.bootstrap_samples": 9})
    assert more.rounds[1].policy.key != plan.rounds[1].policy.key
    with pytest.raises(StorageError, match=r"settings: evaluate.bootstrap_samples is 2000 there, 9 here: give"):
        open_run(more.settings, folder.path, config="")


def test_settings_that_decide_a_result_are_refused_by_name(tmp_path: Path) -> None:
    folder, _ = run_of(tmp_path / "run")
    before = (folder.path / "run.json").read_bytes()
    other = plan_of({**SMALL, "rounds": 5, "shard_retries": 7, "score.top_k": 3}).settings
    with pytest.raises(StorageError, match=r"settings: score.top_k is 100 there, 3 here: give"):
        open_run(other, folder.path, config="")
    assert (folder.path / "run.json").read_bytes() == before


def test_a_refused_start_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = run_of(tmp_path / "run")
    before = (folder.path / "run.json").read_bytes()
    more = plan_of({**SMALL, "rounds": 5}).settings
    with run_lock(folder), pytest.raises(InputError, match="is being run by"):
        open_run(more, folder.path, config="")
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda *_: {"model_digest": "other", "tasks_digest": "tasks"})
    with pytest.raises(InputError, match="the model tiny:llama changed"):
        open_run(more, folder.path, config="")
    assert (folder.path / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"settings": {}, "model_digest": "x"}, "was not made by mopd run .*no tasks_digest, num_heldout"),
        ({"settings": {"rounds": 0}, **dict.fromkeys(DIGESTS)}, "rounds: .*got 0"),
        ({"settings": {"roundz": 1}, **dict.fromkeys(DIGESTS)}, "roundz: no such"),
    ],
    ids=["another program's", "impossible", "unknown"],
)
def test_a_run_folder_that_can_not_be_planned_is_one_line(
    tmp_path: Path, document: dict[str, Any], message: str
) -> None:
    with pytest.raises(StorageError, match=message) as caught:
        RunPlan.of(RunFolder.create(tmp_path / "run", document))
    assert "\n" not in str(caught.value)


def test_how_dropout_is_drawn_is_in_the_keys_of_policies_where_there_is_dropout() -> None:
    """It was once drawn an update: a run that has such policies is not continued by others unnoticed."""
    said = {dropout: Settings.model_validate({"train": {"lora": {"dropout": dropout}}}) for dropout in (0.0, 0.1)}
    parts = {dropout: STAGES["policies"].settings(settings, key_tree(settings)) for dropout, settings in said.items()}
    assert [part.get("dropout") for part in parts.values()] == [None, "by micro-batch"]
