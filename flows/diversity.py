"""`mopd analyze diversity`: how varied the replies of runs are, by round and policy; docs/diversity.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.command_text import shell_command

if TYPE_CHECKING:
    from flows.diversity_results import Results

PAGE, TABLE, PLOT = "diversity.md", "diversity.csv", "diversity.png"


def analyze(runs: Sequence[Path], out: Path | None) -> tuple[Results, Path]:
    """Measure runs and write page, table and plot to `out`; returns the results and that folder.

    Raises InputError or StorageError for runs that can't be measured; then nothing is written.
    """
    from flows.command import check_out
    from flows.diversity_plot import plot_png
    from flows.diversity_results import read_results
    from flows.diversity_tables import csv_text, markdown
    from storage.files import write_files

    folder = out or _default_out(runs)
    check_out(folder)
    results = read_results(runs)
    page = markdown(results, command=command_text(runs), plot=PLOT)
    files = {PAGE: page.encode(), TABLE: csv_text(results).encode(), PLOT: plot_png(results)}
    write_files(folder, files)
    return results, folder


def command_text(runs: Sequence[Path]) -> str:
    """The command that measures these runs."""
    return shell_command("analyze diversity", *runs)


def diversity_command(runs: Sequence[Path], out: Path | None) -> int:
    """Measure runs, write the results and print them. Returns the exit code."""
    from flows.diversity_tables import terminal_text

    results, folder = analyze(runs, out)
    print(f"{terminal_text(results)}\n\nresults: {folder / PAGE}, {TABLE}, {PLOT}")
    return 0


def _default_out(runs: Sequence[Path]) -> Path:
    return runs[0] / "analysis" / "diversity" if len(runs) == 1 else Path("runs") / "diversity"
