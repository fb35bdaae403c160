"""What SQL knows of a run beside the rows of its shards: manifests, the plan, the words of the tokenizer.

Each is read when a query asks for it, once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from storage.index import Listing
from storage.lookup import find_problem
from storage.manifests import TABLES, Manifest, round_of
from storage.runs import RunFolder
from storage.schemas import Row
from storage.sql.datasets import LazyDataset

Rows = list[Row]


Span = tuple[int, int, dict[str, Any]]
"""The first and the last round that follow some settings, and those."""
LAST_ROUND = 2**31 - 1
"""Where a run ends that nobody plans."""


@dataclass(frozen=True)
class Knowledge:
    """What whoever plans runs knows of them, and storage doesn't; here nobody does."""

    stages: Callable[[], Mapping[str, str]] = dict
    """The verb of the stage that fills a table."""
    settings: Callable[[RunFolder], list[Span]] = lambda run: [(0, LAST_ROUND, run.document["settings"])]
    planned: Callable[[RunFolder], Rows] = lambda run: []
    """`shards` that a run is known to need, by `table_name`, `round` and `name`."""
    vocabulary: Callable[[RunFolder], Sequence[str]] = lambda run: []
    """The text of each token id of the run's model; none where that isn't at hand."""


NOTHING = Knowledge()

_TEXT, _INT, _LONG = pa.string(), pa.int32(), pa.int64()
_RUN = {"run": _TEXT}
_PLACE = {"stage": _TEXT, "table_name": _TEXT, "round": _INT}
_FILE = {"file": _TEXT, "home": _TEXT, "rows": _LONG, "bytes": _LONG, "sha256": _TEXT, "content": _TEXT}
_MADE = {"created": _TEXT, "parents": pa.list_(_TEXT), "info": _TEXT, "versions": _TEXT}
_KNOWN = {"shard": _INT, "name": _TEXT, "key": _TEXT, "superseded": pa.bool_(), "problem": _TEXT}
MANIFESTS = pa.schema({**_RUN, **_PLACE, **_KNOWN, **_FILE, **_MADE})
PLANNED = pa.schema({**_RUN, **_PLACE, "name": _TEXT, "shards": _LONG})
VOCABULARY = pa.schema({**_RUN, "token_id": _INT, "text": _TEXT})


class Facts(LazyDataset):
    """Rows that are made whole, once a query asks for them."""

    def __init__(
        self, run: RunFolder, schema: pa.Schema, make: Callable[[], Rows], *, keys: Iterable[str] = ()
    ) -> None:
        """`make` gives the rows, without `run`. `keys`: of what is joined, where it isn't asked for more than these."""
        super().__init__(schema)
        self._run, self._make, self._keys = run, make, frozenset(keys)
        self._table: pa.Table | None = None

    def _read(self, needed: pa.Schema, asked: list[str], condition: pc.Expression | None) -> Iterator[pa.RecordBatch]:
        if self._keys.issuperset(needed.names) and self._keys:
            return
        if self._table is None:
            rows = [{"run": self._run.run_id, **row} for row in self._make()]
            self._table = pa.Table.from_pylist(rows, schema=self.schema)
        yield from self._table.select(needed.names).to_batches()


class ManifestRows(LazyDataset):
    """One row a manifest that can be read, be its data whole or not."""

    def __init__(self, run: RunFolder, knowledge: Knowledge) -> None:
        super().__init__(MANIFESTS)
        self._run, self._knowledge = run, knowledge
        self._rows: dict[tuple[str, int], list[Row]] = {}
        """By table and round."""

    def _read(self, needed: pa.Schema, asked: list[str], condition: pc.Expression | None) -> Iterator[pa.RecordBatch]:
        for table in _choose(TABLES, self._say, condition):
            listing = Listing(self._run.store, self._run.store.list_files(f"{table}/"))
            names: dict[tuple[str, int], list[str]] = {}
            for name in listing.entries:
                if (round := round_of(name)) is not None:
                    names.setdefault((table, round), []).append(name)
            for place in _choose(names, self._say_place, condition):
                if place not in self._rows:
                    self._rows[place] = [row for name in names[place] for row in self._describe(name, listing)]
                yield from pa.Table.from_pylist(self._rows[place], schema=MANIFESTS).select(needed.names).to_batches()

    @cached_property
    def _stages(self) -> Mapping[str, str]:
        return self._knowledge.stages()

    def all(self) -> Rows:
        """The rows of every manifest."""
        return [row for batch in self.read(MANIFESTS, [], None) for row in batch.to_pylist()]

    def _say(self, table: str) -> pc.Expression:
        """What is known of all rows of a table."""
        stage = pc.field("stage")
        known = stage == self._stages[table] if table in self._stages else stage.is_null()
        return (pc.field("table_name") == table) & known

    def _say_place(self, place: tuple[str, int]) -> pc.Expression:
        return self._say(place[0]) & (pc.field("round") == place[1])

    def _describe(self, name: str, listing: Listing) -> Iterator[Row]:
        """The row of a manifest; none where it was removed meanwhile, or is damaged: `mopd verify` tells of those."""
        manifest = Manifest.read_whole(listing, name)
        if manifest is None:
            return
        same = ("round", "shard", "key", "file", "home", "rows", "bytes", "sha256", "created", "parents")
        yield {
            "run": self._run.run_id,
            "stage": self._stages.get(manifest.table),
            "table_name": manifest.table,
            "name": self._run.renamed.get(manifest.key, manifest.name),
            "superseded": manifest.key in self._run.superseded,
            "problem": find_problem(self._run, manifest, listing.entries) or None,
            "content": manifest.content,
            "info": as_json(manifest.info),
            "versions": as_json(manifest.versions),
            **{column: getattr(manifest, column) for column in same},
        }


Place = TypeVar("Place")


def _choose(
    places: Iterable[Place], say: Callable[[Place], pc.Expression], condition: pc.Expression | None
) -> list[Place]:
    """Those that may have rows which meet a condition, by what is known of all rows of each."""
    known, form, system = list(places), ds.ParquetFileFormat(), LocalFileSystem()
    fragments = [
        form.make_fragment(str(number), filesystem=system, partition_expression=say(place))
        for number, place in enumerate(known)
    ]
    chosen = ds.FileSystemDataset(fragments, MANIFESTS, form, system).get_fragments(condition)
    return [known[int(fragment.path)] for fragment in chosen]


def planned_rows(run: RunFolder, knowledge: Knowledge) -> Rows:
    """`shards` that a run is known to need, by stage, round and name."""
    return [{"stage": knowledge.stages().get(row["table_name"]), **row} for row in knowledge.planned(run)]


def vocabulary_rows(run: RunFolder, knowledge: Knowledge) -> Rows:
    """One row a token id."""
    return [{"token_id": number, "text": text} for number, text in enumerate(knowledge.vocabulary(run))]


def as_json(value: Any) -> str:
    """As DuckDB writes JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
