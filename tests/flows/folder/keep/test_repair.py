"""Promises: damage of any kind in any table is found and named by its stage; set aside, it is made again as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flows.cli import main
from flows.folder.keep import repair as repairs
from flows.folder.keep.repair import mend, plan_repair
from flows.folder.keep.soundness import MISSING, OUTDATED, check_run, place_of
from flows.folder.open import run_lock
from mopd.errors import InputError
from storage.digest import digest_tables
from storage.manifests import POLICIES, TABLES, Manifest, manifest_name
from storage.policies import remove_weights
from storage.runs import RunFolder
from storage.shards import manifests
from tests.flows.folder.keep.conftest import SETTINGS
from tests.flows.rounds_by_jobs import make_run

pytestmark = pytest.mark.timeout(300)  # the run is made once, by the jobs
MADE = [table for table in TABLES if table not in ("answers", "choices", "rejudged", "guards")]
DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "flipped": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 4, *path.read_bytes()[1:]])),
    "deleted": lambda path: path.unlink(),
}


def last(run: RunFolder, table: str) -> Manifest:
    """The table's last shard, or the last policy."""
    return manifests(run, table)[-1]


def data_of(run: RunFolder, table: str) -> Path:
    name = "/model.safetensors" if table == POLICIES else ""
    return run.path / f"{last(run, table).file}{name}"


def manifest_of(run: RunFolder, table: str) -> Path:
    made = last(run, table)
    return run.path / manifest_name(run, table, made.round, made.shard, made.key)


def again(run: RunFolder, table: str) -> str:
    manifest = last(run, table)
    return place_of(table, manifest.round, manifest.shard)


def test_a_whole_run_is_sound(whole: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    soundness = check_run(whole)
    assert soundness.is_sound
    assert (soundness.to_come, soundness.unnamed) == (0, [])
    assert {one.table: one.rows for one in soundness.tables if one.table in ("rollouts", "scores", "policies")} == {
        "rollouts": 16,
        "scores": 32,  # with those of a control
        "policies": 0,
    }
    assert main(["verify", whole.address]) == 0
    assert capsys.readouterr().out.endswith(f"{whole.address}: sound\n")


@pytest.mark.parametrize("table", MADE)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_data_is_found_and_named_by_its_stage(run: RunFolder, table: str, damage: str) -> None:
    expected, path, manifest = again(run, table), data_of(run, table), manifest_of(run, table)
    DAMAGES[damage](path)
    (problem,) = check_run(run).damaged
    assert (problem.file, problem.again) == (path.relative_to(run.path).as_posix(), expected)
    assert problem.aside == manifest.relative_to(run.path).as_posix()


@pytest.mark.parametrize("table", MADE)
def test_a_damaged_manifest_is_found_and_one_that_is_gone_is_missed(run: RunFolder, table: str) -> None:
    expected, path = again(run, table), manifest_of(run, table)
    path.write_bytes(path.read_bytes()[:-9])
    (problem,) = check_run(run).damaged
    assert (problem.file, problem.again) == (path.relative_to(run.path).as_posix(), expected)
    path.unlink()
    soundness = check_run(run)
    assert [(one.reason, one.again) for one in soundness.lost] == [(MISSING, expected)]
    assert bool(soundness.damaged) == (table == POLICIES)  # the one before it has no trainer state to go on from


@pytest.mark.slow
@pytest.mark.parametrize("damage", [*DAMAGES, "manifest", "no manifest"])
def test_what_was_set_aside_is_made_again_as_it_was(whole: RunFolder, run: RunFolder, damage: str) -> None:
    """A shard of each table at once, the newest policy among them: the trainer state that its training begins with was
    removed, so the one before it is trained again too."""
    for table in MADE:
        if damage in DAMAGES:
            DAMAGES[damage](data_of(run, table))
        elif damage == "manifest":
            manifest_of(run, table).write_text("{")
        else:
            manifest_of(run, table).unlink()
    soundness = check_run(run)
    assert not soundness.is_sound
    mend(run, plan_repair(run, soundness))
    make_run(run.address, *SETTINGS)
    assert digest_tables(run) == digest_tables(whole)
    assert check_run(run).is_sound


def test_what_is_damaged_moves_with_its_manifest_and_the_reason(run: RunFolder) -> None:
    shard, name = last(run, "rollouts"), manifest_of(run, "rollouts").relative_to(run.path).as_posix()
    DAMAGES["flipped"](run.path / shard.file)
    place = run.path / mend(run, plan_repair(run, check_run(run)))
    assert sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()) == sorted(
        [name, shard.file, "why.json"]
    )
    assert shard.file in json.loads((place / "why.json").read_text())[name][0]
    assert not (run.path / shard.file).exists()


def test_rows_twice_and_rows_of_nothing_are_found(run: RunFolder) -> None:
    """A manifest under another shard's number, with the data of the first; and verdicts of rollouts that are gone."""
    name = manifest_of(run, "rollouts")
    twice = name.with_name(
        name.name.replace("shard-00000-", "shard-00007-").replace(".json", "")[:-12] + "0" * 12 + ".json"
    )
    content = {**json.loads(name.read_text()), "shard": 7, "key": "0" * 64}
    twice.write_text(json.dumps(content))
    reasons = {problem.aside: problem.reason for problem in check_run(run).damaged}
    assert reasons == {
        name.relative_to(run.path).as_posix(): "8 rows whose key is there twice",
        twice.relative_to(run.path).as_posix(): "8 rows whose key is there twice",
    }


def test_a_shard_made_from_others_than_stand_there_is_out_of_date(run: RunFolder) -> None:
    name = manifest_of(run, "verdicts")
    content = json.loads(name.read_text())
    content["parents"] = [f"{parent.partition(':')[0]}:{'0' * 64}" for parent in content["parents"]]
    name.write_text(json.dumps(content))
    soundness = check_run(run)
    assert soundness.damaged == []
    assert {one.reason for one in soundness.lost} == {OUTDATED}
    assert soundness.lost[0].again == "verify round 1 shard 0"


def test_a_run_that_has_just_trained_a_policy_misses_nothing(run: RunFolder) -> None:
    newest = last(run, POLICIES).round
    after = [*manifests(run, "updates", newest), *manifests(run, "guards", newest + 1)]
    after += manifests(run, "evaluations", newest + 1)
    for made in after:
        run.store.remove(manifest_name(run, made.table, made.round, made.shard, made.key))
    soundness = check_run(run)
    assert (soundness.lost, soundness.to_come) == ([], len(after))


def test_trainer_state_is_missed_beside_the_newest_policy_alone(run: RunFolder) -> None:
    shutil.rmtree(run.path / last(run, POLICIES).file / "trainer")
    (problem,) = check_run(run).damaged
    assert "no further round can be trained" in problem.reason


def test_a_damaged_index_goes_and_nothing_is_made_again(run: RunFolder) -> None:
    run.store.replace("index/rollouts/round=0000", b"damaged")
    repair = plan_repair(run, check_run(run))
    assert not repair.is_made_again
    mend(run, repair)
    assert check_run(run).is_sound


def test_a_policy_whose_weights_were_removed_is_not_missed(run: RunFolder, whole: RunFolder) -> None:
    remove_weights(run, manifests(run, POLICIES)[0])
    assert check_run(run).is_sound
    assert digest_tables(run) == digest_tables(whole)
    DAMAGES["flipped"](data_of(run, "rollouts"))  # by that policy
    (policy,) = plan_repair(run, check_run(run)).trained_again
    assert policy.again == "train round 0"


def test_a_damaged_policy_of_another_line_has_none_trained_again(run: RunFolder) -> None:
    """Nothing is made from it, so nothing that the run stands on is set aside for it."""
    first, newest = manifests(run, POLICIES)
    superseded = run.path / f"policies/round=0001-{'0' * 12}.json"
    made = replace(newest, key="0" * 64, file="policies/round=0001-9")
    shutil.copytree(run.path / newest.file, run.path / made.file)
    superseded.write_text(made.to_json())
    changed = RunFolder(run.store, {**run.document, "superseded": [made.key]})
    changed.save(run)
    DAMAGES["flipped"](run.path / made.file / "model.safetensors")
    repair = plan_repair(changed, check_run(changed))
    assert [(problem.aside, problem.again) for problem in repair.aside] == [(f"policies/{superseded.name}", "")]
    assert repair.trained_again == []
    assert (run.path / first.file).is_dir()


def test_what_can_not_be_made_again_is_said_before_anything_is_touched(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise InputError("the task source changed since the run was made; restore it or start a new run")

    monkeypatch.setattr(repairs, "check_inputs_unchanged", refuse)
    path = data_of(run, "prompts")
    DAMAGES["flipped"](path)
    assert main(["repair", run.address]) == 2
    assert "the task source changed" in capsys.readouterr().err
    assert path.exists()


def test_a_damaged_note_of_a_fork_is_for_people_to_mend(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    run.store.replace("forks/other.json", b"{")
    assert main(["verify", run.address]) == 1
    assert main(["repair", run.address]) == 1
    assert "remove it if no fork needs this run any more" in capsys.readouterr().out


def test_one_line_for_what_is_no_run_and_for_one_that_is_going_on(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"mopd: {tmp_path} is not a run: it has no run.json\n"
    with run_lock(run):
        assert main(["verify", run.address]) == 0
        for command in ("repair", "gc"):
            assert main([command, run.address]) == 2
            assert "is being run by process" in capsys.readouterr().err


def test_verify_for_programs(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    DAMAGES["deleted"](data_of(run, "scores"))
    assert main(["verify", run.address, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["sound"] is False
    assert said["command"] == f"mopd repair {run.address}"
    assert said["damaged"][0]["again"].startswith("score round 1 shard")
