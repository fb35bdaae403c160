"""Promises: gc shows before it removes, removes what its rule says and nothing else, and the run stays what it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from flows.cli import main
from flows.folder.keep.clean import plan_removal, remove
from flows.folder.keep.soundness import check_run
from flows.folder.policies import policy_folder
from flows.plan.run import RunPlan
from storage.digest import digest_tables
from storage.errors import StorageError
from storage.manifests import POLICIES
from storage.runs import RunFolder
from storage.shards import commit_again, manifests
from storage.stores.files import LOCKS
from storage.stores.local import LOCK_FILE, LocalStore
from tests.storage.storage_samples import key_of

pytestmark = pytest.mark.timeout(300)


def files_of(run: RunFolder) -> set[str]:
    """Without locks."""
    files = (path for path in run.path.rglob("*") if path.is_file() and path.name not in (*LOCKS, LOCK_FILE))
    return {path.relative_to(run.path).as_posix() for path in files}


def weights_of(run: RunFolder, round: int) -> Path:
    return run.path / "policies" / f"round={round:04d}" / "model.safetensors"


def supersede(run: RunFolder, *keys: str) -> RunFolder:
    changed = RunFolder(run.store, {**run.document, "superseded": list(keys)})
    changed.save(run)
    return RunFolder.open(run.store)


def test_a_finished_run_has_nothing_to_remove(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan_removal(run) == []
    assert main(["gc", run.address, "--yes"]) == 0
    assert capsys.readouterr().out == f"{run.address}: nothing to remove\n"


def test_the_catalog_names_no_file_that_was_removed(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = RunPlan.of(run).rounds[1].scores[0]
    supersede(run, shard.key)
    assert main(["gc", run.address, "--yes"]) == 0
    monkeypatch.chdir(run.path)
    with duckdb.connect() as database:
        database.execute((run.path / "catalog.sql").read_text())
        assert database.execute("SELECT count(*) FROM shards WHERE key = ?", [shard.key]).fetchone() == (0,)


def test_it_is_shown_first_and_only_that_goes(
    run: RunFolder, whole: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(run)
    run.store.replace("rollouts/round=0000/shard-00009-0123456789ab.parquet", b"nobody's")
    (run.path / "_tmp" / "half.partial").write_bytes(b"half")
    run.store.replace("damaged/then/rollouts/shard.parquet", b"damaged")
    run.store.replace("analysis/page.md", b"a page of an analysis")
    assert main(["gc", run.address]) == 0
    shown = capsys.readouterr().out
    assert [line.split("  ")[0] for line in shown.splitlines()[2:]] == [
        "leftovers",
        "set aside",
        f"0 kB, to remove it: mopd gc {run.address} --yes",
    ]
    assert len(files_of(run)) == len(before) + 4
    assert main(["gc", run.address, "--yes"]) == 0
    assert files_of(run) == {*before, "analysis/page.md"}
    assert digest_tables(run) == digest_tables(whole)


def test_superseded_shards_go_but_for_data_that_others_name(run: RunFolder) -> None:
    gone, shared = manifests(run, "rollouts")
    commit_again(run, shared, key=key_of("another"), parents=[], info={})
    run = supersede(run, gone.key, shared.key)
    (removal,) = plan_removal(run)
    assert (removal.what, len(removal.files)) == ("rollouts", 3)
    remove(run, [removal])
    assert not (run.path / gone.file).exists()
    assert (run.path / shared.file).exists()
    assert [one.key for one in manifests(run, "rollouts")] == [key_of("another")]


def test_a_superseded_policy_goes_whole(run: RunFolder) -> None:
    policy = manifests(run, POLICIES)[-1]
    run = supersede(run, policy.key)
    (removal,) = plan_removal(run)
    remove(run, [removal])
    assert not (run.path / policy.file).exists()
    assert len(manifests(run, POLICIES)) == 1


def test_what_an_earlier_version_made_goes_and_what_the_plan_names_stays(run: RunFolder, whole: RunFolder) -> None:
    made = manifests(run, "verdicts")[0]
    name = run.path / f"verdicts/round=0000/shard-00000-{'0' * 12}.json"
    old = replace(made, key="0" * 64, created="2020-01-01T00:00:00.000000+00:00")
    name.write_text(old.to_json())
    (removal,) = plan_removal(run)
    assert list(removal.files) == [name.relative_to(run.path).as_posix()]  # its data has another name too
    remove(run, [removal])
    assert digest_tables(run) == digest_tables(whole)


def test_old_policies_lose_their_weights_and_the_run_stays_what_it_was(run: RunFolder, whole: RunFolder) -> None:
    (removal,) = plan_removal(run, keep_policies=1)
    assert removal.what == "policy 1"
    remove(run, [removal])
    assert not weights_of(run, 0).exists()
    assert (weights_of(run, 0).parent / "config.json").exists()
    assert weights_of(run, 1).exists()
    assert check_run(run).is_sound
    assert RunPlan.of(run).missing(run) == []
    assert digest_tables(run) == digest_tables(whole)
    assert plan_removal(run, keep_policies=1) == []
    with pytest.raises(
        StorageError,
        match=r"policies/round=0000 of .*: its weights were removed by mopd gc",
    ):
        policy_folder(run, 1)


@pytest.mark.parametrize(("number", "best"), [(2, None), (0, 1), (1, 1)])
def test_the_newest_and_the_best_stay(run: RunFolder, number: int, best: int | None) -> None:
    assert plan_removal(run, keep_policies=number, best=best) == []


def test_a_policy_by_which_something_is_still_to_be_made_stays(run: RunFolder) -> None:
    evaluation = manifests(run, "rollouts", 1)[0]
    (run.path / evaluation.file).unlink()
    assert plan_removal(run, keep_policies=1) == []


def test_what_a_fork_took_over_stays(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = {"fork": str(tmp_path / "fork"), "policy": 0, "files": [manifests(run, POLICIES)[0].file]}
    run.store.replace("forks/fork-1.json", json.dumps(note).encode())
    assert plan_removal(run, keep_policies=1) == []


def test_a_removal_that_is_killed_leaves_a_whole_run(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest says first that the weights go."""
    removals = plan_removal(run, keep_policies=1)

    def killed(store: LocalStore, name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LocalStore, "remove", killed)
        remove(run, removals)
    assert check_run(run).is_sound
    (again,) = plan_removal(run, keep_policies=1)
    remove(run, [again])
    assert not weights_of(run, 0).exists()


def test_a_negative_number_is_one_line(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", run.address, "--keep-policies", "-1"]) == 2
    assert capsys.readouterr().err == "mopd: --keep-policies -1: must be 0 or more\n"
