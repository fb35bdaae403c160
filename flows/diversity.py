"""`mopd analyze diversity`: how varied the replies of runs are, by round and policy; docs/diversity.md."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.report.report import Report


def add_diversity_parser(commands: Any) -> None:
    """Hang `diversity` under the subcommands of `mopd analyze`."""
    diversity = commands.add_parser("diversity", help="how varied replies are, by round and policy")
    diversity.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="several: compared with the first")
    default = "default: RUN/analysis/diversity; of several runs runs/diversity"
    diversity.add_argument("--out", type=Path, metavar="DIR", help=f"for the page, the table and the plot; {default}")
    diversity.set_defaults(command=_diversity)


def analyze(runs: Sequence[Path], out: Path | None) -> tuple[Report, Path]:
    """Measure runs and write page, table and plot to `out`; returns the report and that folder.

    Raises InputError or StorageError for runs that can't be measured; then nothing is written.
    """
    from flows.command import check_out
    from flows.diversity_report import diversity_report
    from flows.diversity_results import read_results

    folder = out or _default_out(runs)
    check_out(folder)
    report = diversity_report(read_results(runs), command=command_text(runs))
    report.write(folder)
    return report, folder


def command_text(runs: Sequence[Path]) -> str:
    """The command that measures these runs."""
    return f"mopd analyze diversity {' '.join(map(str, runs))}"


def _diversity(arguments: argparse.Namespace) -> int:
    report, folder = analyze(arguments.runs, arguments.out)
    print(f"{report.terminal()}\n\nresults: {folder / 'diversity.md'}, diversity.csv, diversity.png")
    return 0


def _default_out(runs: Sequence[Path]) -> Path:
    return runs[0] / "analysis" / "diversity" if len(runs) == 1 else Path("runs") / "diversity"
