"""The rows of whole groups, read from the shards that have them: token by token they are arrays, which SQL hasn't.

Shards hold whole groups, under one number in all tables of a round but `prompts`, where held-out ones may stand before
further ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from flows.viewer.documents.viewed import ViewedRun
from storage.errors import StorageError
from storage.manifests import Manifest
from storage.reading import Lists, ShardFile
from storage.schemas import Row
from storage.sql.tables import read_small_rows

KEYS = ("prompt_id", "sample")
COLUMNS: dict[str, tuple[str, ...]] = {
    "prompts": ("prompt_id", "dataset", "messages", "answer"),
    "rollouts": (*KEYS, *("policy_version", "prompt_token_ids", "token_ids", "text", "behavior_logprobs"))
    + ("finish_reason", "temperature", "seed"),
    "verdicts": (*KEYS, "reward", "success", "prediction", "feedback", "kind", "error"),
    "contexts": (*KEYS, "variant", "rendering", "peers", "messages", "num_tokens", "dropped", "no_section_reason"),
    "scores": (*KEYS, "teacher", "teacher_version", "policy_version", "token_ids", "behavior_logprobs")
    + ("proximal_logprobs", "teacher_logprobs", "reference_logprobs", "advantage", "distill")
    + ("support_ids", "support_teacher_logprobs", "support_student_logprobs"),
}
"""What is read of each table."""

Streams = dict[str, "Stream"]
"""Rows of a table by condition; "" is what the run trains on, and the only one of most tables."""


@dataclass(frozen=True)
class GroupRows:
    """The rollouts of a prompt in a round, with all that was made of them."""

    round: int
    prompt_id: str
    rows: dict[str, dict[str, dict[int, Row]]]
    """By table, condition and sample; a prompt's is that of sample 0."""
    keys: dict[str, dict[str, str]]
    """Keys of the shards, by table and condition."""

    @property
    def prompt(self) -> Row | None:
        """None where its shard is damaged."""
        return self.rows["prompts"].get("", {}).get(0)

    def of(self, table: str, condition: str = "") -> dict[int, Row]:
        """The rows of a table by sample, under one condition."""
        return self.rows[table].get(condition, {})

    @property
    def conditions(self) -> list[str]:
        """Contexts that any of its rollouts has, the run's own first."""
        return sorted({name for table in ("contexts", "scores") for name, rows in self.rows[table].items() if rows})


class Stream:
    """Rows of a shard in their order, one row group in memory at a time; taken group by group."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._head = next(rows, None)

    def take(self, prompt_id: str) -> dict[int, Row]:
        """The rows of the next group by sample, if it is this one's."""
        taken: dict[int, Row] = {}
        while self._head is not None and self._head["prompt_id"] == prompt_id:
            taken[self._head.get("sample", 0)] = self._head
            self._head = next(self._rows, None)
        return taken


def read_groups(run: ViewedRun, round: int, prompts: Collection[str]) -> Iterator[GroupRows]:
    """The groups of these prompts in a round, shard by shard, in the order of the shards.

    What is damaged is missing, and told of in the run's problems.
    """
    places = find_places(run, "rollouts", round)
    prompt_places = find_places(run, "prompts", round)
    sizes = Counter(shard for shard, _ in places.values())
    wanted = sorted((places[prompt_id], prompt_id) for prompt_id in set(prompts) if prompt_id in places)
    for shard, pairs in groupby(wanted, key=lambda pair: pair[0][0]):
        some = [prompt_id for _, prompt_id in pairs]
        asked_by, _ = prompt_places.get(some[0], (None, 0))
        numbers = dict.fromkeys(COLUMNS, shard) | {"prompts": asked_by}
        yield from _read_shards(run, round, numbers, some, is_whole=len(some) == sizes[shard])


def find_places(run: ViewedRun, table: str, round: int) -> dict[str, tuple[int, int]]:
    """By prompt the number of its shard in a table's round, and its place in it."""
    places: dict[str, tuple[int, int]] = {}
    for shard, prompt_id in _list_prompts(run, run.shards(table, round)):
        places.setdefault(prompt_id, (shard, len(places)))
    return places


def _list_prompts(run: ViewedRun, manifests: Sequence[Manifest]) -> Iterator[tuple[int, str]]:
    """The number of the shard and the prompt of each row."""
    try:
        rows = iter(read_small_rows(run.folder, manifests, ["prompt_id"]) if manifests else [])
    except StorageError as error:
        if len(manifests) > 1:  # which of them is damaged?
            for manifest in manifests:
                yield from _list_prompts(run, [manifest])
            return
        run.leave_out(str(error))
        return
    for manifest in manifests:
        yield from ((manifest.shard, row["prompt_id"]) for row in islice(rows, manifest.rows))


def _read_shards(
    run: ViewedRun, round: int, numbers: Mapping[str, int | None], prompts: Sequence[str], *, is_whole: bool
) -> Iterator[GroupRows]:
    """The groups of one shard of each table, by its number, that are asked for; `is_whole`: all of them are."""
    streams: dict[str, Streams] = {table: {} for table in COLUMNS}
    keys: dict[str, dict[str, str]] = {table: {} for table in COLUMNS}
    for table, columns in COLUMNS.items():
        for manifest in run.shards(table, round):
            if manifest.shard == numbers[table]:
                name = run.folder.renamed.get(manifest.key, manifest.name)
                streams[table][name] = Stream(_stream(run, manifest, columns, None if is_whole else prompts))
                keys[table][name] = manifest.key
    for prompt_id in prompts:
        rows = {table: {name: stream.take(prompt_id) for name, stream in one.items()} for table, one in streams.items()}
        yield GroupRows(round, prompt_id, rows, keys)


def _stream(run: ViewedRun, manifest: Manifest, columns: Sequence[str], prompts: Sequence[str] | None) -> Iterator[Row]:
    """The rows of some prompts, or of all; nothing after what can't be read."""
    try:
        file = ShardFile(run.folder, manifest)
        wanted = None if prompts is None else _find_rows(file, prompts)
        for first, part in file.parts(columns, wanted):
            for number in range(len(part["prompt_id"])):
                if wanted is None or first + number in wanted:
                    yield {name: _value(column, number) for name, column in part.items()}
    except StorageError as error:
        run.leave_out(str(error))


def _find_rows(file: ShardFile, prompts: Sequence[str]) -> set[int]:
    return {number for number, (prompt_id,) in enumerate(file.plain(["prompt_id"])) if prompt_id in prompts}


def _value(column: Lists | list[Any], number: int) -> Any:
    return column.row(number) if isinstance(column, Lists) else column[number]
