"""One hash a table over what it says: two runs of one config and seed on one machine agree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import Any

import numpy as np

from storage.errors import StorageError
from storage.lookup import names_of, scan
from storage.manifests import POLICIES, Manifest, is_removable
from storage.runs import RunFolder
from storage.schemas import SCHEMAS, Row, key_columns
from storage.shards import read_rows

EVALUATIONS, HELDOUT = "evaluations", "heldout"
IGNORED = {"run", "seconds"}
"""Columns that differ between runs of the same content."""


def digest_tables(
    run: RunFolder, evaluated: Collection[int] | None = None, *, unneeded: Collection[str] = ()
) -> dict[str, str]:
    """sha256 (hex) of each table's rows, sorted by key, and of `policies`: the weights as committed.

    `evaluated`: the policies whose evaluations count, with the held-out prompts drawn for them; None for all.
    `unneeded`: keys of shards that don't count, be they damaged.
    Evaluations of models beside each other count, each by its name; other contexts and scores leave a run as it is.
    Neither the run's name nor timings, nor the division into shards, count. Raises StorageError when a shard is
    damaged: a digest of the rest would be that of another run.
    """
    digests = {table: _digest_table(run, table, evaluated, unneeded) for table in SCHEMAS}
    for name in names_of(run, EVALUATIONS):
        digests[f"{EVALUATIONS} of {name}"] = _digest_table(run, EVALUATIONS, None, unneeded, name)
    digests[POLICIES] = _digest_policies(run)
    return digests


def _digest_table(
    run: RunFolder, table: str, evaluated: Collection[int] | None, unneeded: Collection[str], name: str = ""
) -> str:
    columns = [column for column in SCHEMAS[table].names if column not in IGNORED]
    keys = [column for column in key_columns(table) if column not in IGNORED]
    hashes = [
        (tuple(row[key] for key in keys), _digest_row(row))
        for manifest in _find_needed(run, table, evaluated if table == EVALUATIONS else None, unneeded, name)
        for row in read_rows(run, manifest, columns)
        if evaluated is None or row.get("split") != HELDOUT or row["round"] in evaluated
    ]
    total = hashlib.sha256(json.dumps(columns).encode())
    for _, row_hash in sorted(hashes):
        total.update(row_hash)
    return total.hexdigest()


def _digest_policies(run: RunFolder) -> str:
    """Of the weight files' hashes alone: configs and tokenizers name paths and versions."""
    weights = {
        f"{manifest.round}/{name}": entry["sha256"]
        for manifest in _find_needed(run, POLICIES)
        for name, entry in manifest.files.items()
        if "/" not in name and name.endswith(".safetensors") and not is_removable(name)
    }
    return hashlib.sha256(json.dumps(weights, sort_keys=True).encode()).hexdigest()


def _find_needed(
    run: RunFolder,
    table: str,
    rounds: Collection[int] | None = None,
    unneeded: Collection[str] = (),
    name: str = "",
) -> list[Manifest]:
    """A table's shards that are needed, of some rounds alone where they are given: others may be damaged."""
    numbers = [None] if rounds is None else sorted(rounds)
    scanned = [scan(run, table, number, name=name, unneeded=unneeded) for number in numbers]
    problems = [problem for _, problems in scanned for problem in problems]
    if problems:
        raise StorageError(f"{run.address} can't be digested: {problems[0]}")
    return [manifest for manifests, _ in scanned for manifest in manifests]


def _digest_row(row: Row) -> bytes:
    """Every value with its type and length, so that no two rows run together alike."""
    total = hashlib.sha256()
    for value in row.values():
        for part in _encode(value):
            total.update(len(part).to_bytes(8, "little"))
            total.update(part)
    return total.digest()


def _encode(value: Any) -> list[bytes]:
    if isinstance(value, np.ndarray):
        return [f"{value.dtype.str}{value.shape}".encode(), np.ascontiguousarray(value).tobytes()]
    if isinstance(value, list) and any(isinstance(item, np.ndarray) for item in value):
        return [str(len(value)).encode(), *(part for item in value for part in _encode(item))]
    return [json.dumps(value, sort_keys=True).encode()]
