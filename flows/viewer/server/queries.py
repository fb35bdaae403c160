"""The page's query box: SQL, or a query that has a name, over one run or all; a time, and so many rows, for each."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flows.report.sql.knowledge import KNOWLEDGE
from flows.report.sql.rows import distinct, plain
from flows.viewer.documents.viewed import Json, ViewedRun
from mopd.errors import InputError
from storage.errors import StorageError
from storage.sql.catalog import Catalog, Stop
from storage.sql.described import describe_all
from storage.sql.named import NamedQuery, find_query, list_queries

MOST_ROWS = 1000
MOST_CHARACTERS = 2000
"""Of a cell."""
MOST_SECONDS = 30.0
_QUESTION = '{"run": "its id, or null for all", "sql": "SELECT 1", "named": null, "parameters": {}}'
_LARGEST_INTEGER = 2**53
"""Beyond it a browser's numbers are no longer exact."""


@dataclass(frozen=True)
class Question:
    """What the page asks: a statement, or the name of a query and its parameters as text."""

    run: str | None
    """Its id; None for all together."""
    sql: str
    named: str | None
    parameters: Mapping[str, str]

    @classmethod
    def of(cls, content: bytes) -> Question:
        """Raises InputError for what is none."""
        try:
            document = json.loads(content)
            run, named = (None if document[key] is None else str(document[key]) for key in ("run", "named"))
            parameters = {str(name): str(value) for name, value in document["parameters"].items()}
            return cls(run, str(document["sql"]), named, parameters)
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not a question: give JSON like {_QUESTION}") from error

    def bind(self, runs: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """The statement and its values. Raises StorageError."""
        if self.named is None:
            return self.sql, {}
        query = _find(self.named)
        return query.sql, query.bind(self.parameters, runs)


def query_list() -> list[Json]:
    """The queries that have a name, with what a form needs to ask them."""
    return [
        {
            "name": query.name,
            "about": query.about,
            "sql": query.sql,
            "parameters": [
                {"name": one.name, "kind": one.kind, "about": one.about, "default": one.default_text}
                for one in query.parameters.values()
            ],
        }
        for query in list_queries()
    ]


def table_list() -> list[Json]:
    """What can be asked, and what each column says; views, which join tables, first."""
    return [asdict(one) for one in describe_all()]


def answer(question: Question, runs: Sequence[ViewedRun], stop: Stop) -> Json:
    """Its rows, or in one line why there are none."""
    began = time.perf_counter()
    timer = threading.Timer(MOST_SECONDS, stop)
    timer.start()
    try:
        catalog = _catalog(runs)
        sql, values = question.bind([run.id for run in runs])
        result = catalog.ask(sql, values, most_rows=MOST_ROWS, stop=stop)
    except StorageError as error:
        return {"error": _stopped_text() if stop.was_called else str(error)}
    finally:
        timer.cancel()
    return {
        "columns": distinct(result.columns),
        "rows": [[_cell(value) for value in row] for row in result.rows],
        "is_cut": result.is_cut,
        "left_out": result.excluded,
        "seconds": time.perf_counter() - began,
    }


def _catalog(runs: Sequence[ViewedRun]) -> Catalog:
    if len(runs) == 1:
        return runs[0].catalog
    return Catalog([run.folder for run in runs], KNOWLEDGE, runs[0].memory_gigabytes)


def _stopped_text() -> str:
    return (
        f"stopped: a query may take {MOST_SECONDS:g} s here, and as long as it likes by mopd sql. A condition on round "
        "or prompt_id is what makes one over a big run fast"
    )


def _find(name: str) -> NamedQuery:
    """One of ours: a name that is a file's is for the command line, whose user may read it."""
    if name not in {query.name for query in list_queries()}:
        raise StorageError(f"no query is named {name}")
    return find_query(name)


def _cell(value: Any) -> Any:
    """A number, a truth, null, or text of no more than so many characters."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_INTEGER else str(value)
    text = str(plain(value))
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
