"""What the words of a command name: runs, and folders of what was measured of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.plan.run import DIGESTS
from flows.report.report import read_reports
from flows.report.sql.runs import open_runs
from flows.viewer.documents.viewed import Json
from mopd.errors import InputError
from storage.runs import RunFolder, is_run
from storage.stores.address import in_bucket


def split_words(words: Sequence[str]) -> tuple[list[str], list[Json]]:
    """The words that are for runs, and the reports that lie in the folders that words name: a folder may have both.

    Raises InputError where no word is left for a run, and for a report that is damaged.
    """
    reports = {word: read_reports(Path(word)) for word in words if not in_bucket(word) and Path(word).is_dir()}
    names = [word for word in words if not reports.get(word) or _has_runs(Path(word))]
    if not names:
        raise _no_run(words)
    return names, [report for of_word in reports.values() for report in of_word]


def find_runs(words: Sequence[str]) -> tuple[list[RunFolder], list[Json]]:
    """The runs that such words name, and the reports of what `mopd eval` left among them. Raises InputError."""
    folders = open_runs(words)
    measured = {folder.address: read_reports(folder.path) for folder in folders if _may_be_measured(folder)}
    runs = [folder for folder in folders if not measured.get(folder.address)]
    if not runs:
        raise _no_run(words)
    return runs, [report for reports in measured.values() for report in reports]


def _has_runs(folder: Path) -> bool:
    """Whether a folder that has a report is a run, or holds some."""
    if is_run(folder):
        return not _may_be_measured(RunFolder.open(folder))
    return any(path.is_dir() and is_run(path) for path in folder.iterdir())


def _may_be_measured(folder: RunFolder) -> bool:
    """Whether it is no run that was planned: an evaluation has rows, as a run does, and its report beside them."""
    return not in_bucket(folder.address) and not folder.document.keys() >= set(DIGESTS)


def _no_run(words: Sequence[str]) -> InputError:
    return InputError(f"{' '.join(words)}: holds what was measured; name a run, too")
