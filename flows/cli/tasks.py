"""`mopd tasks import` and `mopd tasks show`; docs/tasks.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import Reader, Verifier, Whole

Source = Annotated[str, Parameter(name="SRC", help="a file, a folder, or a name such as human-eval; docs/tasks.md")]
Packages = Annotated[str, Parameter(metavar="NAMES", help="as verify.packages of a run: numpy,scipy")]
SkipBad = Annotated[bool, Parameter(help="leave bad rows out, and count them by reason")]


def import_(
    source: Source,
    /,
    *,
    out: Annotated[Path, Parameter(metavar="FILE", help="the file to write")],
    split: Annotated[
        str | None, Parameter(metavar="SHARES", help="train=0.9,test=0.1 writes FILE with -train and -test")
    ] = None,
    hide_tests: Annotated[
        float | None, Parameter(metavar="SHARE", help="of each code task's tests, from training")
    ] = None,
    seed: Annotated[Whole, Parameter(metavar="N", help="of the split and of the tests that are hidden")] = 0,
    force: Annotated[bool, Parameter(help="write over files that are there")] = False,
    reader: Reader = None,
    verifier: Verifier = None,
    packages: Packages = "",
    skip_bad: SkipBad = False,
) -> int:
    """Write the tasks of a source as JSON lines."""
    from flows.tasks_command import import_tasks, read_source

    tasks = read_source(source, reader, verifier, skip_bad=skip_bad, packages=_split(packages))
    import_tasks(tasks, out, split=split, hide=hide_tests, seed=seed, force=force)
    return 0


def show(
    source: Source,
    /,
    *,
    num: Annotated[Whole, Parameter(metavar="N", help="tasks to print")] = 5,
    reader: Reader = None,
    verifier: Verifier = None,
    packages: Packages = "",
    skip_bad: SkipBad = False,
) -> int:
    """Show counts, lengths, and the first few tasks."""
    from flows.tasks_command import read_source, show_tasks

    show_tasks(read_source(source, reader, verifier, skip_bad=skip_bad, packages=_split(packages)), num)
    return 0


def _split(packages: str) -> list[str]:
    return packages.replace(",", " ").split()
