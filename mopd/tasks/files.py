"""Tasks from any source, every row checked before a device is taken.

Paths are relative to the folder that mopd is started in.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mopd.errors import InputError
from mopd.settings.tasks import FileTasks
from mopd.settings.verify import VerifySettings
from mopd.tasks.fields import Record, RowError, parse_record
from mopd.tasks.formats import digest, own, read_record
from mopd.tasks.sources import Source, expand, is_lines, open_source
from mopd.tasks.task import Task, TaskSplit, record_line, task_record
from mopd.verifiers import Problem, find_verifier, load_function
from mopd.verifiers.code.proof import Prover

HELDOUT_MARK = "@heldout"
"""Ends the id of a held-out task whose id is also trained on."""

OwnReader = Callable[[Record], Any]
"""record -> Task, or a record in our own row format."""


@dataclass(frozen=True)
class BadRow:
    """A row that is no task."""

    where: str
    problem: str
    """field: what is wrong; the fix."""


def read_task_files(settings: FileTasks, verify: VerifySettings = VerifySettings()) -> TaskSplit:  # noqa: B008 - frozen
    """Both sources of a run, whose code tasks are judged by `verify`.

    Raises InputError for a bad row, or for a task that is in both, unless that is allowed.
    Tasks are the same when their ids are, or when their user messages are but for case and white space.
    """
    train = _read_source(settings, settings.train, verify)[: settings.num_train]
    heldout = _read_source(settings, settings.heldout, verify)[: settings.num_heldout]
    train_ids = {task.id for task in train}
    if settings.overlap == "allow":
        return TaskSplit(train, [_marked(task) if task.id in train_ids else task for task in heldout])
    id_of_question = {task.question: task.id for task in train}
    for task in heldout:
        twin = task.id if task.id in train_ids else id_of_question.get(task.question)
        if twin is not None:
            raise InputError(
                f"{settings.heldout}: task {task.id!r} is held out and also trained on ({twin!r} in {settings.train}); "
                "remove it from one of them, or set tasks.overlap to allow"
            )
    return TaskSplit(train, heldout)


def sources_digest(settings: FileTasks, verify: VerifySettings = VerifySettings()) -> str:  # noqa: B008
    """sha256 of what a run's sources hold: the bytes of JSON lines, of anything else the tasks read from it.

    Raises InputError as `read_task_files` does, but for files of JSON lines.
    """
    total = hashlib.sha256()
    for source in (settings.train, settings.heldout):
        if source is not None:
            total.update(_source_digest(settings, source, verify))
    return total.hexdigest()


def read_tasks(
    source: str,
    *,
    reader: str | None = None,
    verifier: str | None = None,
    verify: VerifySettings = VerifySettings(),  # noqa: B008
) -> list[Task]:
    """The tasks of a source in their order. Raises InputError naming the first bad row, its field and the fix.

    `reader` names a user's function `package.module:function` that reads a row; `verifier` judges all tasks instead of
    those that the rows name. `verify` says in what sandbox code tasks show that they can fail.
    """
    tasks, bad = read_good_tasks(source, reader=reader, verifier=verifier, verify=verify)
    if bad:
        further = f" (and {len(bad) - 1} more bad rows; mopd tasks import --skip-bad leaves them out)"
        raise InputError(f"{bad[0].where}: {bad[0].problem}{further if len(bad) > 1 else ''}")
    return tasks


def read_good_tasks(
    source: str,
    *,
    reader: str | None = None,
    verifier: str | None = None,
    verify: VerifySettings = VerifySettings(),  # noqa: B008
) -> tuple[list[Task], list[BadRow]]:
    """The tasks of a source and its bad rows. Raises InputError when the source can't be read or holds neither."""
    own_reader = load_function(reader, "a reader") if reader else None
    if verifier:
        find_verifier(verifier)
    opened = open_source(source)
    tasks: list[Task] = []
    bad: list[BadRow] = []
    ids = _Ids(opened)
    with Prover(verify) as prover:
        for number, content in opened.rows:
            try:
                record = parse_record(content) if isinstance(content, str) else content
                task = _read(record, opened.dataset, own_reader, reader or "")
                tasks.append(ids.take(_judged(task, verifier, prover), number))
            except RowError as error:
                bad.append(BadRow(opened.where(number), str(error)))
    if not tasks and not bad:
        raise InputError(f"{source}: holds no task; write one JSON object a line")
    return tasks, bad


class _Ids:
    """One id a task: its own, or one made from its content, numbered where a row repeats."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rows: dict[str, int] = {}
        self._repeats: Counter[str] = Counter()

    def take(self, task: Task, number: int) -> Task:
        """The task with an id that no row before had. Raises RowError when its own is taken."""
        if not task.id:
            task = replace(task, id=self._made(task))
        if task.id in self._rows:
            raise RowError(
                f"id: {task.id!r} is already on {self._source.unit} {self._rows[task.id]}; give every task its own id"
            )
        self._rows[task.id] = number
        return task

    def _made(self, task: Task) -> str:
        made = f"{task.dataset}-{digest([task.messages, task.answer, task.tests])[:12]}"
        self._repeats[made] += 1
        return made if self._repeats[made] == 1 else f"{made}-{self._repeats[made]}"


def _read(record: Record, dataset: str, own_reader: OwnReader | None, name: str) -> Task:
    """The task of a record. Whatever a user's reader raises is said of the row."""
    if own_reader is None:
        return read_record(record, dataset)
    try:
        made = own_reader(record)
        made = task_record(made) if isinstance(made, Task) else made
    except Exception as error:
        problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise RowError(f"the reader {name} raised {problem}; mend the reader or the row") from error
    if not isinstance(made, dict):
        raise RowError(f"the reader {name} returned a {type(made).__name__}; return a Task or a dict of its fields")
    return own({key: value for key, value in made.items() if value is not None}, dataset)


def _judged(task: Task, verifier: str | None, prover: Prover) -> Task:
    """The task with its verifier, which can read what it will judge against. Raises RowError."""
    task = replace(task, verifier=verifier or task.verifier)
    if not task.verifier:
        raise RowError("verifier: missing; add it")
    try:
        chosen = find_verifier(task.verifier)
    except InputError as error:
        raise RowError(f"verifier: {error}") from error
    wrong = chosen.find_problem(Problem(task.answer, task.tests, task.metadata), prover)
    if wrong:
        raise RowError(wrong)
    return task


def _read_source(settings: FileTasks, source: str | None, verify: VerifySettings) -> list[Task]:
    if source is None:
        return []
    return read_tasks(source, reader=settings.reader, verifier=settings.verifier, verify=verify)


def _source_digest(settings: FileTasks, source: str, verify: VerifySettings) -> bytes:
    if settings.reader is None and is_lines(source):
        return hashlib.sha256(Path(expand(source)).read_bytes()).digest()
    tasks = _read_source(settings, source, verify)
    return hashlib.sha256("".join(record_line(task_record(task)) for task in tasks).encode()).digest()


def _marked(task: Task) -> Task:
    """Rows of a run are found by round and prompt id: a task on both sides needs two ids."""
    return replace(task, id=task.id + HELDOUT_MARK)
