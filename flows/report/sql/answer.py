"""What `mopd sql` reads of its words, and prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from flows.report.sql.knowledge import KNOWLEDGE
from flows.report.sql.rows import format_result
from flows.report.sql.runs import open_runs
from mopd.errors import InputError
from storage.runs import RunFolder
from storage.sql.catalog import query_runs
from storage.sql.database import told_apart
from storage.sql.named import find_query, list_queries
from storage.stores.address import in_bucket

Form = Literal["table", "csv", "json"]


def list_text(form: Form) -> str:
    """The queries that have a name: what each answers, and its parameters with their defaults."""
    rows = [(query.name, query.about, " ".join(map(str, query.parameters.values()))) for query in list_queries()]
    return format_result(["name", "answers", "parameters"], rows, form)


def sql_command(
    words: Sequence[str], named: str | None, parameters: Sequence[str], *, together: bool, form: Form
) -> tuple[str, bool]:
    """The answer, and whether no shard had to be left out. Raises InputError or StorageError in one line.

    `words`: the runs, then the statement, where none is `named`. `together`: several runs are asked at once.
    """
    names, statement = _split(words, named, together)
    query = None if named is None else find_query(named)
    if query is None and parameters:
        raise InputError("--param: is for --named; write the value into the statement")
    runs = open_runs(names) if together else [_open_one(names[0])]
    if query is None:
        result = query_runs(runs, statement, knowledge=KNOWLEDGE)
    else:
        values = query.bind(_read_pairs(parameters), [run.run_id for run in told_apart(runs)])
        result = query_runs(runs, query.sql, values, KNOWLEDGE)
    return format_result(result.columns, result.rows, form), not result.excluded


def _split(words: Sequence[str], named: str | None, together: bool) -> tuple[Sequence[str], str]:
    """The runs, and the statement; "" where a query is named."""
    for word in words:
        if word.startswith("--") and not any(map(str.isspace, word)):
            raise InputError(f"{word}: not taken by this command; --help lists its arguments")
    runs, statements = (words, []) if named is not None else (words[:-1], words[-1:])
    if not runs:
        what = "give a run and a statement, or --named NAME; --list shows the queries that have a name"
        raise InputError(f"{words[0]}: {what}" if words else what)
    if len(runs) > 1 and not together:
        if named is not None:
            raise InputError("--named: takes the place of the statement; name one run, or several after --all")
        raise InputError(
            f"{len(runs)} runs are named; to ask several: mopd sql --all RUN RUN …, then a statement in quotes"
        )
    return runs, "".join(statements)


def _open_one(name: str) -> RunFolder:
    return RunFolder.open(name if in_bucket(name) else Path(name))


def _read_pairs(parameters: Sequence[str]) -> dict[str, str]:
    """By name; of one that is given twice, the last."""
    for text in parameters:
        if "=" not in text:
            raise InputError(f"--param {text}: write KEY=VALUE")
    pairs = (text.partition("=") for text in parameters)
    return {name.strip(): value for name, _, value in pairs}
