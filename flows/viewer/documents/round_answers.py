"""Answers about single rounds, which are kept as long as the rounds' shards stay as they are.

Of a run that goes on only its last round is asked about again at each moment; the first time, all are by one query.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from storage.sql.catalog import Catalog

MOST_BYTES = 256_000_000
"""Of what is kept of a run: those that nobody asked for longest go first."""

Shards = tuple[str | None, ...]
"""What tells the shards of a round of some tables from others."""


@dataclass(frozen=True)
class RoundQuery:
    """A query about rounds, each of which it answers by itself."""

    name: str
    sql: str
    """Has a column `round`; `{where}` in it is a condition for that."""
    tables: tuple[str, ...]
    """That it reads."""

    def where(self, condition: str) -> str:
        """The query about rows of its tables that meet a condition."""
        return self.sql.replace("{where}", condition)


class RoundAnswers:
    """Those about one run; it may be asked from several threads at once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], tuple[Shards, pa.Table]] = OrderedDict()
        self._asking: dict[str, threading.Lock] = {}
        self._keeping = threading.Lock()

    def ask(
        self, query: RoundQuery, rounds: Iterable[int] | None, catalog: Catalog, ask: Callable[[str], pa.Table]
    ) -> pa.Table:
        """The answers about some rounds that have rollouts, or about all, in their order.

        `catalog`: of the run as it is now; `ask`: what of it answers a query.
        """
        with self._asking.setdefault(query.name, threading.Lock()):
            there = _describe(query, catalog)
            wanted = sorted(there if rounds is None else there.keys() & set(rounds))
            answers = {round: self._find(query, round, there[round]) for round in wanted}
            missing = [round for round, answer in answers.items() if answer is None]
            if not wanted:
                return ask(query.where("false"))
            if missing:
                asked = ask(query.where(_condition(missing, are_all=len(missing) == len(there))))
                answers |= {round: asked.filter(pc.field("round") == round) for round in missing}
            is_of_these = not missing or _describe(query, catalog) == there
            for round in missing if is_of_these else ():
                self._keep(query, round, there[round], answers[round])
        if not is_of_these:  # shards turned out to be damaged, or went
            return self.ask(query, rounds, catalog, ask)
        return pa.concat_tables(answers.values())

    def _find(self, query: RoundQuery, round: int, shards: Shards) -> pa.Table | None:
        with self._keeping:
            kept = self._kept.get((query.name, round))
            if kept is None or kept[0] != shards:
                return None
            self._kept.move_to_end((query.name, round))
            return kept[1]

    def _keep(self, query: RoundQuery, round: int, shards: Shards, answer: pa.Table) -> None:
        with self._keeping:
            self._kept[query.name, round] = (shards, answer)
            self._kept.move_to_end((query.name, round))
            size = sum(table.nbytes for _, table in self._kept.values())
            while size > MOST_BYTES and len(self._kept) > 1:
                size -= self._kept.popitem(last=False)[1][1].nbytes


def _describe(query: RoundQuery, catalog: Catalog) -> dict[int, Shards]:
    """The rounds that have rollouts, each with the shards of it that the query reads."""
    by_table = [catalog.describe_rounds(table) for table in query.tables]
    return {
        round: tuple(rounds.get(round) for rounds in by_table) for round in sorted(catalog.describe_rounds("rollouts"))
    }


def _condition(rounds: list[int], *, are_all: bool) -> str:
    """On a table's rows; written out, as a list that is bound is compared after all is read."""
    return "true" if are_all else f"round IN ({', '.join(map(str, rounds))})"
