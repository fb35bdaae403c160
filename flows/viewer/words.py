"""What the words of a command name: runs, and folders of what was measured of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.report.report import read_reports
from flows.viewer.documents.viewed import Json
from mopd.errors import InputError
from storage.stores.address import in_bucket


def split_words(words: Sequence[str]) -> tuple[list[str], list[Json]]:
    """The words that are for runs, and the reports that lie in the folders that the others name.

    Raises InputError where no word is left for a run, and for a report that is damaged.
    """
    reports = {word: read_reports(Path(word)) for word in words if not in_bucket(word) and Path(word).is_dir()}
    names = [word for word in words if not reports.get(word)]
    if not names:
        raise InputError(f"{' '.join(words)}: holds what was measured; name a run, too")
    return names, [report for found in reports.values() for report in found]
