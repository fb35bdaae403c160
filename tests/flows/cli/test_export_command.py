"""`mopd export`: what it says, and what it refuses before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flows.cli import main
from storage.errors import with_mending
from storage.runs import RunFolder
from tests.flows.plan.test_plan import finish, run_of
from tests.mopd.hub.hub_server import Hub
from tests.mopd.hub.hub_uploads import newest_files, writable_hub

REPO = "acme/policy"
MADE_BY = {"num_train": 4, "versions": {"mopd": "0.1.0"}, "code_revision": "abc"}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished run of made-up content."""
    folder, plan = run_of(tmp_path / "run")
    finish(folder, plan)
    made = replace(folder, document={**folder.document, **MADE_BY})
    made.save(folder)
    return made


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with writable_hub(monkeypatch) as hub:
        yield hub


def export(run: RunFolder, *words: object) -> int:
    return main(["export", str(run.path), *map(str, words)])


def test_it_says_where_and_what_is_to_be_filled_in(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = "README.md: the license is not known; fill it in, or give --license\n"
    assert export(run, tmp_path / "a", "--round", 1) == 0
    assert capsys.readouterr().out == f"{tmp_path}/a\n{unknown}"
    assert export(run, tmp_path / "b", "--round", "last", "--license", "mit") == 0
    assert capsys.readouterr().out == f"{tmp_path}/b: policy 2, of round 1: the newest\n"
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
        *("README.md", "config.json", "model.safetensors", "mopd.json")
    ]


def test_a_folder_and_the_hub_get_the_same(
    run: RunFolder, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(run, tmp_path / "a", "--round", 0, "--license", "mit", "--push", REPO) == 0
    there = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert {name: data for name, data in newest_files(hub, REPO).items() if name != ".gitattributes"} == there
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path}/a"
    assert second.endswith(": 4 files")
    assert there["README.md"].decode().count(REPO) >= 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--round", "0"], "give a FOLDER for the policy, or --push org/name, or both"),
        (["x", "--round", "0", "--private"], "--private: is for a repository of the hub; give --push org/name too, or"),
        (["--round", "0", "--push", "policy"], "--push policy: is no repository of the hub; write org/name"),
        (["x", "--round", "0", "--license", "My own"], "--license My own: is no identifier of a license; write it as"),
        (["x", "--round", "2"], "--round 2: the run has rounds 0 to 1"),
        (["", "--round", "0"], "is empty; name a folder"),
        (["s3://bucket/x", "--round", "0"], "'s3://bucket/x' is in a bucket; name a folder of this machine"),
    ],
)
def test_what_is_refused(
    run: RunFolder, words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.path.parent)
    assert export(run, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mopd: {message}")
    assert [path.name for path in run.path.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("round", ["1", "last"])
def test_a_damaged_policy_is_not_called_none_nor_passed_over(
    run: RunFolder, round: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = f"{run.policy_place(1)}/model.safetensors"
    size = (run.path / weights).stat().st_size
    (run.path / weights).write_bytes(b"")
    assert export(run, tmp_path / "a", "--round", round) == 2
    problem = f"{weights} has 0 bytes instead of {size}"
    assert capsys.readouterr().err == f"mopd: {with_mending(run.address, problem)}\n"
    assert not (tmp_path / "a").exists()


def test_a_push_without_a_token_writes_no_folder_either(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert export(run, tmp_path / "a", "--round", 0, "--push", REPO) == 2
    assert capsys.readouterr().err.startswith(f"mopd: --push {REPO}: the hub wants a token")
    assert not (tmp_path / "a").exists()
