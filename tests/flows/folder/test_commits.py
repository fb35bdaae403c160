"""Names of the hub in settings, and the commits that they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.folder.commits import fetch_names, hub_names, load_names, pinned
from flows.folder.open import check_inputs_unchanged, run_document
from flows.plan.run import RunPlan
from mopd.errors import InputError
from mopd.hub.names import HubName
from mopd.hub.views import publish_view, view_folder
from mopd.settings import Settings, parse_settings
from storage.runs import RunFolder

FIRST, SECOND = "1" * 40, "2" * 40
TREE: dict[str, Any] = {
    "model": {"path": "acme/student"},
    "tasks": {"kind": "file", "train": "hub:acme/sums#train", "heldout": "hub:acme/sums#test"},
    "train": {"teacher": {"kind": "external", "path": "acme/teacher@v1"}},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOPD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def settings() -> Settings:
    return parse_settings(TREE)


def put_into_cache(*names: HubName) -> None:
    """As if the models had been loaded."""
    for name in names:
        publish_view(view_folder(name), [])


def test_splits_of_a_data_set_come_from_one_commit(settings: Settings) -> None:
    commits = {"acme/student": FIRST, "hub:acme/sums": SECOND, "acme/teacher@v1": FIRST}
    at = pinned(settings, commits).model_dump()
    assert at["model"]["path"] == f"acme/student@{FIRST}"
    assert at["tasks"]["train"] == f"hub:acme/sums#train@{SECOND}"
    assert at["tasks"]["heldout"] == f"hub:acme/sums#test@{SECOND}"
    assert at["train"]["teacher"]["path"] == f"acme/teacher@{FIRST}"


def test_what_is_no_name_stays_as_it_is() -> None:
    assert hub_names(Settings()) == {}
    settings = parse_settings({"model": {"path": "a/b/c"}, "tasks": {"kind": "file", "train": "tasks.jsonl"}})
    assert hub_names(settings) == {}
    assert pinned(settings, {"acme/student": FIRST}) is settings


def test_a_folder_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme" / "student").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    settings = parse_settings({"model": {"path": "acme/student"}})
    assert hub_names(settings) == {}
    assert pinned(settings, {}) is settings
    assert pinned(settings, {"acme/student": FIRST}).model.path == f"acme/student@{FIRST}"  # a run began without it


def test_what_is_in_the_cache_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.folder.commits.in_own_process", None)
    name = HubName("model", "acme/student", None)
    put_into_cache(name.at(FIRST), name.at(SECOND))
    assert load_names({"model.path": name}, {"acme/student": FIRST}) == {"acme/student": FIRST}
    assert load_names({"model.path": name.at(SECOND)}, {}) == {f"acme/student@{SECOND}": SECOND}


def test_files_that_have_gone_are_not_there(tmp_path: Path) -> None:
    name = HubName("model", "acme/student", FIRST)
    weights = tmp_path / "weights"
    weights.touch()
    publish_view(view_folder(name), [weights])
    assert fetch_names(None, print, {"model.path": name}, False) == {"model.path": name}
    weights.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mopd.models.hub.fetch_matching", lambda *_: (_ for _ in ()).throw(InputError("asked")))
        with pytest.raises(InputError, match="asked"):
            fetch_names(None, print, {"model.path": name}, False)


def test_a_fork_keeps_commits_and_adds_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student, other = HubName("model", "acme/student", FIRST), HubName("model", "acme/other", SECOND)
    put_into_cache(student, other)
    digests = {"model_digest": "m", "teacher_digest": None, "tasks_digest": "t", "num_train": 9, "num_heldout": 0}
    asked: list[str] = []
    monkeypatch.setattr(
        "flows.folder.open._check_inputs_once", lambda settings, _: asked.append(settings.model.path) or digests
    )
    settings = parse_settings({"model": {"path": "acme/student"}})
    document = run_document(settings, "config", {**digests, "hub": {"acme/student": FIRST}})
    folder = RunFolder.create(tmp_path / "run", document)
    changed = parse_settings({"model": {"path": f"acme/other@{SECOND}"}})
    inputs = check_inputs_unchanged(folder, RunPlan.of(folder), changed)
    assert inputs["hub"] == {"acme/student": FIRST, f"acme/other@{SECOND}": SECOND}
    check_inputs_unchanged(folder, RunPlan.of(folder), settings)
    assert asked == [f"acme/other@{SECOND}", f"acme/student@{FIRST}"]


def test_pickled_weights_may_be_allowed_in_a_run_that_is_there() -> None:
    from flows.plan.stage import free_settings

    assert "model.allow_pickled_weights" in free_settings(Settings())
