"""What words name: runs, what was measured, and folders that hold both."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.report.report import Report
from flows.report.table import Table
from flows.viewer.server.runs import ServedRuns
from flows.viewer.words import find_runs, split_words
from mopd.errors import InputError
from storage.runs import RunFolder
from tests.flows.plan.test_plan import run_of


def measure(folder: Path, title: str) -> None:
    Report(title, [], [], Table([], [])).write(folder)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A run in which a report lies, and what `mopd eval` left beside it."""
    run_of(tmp_path / "runs" / "one")
    measure(tmp_path / "runs" / "one", "Beside")
    RunFolder.create(tmp_path / "runs" / "eval-1", {"settings": {}, "models": []})
    measure(tmp_path / "runs" / "eval-1", "Evaluated")
    return tmp_path / "runs"


def named(words: list[Path]) -> tuple[list[str], list[str]]:
    """Names of runs, titles of reports."""
    names, reports = split_words(list(map(str, words)))
    folders, measured = find_runs(names)
    return [folder.name for folder in folders], [report["title"] for report in [*measured, *reports]]


def test_an_evaluation_in_a_folder_of_runs_is_a_measure(runs: Path) -> None:
    assert named([runs]) == (["one"], ["Evaluated"])
    served = ServedRuns([str(runs)])
    assert [live.id for live in served.all()] == ["one"]
    assert [report["title"] for report in served.reports()] == ["Evaluated"]
    run_of(runs / "two")
    measure(runs / "eval-1", "Evaluated again")
    served.look()
    assert [live.id for live in served.all()] == ["one", "two"]
    assert [report["title"] for report in served.reports()] == ["Evaluated again"]


def test_a_run_and_a_folder_of_runs_with_a_report_are_both(runs: Path) -> None:
    assert named([runs / "one"]) == (["one"], ["Beside"])
    measure(runs, "Of all")
    assert named([runs]) == (["one"], ["Evaluated", "Of all"])


def test_without_a_run_there_is_nothing_to_show(runs: Path) -> None:
    assert named([runs / "eval-1", runs / "one"]) == (["one"], ["Evaluated", "Beside"])
    with pytest.raises(InputError, match="eval-1: holds what was measured; name a run, too"):
        named([runs / "eval-1"])
    with pytest.raises(InputError, match=r"eval-\*: holds what was measured; name a run, too"):
        named([runs / "eval-*"])
