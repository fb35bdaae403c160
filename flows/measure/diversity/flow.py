"""The flow around `mopd analyze diversity`, for a deployment: its tables stand in the Prefect UI too."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.measure.diversity.command import analyze
from mopd.errors import InputError

KEY = "mopd-diversity"


@flow(name="mopd-diversity", persist_result=False)
def analyze_diversity(runs: list[str], out: str | None = None) -> str:
    """How varied the replies of `runs` (folders) are, by round and policy, as a Markdown artifact and as files.

    `out`: the folder of page, table and plot; null as `mopd analyze diversity` chooses. Returns its path.
    """
    if not runs:
        raise InputError("runs: is empty; name the folder of a run")
    report, folder = analyze(runs, Path(out) if out else None)
    report.publish(KEY, f"diversity of replies; files in {folder}")
    return str(folder)
