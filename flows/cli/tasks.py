"""`mopd tasks import` and `mopd tasks show`; docs/tasks.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import Name, Reader, Source, WholeNumber

Packages = Annotated[str, Parameter(metavar="NAMES")]


def import_(
    source: Source,
    /,
    *,
    out: Annotated[Path, Parameter(metavar="FILE")],
    split: Annotated[str | None, Parameter(metavar="SHARES")] = None,
    hide_tests: Annotated[float | None, Parameter(metavar="SHARE")] = None,
    seed: WholeNumber = 0,
    force: bool = False,
    reader: Reader | None = None,
    verifier: Name | None = None,
    packages: Packages = "",
    skip_bad: bool = False,
) -> int:
    """Write the tasks of a source as JSON lines.

    Args:
        source: a file, a folder, hub:org/name#split, or a name such as human-eval; docs/tasks.md
        out: the file to write
        split: train=0.9,test=0.1 writes FILE with -train and -test
        hide_tests: of each code task's tests, from training
        seed: of the split and of the tests that are hidden
        force: write over files that are there
        reader: a function of yours that reads a row
        verifier: what judges all tasks, instead of what the rows say
        packages: as verify.packages of a run: numpy,scipy
        skip_bad: leave bad rows out, and count them by reason
    """
    from flows.cli.actions.task_sources import import_tasks, read_source

    tasks = read_source(source, reader, verifier, skip_bad=skip_bad, packages=_split(packages))
    import_tasks(tasks, out, split=split, hide=hide_tests, seed=seed, force=force)
    return 0


def show(
    source: Source,
    /,
    *,
    num: WholeNumber = 5,
    reader: Reader | None = None,
    verifier: Name | None = None,
    packages: Packages = "",
    skip_bad: bool = False,
) -> int:
    """Show counts, lengths, and the first few tasks.

    Args:
        source: a file, a folder, hub:org/name#split, or a name such as human-eval; docs/tasks.md
        num: tasks to print
        reader: a function of yours that reads a row
        verifier: what judges all tasks, instead of what the rows say
        packages: as verify.packages of a run: numpy,scipy
        skip_bad: leave bad rows out, and count them by reason
    """
    from flows.cli.actions.task_sources import read_source, show_tasks

    show_tasks(read_source(source, reader, verifier, skip_bad=skip_bad, packages=_split(packages)), num)
    return 0


def _split(packages: str) -> list[str]:
    return packages.replace(",", " ").split()
