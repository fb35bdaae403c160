"""What was measured of runs, beside them: the reports of compare, eval, probe, signal and diversity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.report.report import read_reports
from flows.viewer.documents.viewed import Json, ViewedRun
from mopd.errors import InputError


def measures(reports: Sequence[Json]) -> Json:
    """The reports as they were written."""
    return {"reports": list(reports)}


def analyses(run: ViewedRun) -> list[Json]:
    """The reports that lie in the run itself, where `mopd analyze` and `mopd probe` put them. Of those that can't be
    read, the run's problems say why."""
    folders = sorted(path for path in (run.folder.path / "analysis").glob("*") if path.is_dir())
    return [report for folder in folders for report in _read(run, folder)]


def _read(run: ViewedRun, folder: Path) -> list[Json]:
    try:
        return [{**report, "where": run.without_places(str(folder))} for report in read_reports(folder)]
    except (InputError, OSError) as error:
        run.leave_out(str(error))
        return []
