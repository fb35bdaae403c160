"""`mopd analyze diversity`: how varied the replies of runs are, by round and policy; docs/diversity.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.command import check_out
from flows.measure.diversity.report import diversity_report
from flows.measure.diversity.results import read_results
from flows.report.report import Report
from flows.runtime.shell import shell_command


def diversity_command(runs: Sequence[Path], out: Path | None) -> int:
    """Measure runs, write the results and print them. Returns the exit code."""
    report, folder = analyze(runs, out)
    print(f"{report.terminal()}\n\nresults: {folder / 'diversity.md'}, diversity.csv, diversity.png")
    return 0


def analyze(runs: Sequence[Path], out: Path | None) -> tuple[Report, Path]:
    """Measure runs and write page, table and plot to `out`; returns the report and that folder.

    Raises InputError or StorageError for runs that can't be measured; then nothing is written.
    """
    usual = runs[0] / "analysis" / "diversity" if len(runs) == 1 else Path("runs") / "diversity"
    folder = out or usual
    check_out(folder)
    report = diversity_report(read_results(runs), command=shell_command("analyze diversity", *runs))
    report.write(folder)
    return report, folder
