"""The scores of a round as training reads them: from their shards, the rows of one optimizer step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flows.execute.work import Rows, manifest_of
from flows.plan.shard import Shard
from storage.reading import Lists, ShardFile
from storage.runs import RunFolder

KEY = ("prompt_id", "sample")
Key = tuple[int, str, int]
"""Place of a shard among the round's, prompt and sample."""


class RoundScores:
    """Score rows with columns of the tables that they were made from, which have a row of the same key for each.

    What has an entry a token stays in the files until it is asked for.
    """

    def __init__(self, folder: RunFolder, shards: Sequence[Shard], columns: dict[str, tuple[str, ...]]) -> None:
        """`columns` are those to be read, by table. Raises StorageError for a shard that is damaged, or not there."""
        self._columns = columns
        self._files = {table: [_open(folder, shard, table) for shard in shards] for table in columns}
        self._numbers = {table: self._number_rows(table) for table in columns}
        self.rows: Rows = self._read_light_rows()
        """Place, key and policy version of each row, in the order of the shards."""

    def read(self, rows: Rows) -> Rows:
        """Some of `rows` with all their columns, in their order; arrays are copies, so that no file stays in memory."""
        full_rows: dict[Key, dict[str, Any]] = {_key(row): {} for row in rows}
        for table in self._columns:
            for place in sorted({row["place"] for row in rows}):
                self._fill(full_rows, table, place)
        return [full_rows[_key(row)] for row in rows]

    def _fill(self, full_rows: dict[Key, dict[str, Any]], table: str, place: int) -> None:
        """Add the columns of one table that the rows of one shard have."""
        rows = {self._numbers[table][key]: row for key, row in full_rows.items() if key[0] == place}
        for first, part in self._files[table][place].parts(self._columns[table], rows):
            count = len(next(iter(part.values())))
            for number in rows.keys() & range(first, first + count):
                rows[number].update({name: _value(column, number - first) for name, column in part.items()})

    def _number_rows(self, table: str) -> dict[Key, int]:
        """The number of each row in its shard."""
        return {
            (place, prompt, sample): number
            for place, file in enumerate(self._files[table])
            for number, (prompt, sample) in enumerate(file.plain(KEY))
        }

    def _read_light_rows(self) -> Rows:
        versions = [[version for (version,) in file.plain(("policy_version",))] for file in self._files["rollouts"]]
        return [
            {
                "place": key[0],
                **dict(zip(KEY, key[1:], strict=True)),
                "policy_version": versions[key[0]][self._numbers["rollouts"][key]],
            }
            for key in self._numbers["scores"]
        ]


def _open(folder: RunFolder, scores: Shard, table: str) -> ShardFile:
    shard = scores if table == "scores" else scores.input(table)
    return ShardFile(folder, manifest_of(folder, shard))


def _key(row: dict[str, Any]) -> Key:
    return row["place"], row["prompt_id"], row["sample"]


def _value(column: Lists | list[Any], index: int) -> Any:
    if not isinstance(column, Lists):
        return column[index]
    view = column.row(index)
    return None if view is None else np.array(view)
