"""`mopd tasks`: what a source holds, and its tasks as files of our own format."""

from __future__ import annotations

import json
import re
import statistics
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from flows.report.text import Cell, percent, text_table
from flows.runtime.console import Transfers
from mopd.errors import InputError
from mopd.hub.names import dataset_name
from mopd.settings.verify import VerifySettings
from mopd.tasks.files import BadRow, read_good_tasks, read_tasks
from mopd.tasks.hub import fetch_dataset
from mopd.tasks.shaping import count_tests, parse_shares, shape_tasks
from mopd.tasks.task import Task, record_line, task_record
from storage.stores.files import fsync_path, link_exclusive, write_durably

NUM_REASONS = 10
LONGEST_SHOWN = 2000
"""Characters of a message or of tests that `show` prints."""


def read_source(
    source: str, reader: str | None, verifier: str | None, *, skip_bad: bool, packages: Sequence[str] = ()
) -> list[Task]:
    """The tasks of a source, whose code may import `packages`.

    Raises InputError for a bad row, or prints how many were left out for which reason.
    """
    verify = VerifySettings(packages=tuple(packages))
    source = _loaded(source)
    if not skip_bad:
        return read_tasks(source, reader=reader, verifier=verifier, verify=verify)
    tasks, bad = read_good_tasks(source, reader=reader, verifier=verifier, verify=verify)
    if not tasks:
        raise InputError(f"{source}: none of its {len(bad)} rows is a task; the first: {bad[0].problem}")
    if bad:
        print(f"left out {len(bad)} of {len(tasks) + len(bad)} rows\n{_reasons(bad)}\n")
    return tasks


def _loaded(source: str) -> str:
    """The source; a data set of the hub at its commit, loaded, and said how far that is. Raises InputError."""
    repository = dataset_name(source)
    if repository is None:
        return source
    transfers = Transfers(lambda line: print(line, file=sys.stderr, flush=True))
    return str(fetch_dataset(repository, "", progress=transfers.report))


def import_tasks(
    tasks: list[Task], out: Path, *, split: str | None, hide: float | None, seed: int, force: bool
) -> None:
    """Write tasks as JSON lines, and say what was written. Raises InputError before anything is."""
    if hide is not None and not 0.0 < hide < 1.0:
        raise InputError(f"--hide-tests {hide:g}: must lie between 0 and 1; 0.5 hides half of each task's tests")
    shares = parse_shares(split) if split is not None else None
    parts = shape_tasks(tasks, shares=shares, hide=hide, seed=seed)
    files = {out.with_stem(f"{out.stem}-{name}") if name else out: part for name, part in parts.items()}
    _write(files, force=force)
    repeats = len(tasks) - len({task.question for task in tasks})
    if repeats:
        print(f"{repeats} of {len(tasks)} tasks ask what an earlier one asks")
    for path, part in files.items():
        counts = [count for task in part if (count := count_tests(task)) is not None]
        print(f"{path}: {len(part)} tasks" + (f" with {sum(counts)} tests" if counts else ""))


def show_tasks(tasks: list[Task], num: int) -> None:
    """Print a table by data set and verifier, then the first `num` tasks."""
    console = Console(highlight=False, soft_wrap=True)
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.dataset, task.verifier), []).append(task)
    console.print(Text(text_table([_group_row(*names, group) for names, group in groups.items()])))
    for task in tasks[: max(num, 0)]:
        _print_task(console, task)


def _group_row(dataset: str, verifier: str, tasks: list[Task]) -> dict[str, Cell]:
    lengths = [sum(len(message["content"]) for message in task.messages) for task in tasks]
    tests = [count for task in tasks if (count := count_tests(task)) is not None]
    return {
        "dataset": dataset,
        "verifier": verifier,
        "tasks": len(tasks),
        "questions": len({task.question for task in tasks}),
        "characters, median": int(statistics.median(lengths)),
        "longest": max(lengths),
        "tests, median": statistics.median(tests) if tests else None,
        "fewest": min(tests, default=None),
        "most": max(tests, default=None),
        "without answer": percent(sum(not task.answer for task in tasks), len(tasks)),
    }


def _print_task(console: Console, task: Task) -> None:
    console.print(Rule(Text(f"{task.id}, {task.dataset}, {task.verifier}"), align="left"))
    for message in task.messages:
        console.print(Text(f"[{message['role']}]", style="cyan"))
        console.print(Text(_cut(message["content"])))
    if task.answer:
        console.print(Text("[answer]", style="green"))
        console.print(Text(_cut(task.answer)))
    if task.tests:
        tests = json.loads(task.tests)
        console.print(Text(f"[{count_tests(task)} tests, {tests['testtype']}; the first]", style="green"))
        first = [tests[name][0] for name in ("inputs", "outputs") if tests.get(name)]
        console.print(Text(_cut("\n-> ".join(part if isinstance(part, str) else json.dumps(part) for part in first))))


def _cut(text: str) -> str:
    more = len(text) - LONGEST_SHOWN
    return text if more <= 0 else f"{text[:LONGEST_SHOWN]} … ({more:,} more characters)"


def _reasons(bad: list[BadRow]) -> str:
    """Bad rows by reason, the most frequent first; values in quotes don't make another reason."""
    groups: dict[str, list[BadRow]] = {}
    for row in bad:
        groups.setdefault(re.sub(r"""'[^']*'|"[^"]*"|\d+""", "…", row.problem), []).append(row)
    ranked = sorted(groups.values(), key=len, reverse=True)
    lines = [f"  {len(group)}: {group[0].problem} (first: {group[0].where})" for group in ranked[:NUM_REASONS]]
    rest = sum(map(len, ranked[NUM_REASONS:]))
    return "\n".join(lines + ([f"  {rest}: for other reasons"] if rest else []))


def _write(files: dict[Path, list[Task]], *, force: bool) -> None:
    """Each file whole or not at all: all are written aside before the first gets its name."""
    for path in files:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file")
        if path.exists() and not force:
            raise _is_there(path)
    aside = {path: path.parent / f".{path.name}-{uuid.uuid4().hex}" for path in files}
    try:
        for path, tasks in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(aside[path], "".join(record_line(task_record(task)) for task in tasks).encode())
        for path, written in aside.items():
            if force:
                written.replace(path)
                fsync_path(path.parent)
            elif not link_exclusive(written, path):
                raise _is_there(path)
    finally:
        for written in aside.values():
            written.unlink(missing_ok=True)


def _is_there(path: Path) -> InputError:
    return InputError(f"{path}: is there already; name another file, or give --force to write over it")
