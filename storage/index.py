"""A round of a table in one file: its manifests, and its small columns. A hint: nothing is true because it is there.

    index/TABLE/round=0000    sha256 of the rest, in hex, then an Arrow file

It says which files it was made from, with the sizes and stamps that a listing showed. Its rows count while a listing
shows just these, its copy of a manifest while it shows that one so. Whatever doesn't fit is read where it lies.
`storage.sql.tables` makes them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from storage.errors import StorageError
from storage.stores.base import Entry, Store

INDEX = "index"
FORMAT = 1
MANY = 16
"""So many shards of a round are worth an index."""
_HASH_LETTERS = 64
_PACKING = "zstd"


@dataclass(frozen=True)
class ShardRows:
    """A shard whose rows are among a table's: where they lie, and what their manifest says of them."""

    file: str
    home: str
    """The run that has the file; "": this one."""
    name: str
    """Of its rows, see `storage.schemas.NAME_COLUMNS`."""
    rows: int
    seen: dict[str, str] = field(default_factory=dict)
    """In an index: `fingerprint` of its manifest and of its file, by name."""


class IndexFile:
    """A file of the index that was read and has its checksum; its parts are unpacked when they are asked for."""

    def __init__(self, content: bytes) -> None:
        """Raises ValueError where the content is not what was written, or not by this version."""
        self._content = pa.py_buffer(content)[_HASH_LETTERS:]
        if _checksum(self._content) != content[:_HASH_LETTERS]:
            raise ValueError("its checksum is another one")
        self.schema = pa.ipc.open_file(self._content).schema
        head = self._unpack("head")
        if head["format"] != FORMAT:
            raise ValueError(f"it has format {head['format']}")
        self.listing: str = head["listing"]
        """`describe` of the round's files, with their fingerprints."""
        self.names: str = head["names"]
        """The same with what the store's `list_names` says of them."""
        self.homes: dict[str, str] = head["homes"]
        """The same as `listing` in each ancestor that has some of the shards."""
        self.counts: list[int] = head["counts"]
        """Rows of each shard."""

    @cached_property
    def shards(self) -> list[ShardRows]:
        """The shards of the round, in the order of the rows."""
        return [ShardRows(**shard) for shard in self._unpack("shards")]

    @property
    def manifests(self) -> dict[str, str]:
        """The content of each shard's manifest, by its name."""
        manifests: dict[str, str] = self._unpack("manifests")
        return manifests

    def read(self, schema: pa.Schema) -> pa.Table:
        """Some of the small columns, of all shards."""
        options = pa.ipc.IpcReadOptions(included_fields=[self.schema.get_field_index(name) for name in schema.names])
        rows = pa.ipc.open_file(self._content, options=options).read_all()
        return pa.table([rows[name] for name in schema.names], schema=schema)

    def _unpack(self, part: str) -> Any:
        packed = pa.BufferReader(self.schema.metadata[part.encode()])
        return json.loads(pa.CompressedInputStream(packed, _PACKING).read())


def encode_index(
    listing: str,
    names: str,
    homes: dict[str, str],
    shards: Sequence[ShardRows],
    manifests: dict[str, str],
    rows: pa.Table,
) -> bytes:
    """The content of a round's file: what `IndexFile` reads."""
    head = {"format": FORMAT, "listing": listing, "names": names, "homes": homes}
    head["counts"] = [shard.rows for shard in shards]
    parts = {"head": head, "shards": [asdict(shard) for shard in shards], "manifests": manifests}
    packed = rows.combine_chunks().replace_schema_metadata({name: _pack(part) for name, part in parts.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, packed.schema, options=pa.ipc.IpcWriteOptions(compression=_PACKING)) as file:
        file.write_table(packed)
    content = sink.getvalue()
    return _checksum(content) + content.to_pybytes()


def index_name(folder: str) -> str:
    """Where the index of a round lies, by the round's folder, TABLE/round=0000."""
    return f"{INDEX}/{folder}"


def read_index(store: Store, folder: str) -> IndexFile | None:
    """The index of a round, by its folder, be it right or out of date; None where there is none that can be read."""
    try:
        return IndexFile(store.read(index_name(folder)))
    except (OSError, StorageError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def fingerprint(entry: Entry) -> str:
    """What tells that a file was written again."""
    return f"{entry.bytes} {entry.stamp}"


def describe(files: Mapping[str, str]) -> str:
    """One hash for files and what is said of each, by name."""
    return hashlib.sha256("\n".join(f"{name} {said}" for name, said in files.items()).encode()).hexdigest()


def describe_shards(shards: Iterable[ShardRows]) -> str:
    """One hash for the rows of some shards: their files' names have a hash of their content."""
    return describe({f"{shard.home} {shard.file}": shard.name for shard in shards})


Texts = dict[tuple[str, str], str | bytes]
"""Manifests that were read, by where they lie and by `fingerprint`."""


@dataclass(frozen=True)
class Listing:
    """A run's files below some folders, as they were listed, and the index's copies of the manifests among them."""

    store: Store
    entries: Mapping[str, Entry]
    texts: Texts | None = None
    """Kept by who looks at a run again and again."""
    _copies: dict[str, dict[str, str]] = field(default_factory=dict)

    def read(self, name: str) -> str | bytes:
        """A manifest as it was listed: from `texts`, from the index, or from where it lies."""
        if self.texts is None or name not in self.entries:
            return self._read(name)
        seen = (f"{self.store.address}/{name}", fingerprint(self.entries[name]))
        if seen not in self.texts:
            self.texts[seen] = self._read(name)
        return self.texts[seen]

    def _read(self, name: str) -> str | bytes:
        """The index's copy, where it is listed as it was when that was made, else what lies there.

        A copy is given once: nobody asks again, and many are large.
        """
        folder = name.rpartition("/")[0]
        if folder not in self._copies:
            self._copies[folder] = self._find_copies(folder)
        copy = self._copies[folder].pop(name, None)
        return self.store.read(name) if copy is None else copy

    @cached_property
    def _sizes(self) -> Counter[str]:
        """Files of each folder."""
        return Counter(name.rpartition("/")[0] for name in self.entries)

    def _find_copies(self, folder: str) -> dict[str, str]:
        index = read_index(self.store, folder) if self._sizes[folder] >= MANY else None
        if index is None:
            return {}
        seen = {name: said for shard in index.shards for name, said in shard.seen.items()}
        listed = {name: fingerprint(self.entries[name]) for name in seen.keys() & self.entries.keys()}
        return {name: text for name, text in index.manifests.items() if name in listed and listed[name] == seen[name]}


def _pack(part: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, _PACKING) as packed:
        packed.write(json.dumps(part).encode())
    return bytes(sink.getvalue().to_pybytes())


def _checksum(content: pa.Buffer) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
