"""Promises: a run belongs to its settings; a folder that is no run is named as such."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.runs import RunFolder
from storage.stores.local import LocalStore

SETTINGS = {"seed": 1, "train": {"learning_rate": 1e-5, "betas": (0.9, 0.999)}, "evaluate": {"temperature": None}}


def test_the_same_settings_open_the_run_that_is_there(tmp_path: Path) -> None:
    first = RunFolder.create(tmp_path / "run", {"settings": SETTINGS, "revision": "old"})
    again = RunFolder.create(tmp_path / "run", {"settings": SETTINGS, "revision": "new"})
    assert again == first == RunFolder.open(tmp_path / "run")
    assert (again.run_id, again.document["revision"]) == ("run", "old")


def test_other_settings_are_refused_by_their_dotted_keys(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", {"settings": SETTINGS})
    other = {**SETTINGS, "train": {"learning_rate": 2e-5, "betas": (0.9, 0.999), "epochs": 2}}
    with pytest.raises(StorageError) as caught:
        RunFolder.create(tmp_path / "run", {"settings": other})
    message = str(caught.value)
    assert "train.learning_rate is 1e-05 there, 2e-05 here; train.epochs is absent there, 2 here" in message
    assert "another run folder" in message
    assert "betas" not in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"settings": {}}'])
def test_a_folder_that_is_no_run_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(StorageError, match=str(tmp_path)):
        RunFolder.open(tmp_path)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(StorageError, match="is a file"):
        RunFolder.create(tmp_path / "run", {"settings": {}})


def test_policies_lie_by_round(run: RunFolder) -> None:
    assert run.policy_place(3) == "policies/round=0003"


def test_what_a_process_that_was_killed_at_it_left_is_in_no_runs_way(tmp_path: Path) -> None:
    for name in ("run", "fork"):
        (tmp_path / name / "_tmp").mkdir(parents=True)
        (tmp_path / name / "_tmp" / "run.json-0123.partial").write_text("{")
    assert LocalStore(tmp_path / "run").is_empty()
    LocalStore(tmp_path / "fork").create_all({"run.json": b"{}"})
    assert [path.name for path in (tmp_path / "fork").iterdir()] == ["run.json"]
