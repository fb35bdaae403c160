"""What was measured of runs, beside them: the reports of compare, eval, probe, signal and diversity."""

from __future__ import annotations

from collections.abc import Sequence

from flows.report.report import read_reports
from flows.viewer.documents.viewed import Json, ViewedRun


def measures(reports: Sequence[Json]) -> Json:
    """The reports as they were written."""
    return {"reports": list(reports)}


def analyses(run: ViewedRun) -> list[Json]:
    """The reports that lie in the run itself, where `mopd analyze` and `mopd probe` put them."""
    folders = sorted(path for path in (run.folder.path / "analysis").glob("*") if path.is_dir())
    return [{**report, "where": str(folder)} for folder in folders for report in read_reports(folder)]
