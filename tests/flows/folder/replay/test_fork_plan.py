"""A fork has its parent's rounds by reference: nothing is copied, nothing is made twice, nothing breaks silently."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.cli import main
from flows.folder.keep.soundness import check_run
from flows.folder.open import run_lock
from flows.folder.policies import policy_folder
from flows.folder.replay.fork import check_fork, fork_run
from flows.plan.run import RunPlan
from flows.plan.stage import STAGES
from flows.report.status.state import run_status
from flows.report.status.text import status_text
from mopd.errors import InputError
from storage.digest import digest_tables
from storage.errors import StorageError
from storage.lookup import TAKEN_OVER, manifest_names
from storage.runs import RunFolder
from storage.schemas import SCHEMAS
from storage.shards import collect_garbage, commit_shard, manifests, read_rows, verify_run
from storage.sql.catalog import connect, query
from storage.sql.script import write_catalog
from storage.sql.views import VIEWS
from tests.flows.plan.test_plan import commit, finish, run_of
from tests.flows.rounds_by_jobs import make
from tests.storage.storage_samples import make_rows

INPUTS = {"model_digest": "model", "tasks_digest": "tasks", "num_heldout": 6, "num_train": 9, "teacher_digest": None}
EVALUATED = {"evaluate.when": "every_round"}
GRPO = ["train.objective=grpo"]
ALPHA = ["train.objective.alpha=0.25"]
"""Another loss that reads the same columns of the scores; GRPO's reads no support, and has scores of its own."""


@pytest.fixture(autouse=True)
def _inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda *_: INPUTS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two rounds; the trainer state of both is there."""
    folder, plan = run_of(tmp_path_factory.mktemp("made") / "parent", EVALUATED)
    finish(folder, plan)
    return folder.path


@pytest.fixture
def parent(made: Path, tmp_path: Path) -> RunFolder:
    """A copy of it, to be forked and damaged."""
    return RunFolder.open(shutil.copytree(made, tmp_path / "parent"))


def taken(fork: RunFolder) -> dict[str, list[int]]:
    """Rounds of the shards that a fork has, by table."""
    tables = {path.parent.parent.name if "shard" in path.name else "policies" for path in fork.path.rglob("*.json")}
    found = {table: [one.round for one in manifests(fork, table)] for table in tables - {fork.path.name}}
    return {table: rounds for table, rounds in found.items() if rounds}


def finish_rest(fork: RunFolder) -> RunPlan:
    """Made-up content for what a fork has yet to make."""
    plan = RunPlan.of(fork)
    while missing := plan.missing(fork):
        commit(fork, missing[0])
    return plan


@pytest.mark.parametrize(
    ("round", "overrides", "expected"),
    [
        (
            0,
            ALPHA,
            {"rollouts": [0], "verdicts": [0], "contexts": [0], "scores": [0], "prompts": 8, "evaluations": 2},
        ),
        (0, GRPO, {"rollouts": [0], "verdicts": [0], "contexts": [0], "prompts": 8, "evaluations": 2}),
        (0, ["condition.variant=positive"], {"rollouts": [0], "verdicts": [0], "prompts": 8, "evaluations": 2}),
        (0, ["verify.success_threshold=0.5"], {"rollouts": [0], "prompts": 8}),
        (0, ["seed=1"], {}),
        (1, ["seed=1"], {"prompts": 3, "evaluations": 2, "policies": [0], "updates": [0], "rollouts": [0]}),
        (1, ALPHA, {"rollouts": [0, 1], "scores": [0, 1], "policies": [0], "updates": [0], "evaluations": 4}),
        (0, ["evaluate.num_samples=3"], {"policies": [0, 1], "updates": [0, 1], "rollouts": [0, 1], "prompts": 8}),
        (2, ["rounds=3"], {"policies": [0, 1], "rollouts": [0, 1], "evaluations": 6, "prompts": 8}),
    ],
    ids=str,
)
def test_a_fork_takes_over_what_has_the_same_key(
    parent: RunFolder, tmp_path: Path, round: int, overrides: list[str], expected: dict[str, Any]
) -> None:
    fork = fork_run(parent.path, round, overrides, tmp_path / "fork")
    found = taken(fork)
    if not expected:
        assert found.keys() <= {"prompts"}
    for table, rounds in expected.items():
        assert (len(found[table]) if isinstance(rounds, int) else found[table]) == rounds, table
    assert not [path for path in fork.path.rglob("*") if path.suffix in (".parquet", ".safetensors")]
    assert verify_run(fork) == []


def test_rows_that_were_taken_over_are_the_forks_own(parent: RunFolder, tmp_path: Path) -> None:
    fork = fork_run(parent.path, 1, GRPO, tmp_path / "fork")
    finish_rest(fork)
    write_catalog(fork)
    assert {row["run"] for one in manifests(fork, "rollouts") for row in read_rows(fork, one)} == {"fork"}
    joined = "FROM episodes WHERE reward + mean_teacher_logprob IS NOT NULL"
    counted = f"SELECT run, round, count(DISTINCT (prompt_id, sample)) {joined} GROUP BY ALL ORDER BY round"
    assert query(fork, counted).rows == [("fork", 0, 4), ("fork", 1, 4)]
    assert query(fork, "SELECT count(*) FROM updates WHERE run = 'parent'").rows == [(0,)]
    shared = ("prompts", "rollouts", "verdicts", "contexts", "scores")
    before, after = digest_tables(parent), digest_tables(fork)
    assert {table: after[table] for table in shared} == {table: before[table] for table in shared}
    assert policy_folder(fork, 1) == parent.path / parent.policy_place(0)
    assert (fork.path / fork.policy_place(1)).is_dir()


def test_a_rounds_control_stays_apart_from_what_is_trained_on(parent: RunFolder, tmp_path: Path) -> None:
    fork = fork_run(parent.path, 0, ALPHA, tmp_path / "fork")
    part = RunPlan.of(fork).rounds[0]
    assert part.control is not None
    for table in ("contexts", "scores", "signals"):
        for name, shards in (("", getattr(part, table)), ("control", getattr(part.control, table))):
            assert [one.key for one in manifests(fork, table, 0, name=name)] == [shard.key for shard in shards]


def test_a_probe_takes_over_the_runs_own_contexts(parent: RunFolder, tmp_path: Path) -> None:
    auto = "condition.variant={kind: auto, candidates: [none, contrastive]}"
    fork = fork_run(parent.path, 0, [auto], tmp_path / "fork")
    (found,), (theirs,) = manifests(fork, "contexts", name="contrastive"), manifests(parent, "contexts", 0)
    assert (found.file, found.sha256) == (theirs.file, theirs.sha256)


def test_earlier_rounds_keep_their_settings(parent: RunFolder, tmp_path: Path) -> None:
    fork = fork_run(parent.path, 1, ["condition.variant=positive", "rounds=4"], tmp_path / "fork")
    plan, before = RunPlan.of(fork), RunPlan.of(parent)
    assert plan.rounds[0] == before.rounds[0]
    assert plan.rounds[1].verdicts == before.rounds[1].verdicts
    assert plan.rounds[1].contexts != before.rounds[1].contexts
    assert len(plan.rounds) == 4
    lineage = fork.lineage
    assert (lineage["path"], lineage["relative"], lineage["run_id"]) == (str(parent.path), "../parent", "parent")
    assert (lineage["round"], lineage["set"]) == (1, ["condition.variant=positive", "rounds=4"])
    assert lineage["earlier"][0]["settings"] == parent.document["settings"]
    assert f"forked from {parent.path} at round 1 with condition.variant=positive" in status_text(
        run_status(fork), "not finished"
    )


def test_a_fork_of_a_fork_names_the_run_that_has_the_data(parent: RunFolder, tmp_path: Path) -> None:
    middle = fork_run(parent.path, 1, GRPO, tmp_path / "deep" / "middle")
    finish_rest(middle)
    last = fork_run(middle.path, 2, ["train.learning_rate=0.5", "rounds=3"], tmp_path / "last")
    homes = Counter(
        last.home(one.home).host_folder.name for table in ("policies", "updates") for one in manifests(last, table)
    )
    assert homes == {"parent": 2, "middle": 2}
    assert [entry["below"] for entry in last.lineage["earlier"]] == [1, 2]
    assert RunPlan.of(last).rounds[:2] == RunPlan.of(middle).rounds
    finish_rest(last)
    assert verify_run(last) == []
    assert digest_tables(last)["policies"] != digest_tables(middle)["policies"]
    back = fork_run(last.path, 1, ["train.learning_rate=0.25"], tmp_path / "back")
    assert [entry["below"] for entry in back.lineage["earlier"]] == [1]
    assert RunPlan.of(back).rounds[0] == RunPlan.of(parent).rounds[0]


def test_a_parent_may_move_along_and_is_missed_when_it_moves_away(parent: RunFolder, tmp_path: Path) -> None:
    fork = finished_fork(parent, tmp_path / "fork")
    (tmp_path / "elsewhere").mkdir()
    for run in (parent, fork):
        shutil.move(run.path, tmp_path / "elsewhere")
    moved = RunFolder.open(tmp_path / "elsewhere" / "fork")
    assert RunPlan.of(moved).missing(moved) == []
    assert verify_run(moved) == []
    (tmp_path / "elsewhere" / "parent").rename(tmp_path / "lost")
    lonely = RunFolder.open(moved.path)
    for ask in (lambda: run_status(lonely), lambda: query(lonely, "FROM rollouts"), lambda: digest_tables(lonely)):
        with pytest.raises(StorageError, match="has moved or is gone: put it back") as caught:
            ask()
        assert "\n" not in str(caught.value)


def finished_fork(parent: RunFolder, path: Path) -> RunFolder:
    fork = fork_run(parent.path, 1, GRPO, path)
    finish_rest(fork)
    return fork


def test_a_shard_that_the_parent_lost_or_changed_is_named(parent: RunFolder, tmp_path: Path) -> None:
    fork = finished_fork(parent, tmp_path / "fork")
    path = parent.path / manifests(parent, "verdicts", 0)[0].file
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert [bad.file for bad in verify_run(fork)] == [str(path)]
    with pytest.raises(StorageError, match=f"{path} is damaged or missing; it was taken over when the run was forked"):
        digest_tables(fork)
    path.unlink()
    with pytest.raises(StorageError, match=f"{path} is missing; it was taken over when .*fork again"):
        RunPlan.of(fork).missing(fork)
    result = query(fork, "SELECT count(*) FROM verdicts")
    assert (result.rows, result.excluded) == ([(4,)], [f"{path} is missing; {TAKEN_OVER}"])


def test_what_the_parent_makes_anew_leaves_the_fork_what_it_took(parent: RunFolder, tmp_path: Path) -> None:
    fork = finished_fork(parent, tmp_path / "fork")
    shard = RunPlan.of(parent).rounds[0].verdicts[0]
    old = shard.committed(parent)
    assert old is not None
    parent.store.remove(manifest_names(parent, "verdicts", 0)[0])
    commit(parent, shard, reward=0.25)
    assert collect_garbage(parent, grace_seconds=0) == []
    assert RunPlan.of(fork).missing(fork) == []
    shutil.rmtree(parent.path / "forks")
    assert collect_garbage(parent, grace_seconds=0) == [old.file]


def test_trainer_state_stays_until_the_fork_has_trained_on_from_it(parent: RunFolder, tmp_path: Path) -> None:
    fork = fork_run(parent.path, 1, GRPO, tmp_path / "fork")
    state = parent.path / parent.policy_place(0) / "trainer"
    make(STAGES["updates"], parent, RunPlan.of(parent).rounds[1].updates)
    assert state.is_dir()
    finish_rest(fork)
    make(STAGES["updates"], fork, RunPlan.of(fork).rounds[1].updates)
    assert state.is_dir()  # not the fork's to remove
    make(STAGES["updates"], parent, RunPlan.of(parent).rounds[1].updates)
    assert not state.exists()


def test_trainer_state_stays_for_a_fork_that_was_moved_together_with_its_parent(
    parent: RunFolder, tmp_path: Path
) -> None:
    fork_run(parent.path, 1, GRPO, tmp_path / "fork")
    (tmp_path / "new").mkdir()
    for folder in ("parent", "fork"):
        (tmp_path / folder).rename(tmp_path / "new" / folder)
    parent = RunFolder.open(tmp_path / "new" / "parent")
    make(STAGES["updates"], parent, RunPlan.of(parent).rounds[1].updates)
    assert (parent.path / parent.policy_place(0) / "trainer").is_dir()


@pytest.mark.parametrize(
    ("round", "overrides", "message"),
    [
        (3, GRPO, "--round 3: .* has rounds 0 to 1; fork at 0 to 2"),
        (-1, GRPO, "--round -1: "),
        (2, GRPO, "--round 2: nothing is left to run with rounds: 2; --set rounds=3 or more"),
        (0, [], "no setting that decides a result differs"),
        (0, ["shard_retries=5"], "no setting that decides a result differs"),
        (0, ["train.learning_rate=-1"], "train.learning_rate: Input should be greater than 0"),
        (0, ["nonsense=1"], "run.json with --set: nonsense: no such setting"),
        (1, ["model.path=other"], "--set model.path: at round 1 the run goes on from its own policy"),
        (1, ["rounds=1"], "nothing is left to run with rounds: 1"),
    ],
    ids=str,
)
def test_what_can_not_be_forked_is_one_line(
    parent: RunFolder, tmp_path: Path, round: int, overrides: list[str], message: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((InputError, StorageError), match=message) as caught:
        fork_run(parent.path, round, overrides, tmp_path / "fork")
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_fork_that_is_there_is_known_by_its_settings(parent: RunFolder, tmp_path: Path) -> None:
    fork = fork_run(parent.path, 1, GRPO, tmp_path / "fork")
    check_fork(fork, str(parent.path), 1, GRPO)
    for round, overrides in ((0, GRPO), (1, ALPHA)):
        with pytest.raises(InputError, match="is there already, and is another run than this fork"):
            check_fork(fork, str(parent.path), round, overrides)


def test_a_fork_needs_a_new_folder(parent: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for there, message in (
        (parent.path, "is there already and not empty"),
        (tmp_path / "file", "is a file; name a folder"),
    ):
        with pytest.raises(StorageError, match=message):
            fork_run(parent.path, 0, GRPO, there)
    (tmp_path / "empty").mkdir()
    assert fork_run(parent.path, 0, GRPO, tmp_path / "empty").run_id == "empty"


def test_a_round_that_is_not_finished_is_not_forked(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "parent")
    for shard in plan.rounds[0].all()[:-2]:
        commit(folder, shard)
    with pytest.raises(InputError, match=f"round 0 of {folder.path} is not finished; mopd run {folder.path} first"):
        fork_run(folder.path, 1, GRPO, tmp_path / "fork")
    waits = f"wait for process {os.getpid()} on .*, which runs it, or fork at 0 or earlier"
    with run_lock(folder), pytest.raises(InputError, match=waits):
        fork_run(folder.path, 1, GRPO, tmp_path / "fork")
    assert taken(fork_run(folder.path, 0, ALPHA, tmp_path / "fork"))["scores"] == [0]


def test_a_round_whose_trainer_state_went_is_not_forked(parent: RunFolder, tmp_path: Path) -> None:
    shutil.rmtree(parent.path / parent.policy_place(0) / "trainer")
    message = (
        "--round 1: the trainer state that round 1 begins with was removed from .*; fork at 0 or 2, or run it again"
    )
    with pytest.raises(InputError, match=message):
        fork_run(parent.path, 1, GRPO, tmp_path / "fork")
    with pytest.raises(InputError, match=message):
        fork_run(parent.path, 1, [*GRPO, "rounds=4"], tmp_path / "fork")
    fork_run(parent.path, 0, GRPO, tmp_path / "at-0")
    fork_run(parent.path, 2, ["rounds=3"], tmp_path / "at-2")
    fork_run(parent.path, 1, ["evaluate.num_samples=3"], tmp_path / "nothing-to-train")


def test_inputs_that_changed_on_disk_are_not_forked(
    parent: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda *_: {**INPUTS, "tasks_digest": "other"})
    with pytest.raises(InputError, match="the task source changed since the run was made"):
        fork_run(parent.path, 0, GRPO, tmp_path / "fork")
    fork_run(parent.path, 1, ["tasks.num_train=99"], tmp_path / "other-tasks")


def test_a_fork_that_fails_leaves_nothing(parent: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("storage.stores.local.fsync_tree", fail)
    with pytest.raises(OSError, match="No space left"):
        fork_run(parent.path, 0, GRPO, tmp_path / "fork")
    assert [path.name for path in tmp_path.iterdir()] == ["parent"]
    assert list((parent.path / "forks").iterdir()) == []


def test_other_contexts_with_the_forks_settings_are_taken_over(parent: RunFolder, tmp_path: Path) -> None:
    wanted = fork_run(parent.path, 0, ["condition.variant=positive"], tmp_path / "plan")
    shard = RunPlan.of(wanted).rounds[0].contexts[0]
    commit_shard(
        parent,
        "contexts",
        name="best",
        round=0,
        shard=0,
        key=shard.key,
        rows=make_rows("contexts", parent.run_id),
        parents=shard.parents(parent),
        info={},
    )
    fork = fork_run(parent.path, 0, ["condition.variant=positive"], tmp_path / "fork")
    found = manifests(fork, "contexts")
    assert [(one.round, one.key) for one in found] == [(0, shard.key)]
    assert query(fork, "SELECT run, count(*) FROM contexts GROUP BY run").rows == [("fork", 4)]
    counted = "SELECT condition, count(*) FROM {} WHERE round = 0 GROUP BY condition ORDER BY condition"
    assert query(parent, counted.format("contexts")).rows == [("", 4), ("best", 4), ("control", 2)]
    assert query(parent, counted.format("scores")).rows == [("", 4), ("control", 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fork", "RUN", "--round", "9", "--set", "seed=1", "NEW"], "--round 9: "),
        (["fork", "NO", "--round", "0", "NEW"], "is not a run"),
        (["condition", "NO", "--round", "0", "--variant", "none"], "is not a run"),
        (["condition", "RUN", "--round", "0"], "--name: needed where no --variant is given"),
        (["score", "RUN", "--round", "0", "--name", "a b"], "--name 'a b': must be"),
        (["run", "NO"], "is not a run"),
        (["run", "RUN", "--run", "NEW"], "is a run folder and is continued where it is; leave --run out"),
        (["run", "RUN", "--set", "rounds=0"], "rounds: Input should be greater than or equal to 1"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_bad_arguments_are_one_line(
    parent: RunFolder, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no").mkdir()
    places = {"RUN": parent.path, "NO": tmp_path / "no", "NEW": tmp_path / "new"}
    assert main([str(places.get(argument, argument)) for argument in arguments]) == 2
    _, said = capsys.readouterr()
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_the_written_catalog_of_a_fork_gives_the_same_answers(
    parent: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = fork_run(parent.path, 1, GRPO, tmp_path / "it's a fork")
    for table, name in (("contexts", "b"), ("contexts", "a"), ("scores", "a")):
        rows = make_rows(table, fork.run_id)
        commit_shard(fork, table, name=name, round=0, shard=0, key=name, rows=rows, parents=[], info={})
    write_catalog(fork)
    script = (fork.path / "catalog.sql").read_text()
    monkeypatch.chdir(fork.path)
    portable, ours = duckdb.connect(), connect(fork)
    portable.execute(script)
    for view in (*SCHEMAS, *(view.name for view in VIEWS)):
        rows = "* EXCLUDE (info)" if view == "shards" else "*"  # JSON of the same numbers, written in another way
        for asked in (
            f"SELECT column_name, column_type FROM (DESCRIBE {view})",
            f"SELECT {rows} FROM {view} ORDER BY ALL",
        ):
            assert portable.execute(asked).fetchall() == ours.execute(asked).fetchall()
    mine = "WHERE run = 'it''s a fork' AND condition <> ''"
    counted = f"SELECT condition, count(*) FROM contexts {mine} GROUP BY condition ORDER BY condition"
    assert portable.execute(counted).fetchall() == [("a", 4), ("b", 4), ("control", 4)]


@pytest.mark.parametrize("first", [0, 4], ids=["all of it", "its pages"])
def test_a_damaged_file_of_the_parent_is_a_line_of_verify(parent: RunFolder, tmp_path: Path, first: int) -> None:
    """It has its size; the rows of its round can't be read."""
    fork = fork_run(parent.path, 1, GRPO, tmp_path / "fork")
    file = parent.path / manifests(parent, "rollouts", 0)[0].file
    content = file.read_bytes()
    last = len(content) - (int.from_bytes(content[-8:-4], "little") + 8 if first else 0)
    file.write_bytes(content[:first] + bytes(byte ^ 255 for byte in content[first:last]) + content[last:])
    assert (str(file), "") in {(problem.file, problem.aside) for problem in check_run(fork).damaged}
