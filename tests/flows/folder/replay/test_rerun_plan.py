"""A run that goes back to a round: what comes before stays, what follows is superseded and comes back whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.fixtures import SubRequest

from flows.cli import main
from flows.folder.keep.clean import plan_removal, remove
from flows.folder.open import open_run, run_lock
from flows.folder.replay.fork import fork_run
from flows.folder.replay.rerun import is_begun, lines_of, plan_rerun, plan_undo, redo, what_is_redone
from flows.folder.replay.rollbacks import ROLLED_BACK
from flows.plan.run import RunPlan
from flows.report.redone import turn_text
from flows.report.status.state import run_status
from flows.report.status.text import status_text
from mopd.errors import InputError
from mopd.settings import parse_settings
from storage.digest import digest_tables
from storage.errors import StorageError
from storage.lookup import manifests
from storage.manifests import POLICIES
from storage.policies import remove_weights
from storage.runs import RunFolder
from storage.shards import commit_shard, read_rows, verify_run
from storage.sql.catalog import query
from tests.flows.folder.replay.test_fork_plan import INPUTS
from tests.flows.plan.test_plan import commit, run_of
from tests.object_servers import ENVIRONMENT, moto, new_bucket
from tests.storage.storage_samples import make_rows

EVALUATED = {"evaluate.when": "every_round", "train.keep_trainer_states": 9}
FROZEN = ["train.teacher=frozen"]
FASTER = ["train.learning_rate=0.5"]


@pytest.fixture(autouse=True)
def _inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda *_: INPUTS)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Of an object store in this process."""
    with moto() as endpoint:
        yield endpoint


@pytest.fixture(params=["folder", "bucket"])
def run(request: SubRequest, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A finished run of two rounds, in each store; the trainer state of both is there."""
    here = {"AWS_ENDPOINT_URL": endpoint, "MOPD_CACHE": str(tmp_path / "cache")}
    for name, value in {**ENVIRONMENT, **here}.items():
        monkeypatch.setenv(name, value)
    where: Any = tmp_path / "run" if request.param == "folder" else f"s3://{new_bucket(endpoint)}/run"
    folder, _ = run_of(where, EVALUATED)
    return finish(folder, "first")


def finish(folder: RunFolder, line: str) -> RunFolder:
    """Content that tells its line, for what a run lacks."""
    plan = RunPlan.of(folder)
    while missing := plan.missing(folder):
        columns = {"rollouts": {"text": line}, "updates": {"objective": line}}
        commit(folder, missing[0], **columns.get(missing[0].table, {}))
    return folder


def stamps(folder: RunFolder, table: str) -> dict[str, str]:
    """When a table's files were written."""
    return {name: entry.stamp for name, entry in folder.store.list_files(f"{table}/").items()}


def written_by(folder: RunFolder) -> dict[int, set[str]]:
    """The line that each round's updates are of."""
    return {one.round: {row["objective"] for row in read_rows(folder, one)} for one in manifests(folder, "updates")}


def test_a_stage_is_redone_and_what_comes_before_it_stays(run: RunFolder) -> None:
    kept = {table: stamps(run, table) for table in ("rollouts", "verdicts", "contexts")}
    before = digest_tables(run)
    turn = plan_rerun(run, 1, "score", FROZEN)
    assert RunFolder.open(run.store) == run
    of_round = {"scores": 2, "signals": 2, "policies": 1, "updates": 1, "evaluations": 2, "guards": 1}
    assert Counter(one.table for one in turn.superseded) == of_round
    redone = finish(turn.save(), "second")
    assert written_by(redone) == {0: {"first"}, 1: {"second"}}
    assert {table: stamps(redone, table) for table in kept} == kept
    after = digest_tables(redone)
    assert {table for table in before if before[table] == after[table]} >= {*kept, "prompts", "evaluations"}
    assert after["updates"] != before["updates"]
    assert query(redone, "SELECT round, count(*) FROM updates GROUP BY ALL ORDER BY ALL").rows == [(0, 2), (1, 2)]
    assert verify_run(redone) == []


def test_its_plan_is_that_of_a_fork(run: RunFolder, tmp_path: Path) -> None:
    where: Any = tmp_path / "fork" if run.store.renames else f"{run.address}-fork"
    forked = RunPlan.of(fork_run(run.address, 1, FROZEN, where))
    redone = redo(run, 1, "score", FROZEN)
    assert RunPlan.of(redone).rounds == forked.rounds
    assert RunPlan.of(redone).evaluations == forked.evaluations


def test_what_was_superseded_is_brought_back_as_it_was(run: RunFolder) -> None:
    before = digest_tables(run)
    redone = finish(redo(run, 1, "train", FASTER), "second")
    assert redone.document["settings"]["train"]["learning_rate"] == 0.5
    turn = plan_undo(redone)
    assert (len(turn.superseded), len(turn.restored), turn.missing) == (5, 5, [])
    back = turn.save()
    assert digest_tables(back) == before
    assert written_by(back) == {0: {"first"}, 1: {"first"}}
    assert back.document["settings"] == run.document["settings"]
    assert lines_of(back) == []
    with pytest.raises(InputError, match="no round of it was redone, so there is nothing to bring back"):
        plan_undo(back)


def test_settings_of_an_earlier_line_find_what_it_made(run: RunFolder) -> None:
    second = finish(redo(run, 1, "train", FASTER), "second")
    policy = manifests(second, POLICIES, 1)
    third = finish(redo(second, 1, "train", ["train.learning_rate=0.25"]), "third")
    again = redo(third, 1, "train", FASTER)
    assert RunPlan.of(again).missing(again) == []
    assert written_by(again)[1] == {"second"}
    assert manifests(again, POLICIES, 1) == policy
    for expected in ("third", "second", "first"):
        again = plan_undo(again).save()
        assert written_by(again)[1] == {expected}
    assert RunPlan.of(again).missing(again) == []


def test_a_run_is_redone_again_further_back_and_further_on(run: RunFolder) -> None:
    later = finish(redo(run, 1, "train", FASTER), "second")
    assert RunPlan.of(later).rounds[0] == RunPlan.of(run).rounds[0]
    first = finish(redo(later, 0, "train", ["train.learning_rate=0.25"]), "third")
    assert written_by(first) == {0: {"third"}, 1: {"third"}}
    assert first.document["earlier"] == []
    last = finish(redo(first, 1, "condition", ["condition.variant=positive"]), "fourth")
    assert written_by(last) == {0: {"third"}, 1: {"fourth"}}
    assert [entry["below"] for entry in last.document["earlier"]] == [1]
    assert verify_run(last) == []


def test_a_fork_is_redone_and_a_run_that_was_redone_is_forked(run: RunFolder, tmp_path: Path) -> None:
    def place(name: str) -> Any:
        return tmp_path / name if run.store.renames else f"{run.address}-{name}"

    fork = finish(fork_run(run.address, 1, FASTER, place("fork")), "fork")
    before = digest_tables(fork)
    redone = finish(redo(fork, 0, "score", FROZEN), "second")
    assert written_by(redone) == {0: {"second"}, 1: {"second"}}
    assert digest_tables(plan_undo(redone).save()) == before
    again = finish(redo(RunFolder.open(fork.store), 1, "train", ["train.learning_rate=0.125"]), "third")
    grandchild = fork_run(again.address, 2, ["rounds=3"], place("grandchild"))
    assert written_by(grandchild) == {0: {"first"}, 1: {"third"}}
    assert RunPlan.of(grandchild).rounds[:2] == RunPlan.of(again).rounds
    assert written_by(finish(grandchild, "fourth")) == {0: {"first"}, 1: {"third"}, 2: {"fourth"}}


def test_more_rounds_of_an_earlier_line_come_back_too(run: RunFolder) -> None:
    longer = finish(redo(run, 1, "train", [*FASTER, "rounds=3"]), "second")
    assert written_by(longer)[2] == {"second"}
    back = plan_undo(longer).save()
    assert written_by(back) == {0: {"first"}, 1: {"first"}}
    short = redo(back, 1, "train", FASTER)
    assert RunPlan.of(short).missing(short) == []
    settings = parse_settings({**short.document["settings"], "rounds": 3})
    again = open_run(settings, short.address, config="test")
    assert RunPlan.of(again).missing(again) == []
    assert written_by(again)[2] == {"second"}


def test_what_was_made_from_superseded_shards_is_superseded_too(run: RunFolder) -> None:
    part = RunPlan.of(run).rounds[1]
    for name, table, parent in (
        ("of contexts", "contexts", part.verdicts[0]),
        ("of scores", "signals", part.scores[0]),
    ):
        rows, parents = make_rows(table, run.run_id, round=1), [f"{parent.key}:content"]
        commit_shard(run, table, round=1, shard=7, key=name, rows=rows, parents=parents, info={}, name=name)
    redone = redo(run, 1, "score", FROZEN)
    assert len(manifests(redone, "contexts", 1, name="of contexts")) == 1
    assert manifests(redone, "signals", 1, name="of scores") == []
    assert len(manifests(plan_undo(redone).save(), "signals", 1, name="of scores")) == 1


def test_what_was_made_beside_the_run_becomes_its_own_and_is_beside_it_again(run: RunFolder) -> None:
    asked = RunPlan.of(plan_rerun(run, 1, "score", FROZEN).after).rounds[1].scores[0]
    rows = make_rows("scores", run.run_id, round=1)
    commit_shard(
        run, "scores", round=1, shard=0, key=asked.key, rows=rows, parents=[], info={"set": FROZEN}, name="icy"
    )
    redone = redo(run, 1, "score", FROZEN)
    assert [one.key for one in manifests(redone, "scores", 1)] == [asked.key]
    assert manifests(redone, "scores", 1, name="icy") == []
    finish(redone, "second")
    back = plan_undo(redone).save()
    assert [one.key for one in manifests(back, "scores", 1, name="icy")] == [asked.key]
    assert asked.key not in [one.key for one in manifests(back, "scores", 1)]


def test_the_trainer_state_that_a_round_was_redone_from_stays(run: RunFolder) -> None:
    from tests.flows.rounds_by_jobs import STAGES, make

    redone = finish(redo(run, 1, "train", [*FASTER, "train.keep_trainer_states=1"]), "second")
    make(STAGES["updates"], redone, RunPlan.of(redone).rounds[1].updates)
    plan_rerun(redone, 1, "score", FROZEN)


def test_evaluations_alone_are_redone(run: RunFolder) -> None:
    redone = redo(run, 2, "evaluate", ["evaluate.num_samples=3"])
    assert {(shard.table, shard.round) for shard in RunPlan.of(redone).missing(redone)} == {
        ("evaluations", 2),
        ("guards", 2),
    }


def test_a_rerun_that_was_interrupted_goes_on(run: RunFolder) -> None:
    assert not is_begun(run, 1, "train", FASTER)
    redone = redo(run, 1, "train", FASTER)
    assert is_begun(redone, 1, "train", FASTER)
    assert not is_begun(redone, 1, "train", FROZEN)
    back = redo(redone, 0, "train", ["train.learning_rate=0.1"], why=f"{ROLLED_BACK}policy 2: entropy: far too little")
    assert is_begun(back, 1, "train", FASTER)
    assert not is_begun(finish(back, "second"), 1, "train", FASTER)


def test_people_are_told_what_stays_what_goes_and_what_is_made(run: RunFolder) -> None:
    lines = [line.split() for line in turn_text(plan_rerun(run, 1, "train", FASTER)).splitlines()]
    assert " ".join(lines[0]) == "rounds before 1 stay as they are; shards of the others:"
    assert lines[2] == ["round", "stage", "stay", "superseded", "to", "be", "made"]
    assert ["1", "score", "2", "-", "-"] in lines and ["1", "train", "-", "1", "1"] in lines
    redone = redo(run, 1, "train", FASTER, why="it collapsed")
    status = run_status(redone)
    assert [(entry["round"], entry["from"], entry["set"]) for entry in status["redone"]] == [(1, "train", FASTER)]
    told = status_text(status, "finished").splitlines()[1]
    assert told.startswith("redone from train of round 1 with train.learning_rate=0.5, 20") and "it collapsed" in told


BAD = [
    ((1, "scoring", FROZEN), "--from scoring: no such stage; choose from draw, generate, verify, condition, score, "),
    ((2, "score", FROZEN), "--round 2: .* has rounds 0 to 1"),
    ((-1, "score", FROZEN), "--round -1: .* has rounds 0 to 1"),
    ((1, "score", []), "from score of round 1 on, the same settings would change nothing, .*--from draw --set seed=1"),
    (
        (1, "score", ["shard_retries=5"]),
        "shard_retries=5 would change nothing; mopd run .* --set shard_retries=5 goes on",
    ),
    ((1, "score", ["rounds=3"]), "rounds=3 would change nothing; mopd run .* --set rounds=3 goes on with it"),
    ((1, "train", ["rounds=1", *FASTER]), "--set rounds=1: .* has 2 rounds; mopd fork .* --set rounds=1 has fewer"),
    (
        (1, "train", [*FASTER, *FROZEN]),
        "--set train.teacher=frozen: changes what score makes in round 1, which --from train keeps; give --from score",
    ),
    ((1, "score", ["seed=1"]), "--set seed=1: changes what draw makes in round 1, which --from score keeps"),
    ((1, "draw", ["model.path=other"]), "--set model.path: at round 1 the run goes on .*; redo it from round 0 for"),
    ((0, "train", ["train.learning_rate=-1"]), "train.learning_rate: Input should be greater than 0"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("run", ["folder"], indirect=True)
def test_what_can_not_be_redone_is_one_line(run: RunFolder, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        redo(run, *arguments)
    assert "\n" not in str(caught.value)
    assert RunFolder.open(run.store) == run


@pytest.mark.parametrize("run", ["folder"], indirect=True)
def test_a_round_below_that_is_not_finished_is_named(run: RunFolder) -> None:
    run.store.remove(manifests(run, "verdicts", 0)[0].file)
    with pytest.raises(InputError, match=r"--round 1: round 0 of .* is not finished; .* or redo it from round 0"):
        redo(run, 1, "score", FROZEN)


@pytest.mark.parametrize("run", ["folder"], indirect=True)
def test_a_round_whose_trainer_state_went_is_not_redone(run: RunFolder) -> None:
    run.store.remove("policies/round=0000/trainer")
    with pytest.raises(
        InputError, match=r"the trainer state that round 1 begins with was removed .*; redo it from round 0, or run"
    ):
        redo(run, 1, "score", FROZEN)
    redo(run, 1, "evaluate", ["evaluate.num_samples=3"])


def test_what_garbage_collection_removed_can_be_made_again_alone(run: RunFolder) -> None:
    redone = finish(redo(run, 1, "train", FASTER), "second")
    remove(redone, plan_removal(redone))
    assert verify_run(redone) == []
    with pytest.raises(InputError, match="5 of the 5 superseded shards are gone, as mopd gc removes them; mopd rerun"):
        plan_undo(redone)
    again = finish(redo(redone, 1, "train", ["train.learning_rate=1e-5"]), "third")
    assert written_by(again) == {0: {"first"}, 1: {"third"}}
    assert written_by(plan_undo(again).save()) == {0: {"first"}, 1: {"second"}}


def test_a_round_is_not_redone_from_a_policy_whose_weights_were_removed(run: RunFolder) -> None:
    remove_weights(run, manifests(run, POLICIES, 0)[0])
    with pytest.raises(StorageError, match="its weights were removed by mopd gc"):
        redo(run, 1, "train", FASTER)


@pytest.mark.parametrize("run", ["folder"], indirect=True)
def test_a_run_that_goes_on_is_neither_redone_nor_taken_back(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    redo(run, 1, "train", FASTER)
    with run_lock(run):
        assert main(["rerun", run.address, "--undo"]) == 2
    assert "is being run by process" in capsys.readouterr().err


ASKED: list[tuple[tuple[int | None, str | None, list[str]], bool, str]] = [
    ((None, None, []), False, "name what is redone: --round N --from STAGE, or --undo to take the last rerun back"),
    ((1, None, FROZEN), False, "name what is redone"),
    ((None, "train", []), False, "name what is redone"),
    ((1, None, []), True, "--undo: takes back the last rerun, and goes with no other option"),
    ((None, "train", []), True, "--undo: takes back"),
    ((None, None, FROZEN), True, "--undo: takes back"),
]


@pytest.mark.parametrize(("asked", "undo", "message"), ASKED)
def test_a_rerun_is_asked_for_or_taken_back(
    asked: tuple[int | None, str | None, list[str]], undo: bool, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        what_is_redone(*asked, undo=undo)
    assert "\n" not in str(caught.value)
    assert what_is_redone(0, "train", FROZEN, undo=False) == (0, "train")
    assert what_is_redone(None, None, [], undo=True) is None
