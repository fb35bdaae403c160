"""`mopd show` on runs that are incomplete, moved or without their model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.report.show import _peers_line, show_group, show_sample
from mopd.errors import InputError
from mopd.models.folders import resolve_model
from mopd.settings import parse_settings
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.shards import Manifest, commit_folder, read_rows
from tests.storage.storage_samples import commit, fill, make_rows


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run whose model is no longer where its settings say."""
    settings = parse_settings({"model": {"path": "models/moved"}})
    return RunFolder.create(tmp_path / "run", {"settings": settings.model_dump(mode="json")})


def test_a_group_without_its_prompt(run: RunFolder) -> None:
    commit(run, "rollouts", make_rows("rollouts", run.run_id))
    with pytest.raises(InputError, match="prompt a: round 0 has no row of it in prompts"):
        show_group(run, 0, "a")


def test_nothing_is_printed_when_there_is_no_tokenizer(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    fill(run)
    with pytest.raises(InputError, match="models/moved is not a folder"):
        show_sample(run, 0, "a", 1)
    assert capsys.readouterr().out == ""


def commit_tokenizer(run: RunFolder) -> None:
    def write(folder: Path) -> None:
        shutil.copy(resolve_model("tiny:llama") / "tokenizer.json", folder)

    commit_folder(run, round=0, key="0" * 64, parents=[], info={}, write=write)


def test_the_tokenizer_of_a_trained_policy_will_do(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    fill(run)
    commit_tokenizer(run)
    show_sample(run, 0, "a", 1)
    assert "largest differences" in capsys.readouterr().out


def test_a_sample_is_shown_from_its_own_rows_and_the_columns_that_are_shown(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(run)
    commit_tokenizer(run)
    read: list[tuple[str, int, int]] = []

    def watched(folder: RunFolder, manifest: Manifest, *args: Any) -> list[dict[str, Any]]:
        rows = read_rows(folder, manifest, *args)
        arrays = [value for row in rows for value in row.values() if isinstance(value, np.ndarray)]
        read.append((manifest.table, len(rows), max((array.ndim for array in arrays), default=0)))
        return rows

    monkeypatch.setattr("flows.report.show.read_rows", watched)
    show_sample(run, 0, "a", 1)
    assert read == [("rollouts", 1, 1), ("verdicts", 1, 0), ("contexts", 1, 0), ("scores", 1, 1)]


def test_a_sample_that_is_not_there_is_told_from_those_that_are(run: RunFolder) -> None:
    fill(run)
    with pytest.raises(InputError, match="--sample 7: the group has samples 0 to 1"):
        show_sample(run, 0, "a", 7)
    with pytest.raises(InputError, match="--prompt c: not in round 0; it has a, b"):
        show_sample(run, 0, "c", 0)
    with pytest.raises(InputError, match="--round 3: the run has no rollouts of this round"):
        show_sample(run, 3, "a", 0)


def test_what_may_be_in_a_damaged_shard_is_not_taken_for_missing(run: RunFolder) -> None:
    fill(run)
    (shard,) = (run.path / "verdicts").rglob("*.parquet")
    shard.unlink()
    with pytest.raises(StorageError, match=r"verdicts.* is missing: mopd repair .* makes it again$"):
        show_group(run, 0, "a")


def test_what_there_is_none_of_is_said_before_what_is_damaged(run: RunFolder) -> None:
    fill(run)
    next((run.path / "scores").rglob("*.parquet")).unlink()
    with pytest.raises(InputError, match="--sample 7: the group has samples 0 to 1"):
        show_sample(run, 0, "a", 7)


def test_what_the_teacher_saw_is_named_with_where_it_is_from() -> None:
    here = {"round": 3, "prompt_id": "a", "fallback": False, "cut": False}
    peers = [
        {**here, "role": "first_success", "sample": 0, "round": 1},
        {**here, "role": "summary", "sample": 2, "fallback": True},
        {**here, "role": "unrelated", "sample": 1, "prompt_id": "b", "cut": True},
        {**here, "role": "feedback", "sample": 7},
    ]
    context = {"round": 3, "prompt_id": "a", "peers": peers, "dropped": ["failure"], "no_section_reason": None}
    assert _peers_line(context) == (
        "first_success 0 (round 1), summary 2 (excerpt), unrelated 1 (prompt b, cut), feedback 7; "
        "dropped for the budget: failure"
    )
    alone = {**context, "peers": [], "dropped": [], "no_section_reason": "no successful peer"}
    assert _peers_line(alone) == "the prompt alone, no successful peer"
