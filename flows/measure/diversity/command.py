"""`mopd analyze diversity`: how varied the replies of runs are, by round and policy; docs/diversity.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.command import check_out
from flows.measure.diversity.report import diversity_report
from flows.measure.diversity.results import read_results
from flows.report.report import Report
from flows.runtime.shell import shell_command
from storage.stores.address import Address, in_bucket, open_store


def diversity_command(runs: Sequence[Address], out: Path | None) -> int:
    """Measure runs, write the results and print them. Returns the exit code."""
    report, folder = analyze(runs, out)
    print(f"{report.terminal()}\n\nresults: {folder / 'diversity.md'}, diversity.csv, diversity.json, diversity.png")
    return 0


def analyze(runs: Sequence[Address], out: Path | None) -> tuple[Report, Path]:
    """Measure runs and write page, table and plot to `out`; returns the report and that folder.

    Raises InputError or StorageError for runs that can't be measured; then nothing is written.
    """
    run = open_store(runs[0]).host_folder if in_bucket(runs[0]) else Path(runs[0])
    usual = run / "analysis" / "diversity" if len(runs) == 1 else Path("runs") / "diversity"
    folder = out or usual
    check_out(folder)
    report = diversity_report(read_results(runs), command=shell_command("analyze diversity", *runs))
    report.write(folder)
    return report, folder
