"""What a run holds, table by table and column by column, as a record to compare other versions of the code with.

    python -m tests.flows.recorded_content record tiny-fake before.json train.objective=grpo    # with the old code
    python -m tests.flows.recorded_content compare tiny-fake before.json train.objective=grpo   # with the new code

`compare` says which columns differ, were removed or were added: on one machine, a change that leaves the arithmetic
alone leaves every bit as it is. Between machines floats differ in their last digits; `test_recorded_content` keeps what
must hold on any (`keep NAME` writes its file).
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import load_file

from mopd.settings import load_settings
from storage.lookup import manifests, names_of
from storage.manifests import POLICIES, TABLES
from storage.runs import RunFolder
from storage.schemas import SIGNALS, key_columns
from tests.flows.rounds_by_jobs import EXAMPLES, TINY, make_whole

Record = dict[str, dict[str, Any]]
"""By `table/round/column`: `sha256` of the column's values, and `numbers`, a summary of them where they are floats."""

IGNORED = {"run", "seconds"}
"""Columns that differ between runs of the same content."""
FOLDER = Path(__file__).parent / "recorded"
"""What holds on any machine."""
NEARLY = ("support_ids", *SIGNALS, "undefined", "loss", "distill_loss", "grad_norm")
"""Columns that rounding decides: which of two equally likely ids comes first, which of two equal scores is larger, how
far from nothing the loss of a random model is whose teacher is itself."""
PORTABLE_ROUNDS = {"tiny-fake": 2, "tiny-transformers": 1}
"""Rounds whose samples no rounding can change: those of the fake engine, and of a policy that isn't trained yet."""
RUNS: dict[str, tuple[Path, list[str]]] = {
    "tiny-fake": (TINY, ["generate.engine=fake"]),
    "tiny-transformers": (TINY, []),
    "demo": (EXAMPLES / "demo.yaml", ["rounds=1", "evaluate.when=never"]),
}
"""Runs that can be recorded, by name: a config and what is changed in it."""


def record(name: str, folder: Path, *overrides: str) -> Record:
    """Make a run and describe what is in it."""
    config, changes = RUNS[name]
    return describe(make_whole(folder, load_settings(config, [*changes, *overrides])))


def describe(run: RunFolder) -> Record:
    """Every column of every table, other contexts and its policies' tensors, round by round."""
    found: Record = {}
    named = [(table, name) for table in TABLES if table != POLICIES for name in ("", *names_of(run, table))]
    for table, name in named:
        label = f"{table}@{name}" if name else table
        for round in sorted({manifest.round for manifest in manifests(run, table, name=name)}):
            columns = _columns(run, table, round, name)
            found |= {f"{label}/{round}/{column}": _summary(values) for column, values in columns}
    for policy in manifests(run, POLICIES):
        for path in sorted((run.path / policy.file).rglob("*.safetensors")):
            place = path.relative_to(run.path / policy.file).as_posix()
            found[f"{POLICIES}/{policy.round}/{place}"] = _tensor_summary(load_file(path))
    return found


def _columns(run: RunFolder, table: str, round: int, name: str) -> Iterator[tuple[str, list[Any]]]:
    """The values of each column in the order of the rows' keys, however they are divided into shards."""
    rows: list[dict[str, Any]] = []
    for manifest in manifests(run, table, round, name=name):
        rows += pq.read_table(run.path / manifest.file).to_pylist()
    keys = [column for column in key_columns(table) if column not in IGNORED]
    rows.sort(key=lambda row: [row[key] for key in keys])
    for column in rows[0] if rows else ():
        if column not in IGNORED:
            yield column, [row[column] for row in rows]


def _summary(values: list[Any]) -> dict[str, Any]:
    summary: dict[str, Any] = {"sha256": hashlib.sha256(json.dumps(values).encode()).hexdigest()}
    leaves = list(_leaves(values))
    if any(isinstance(leaf, float) for leaf in leaves):
        numbers = np.array([leaf for leaf in leaves if leaf is not None], dtype=np.float64)
        summary["numbers"] = {"nulls": len(leaves) - len(numbers), **_numbers(numbers)}
    return summary


def _tensor_summary(tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    digest, flat = hashlib.sha256(), []
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {value.shape}".encode() + value.tobytes())
        flat.append(value.ravel())
    return {"sha256": digest.hexdigest(), "numbers": {"nulls": 0, **_numbers(np.concatenate(flat))}}


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _numbers(values: np.ndarray) -> dict[str, float]:
    """Means that tell values, and their order, apart."""
    return {
        "count": len(values),
        "mean": float(values.mean(dtype=np.float64)),
        "magnitude": float(np.abs(values).mean(dtype=np.float64)),
        "by_place": float((values * np.cos(np.arange(len(values)))).mean()),
    }


def portable(name: str, made: Record) -> Record:
    """What of a record must hold on any machine: the values of exact columns, the sums of floats."""
    kept: Record = {}
    for column, summary in made.items():
        _, round, part = column.split("/", maxsplit=2)
        if int(round) >= PORTABLE_ROUNDS[name] or part in NEARLY:
            continue
        kept[column] = {"numbers": summary["numbers"]} if "numbers" in summary else {"sha256": summary["sha256"]}
    return kept


def differences(before: Record, after: Record) -> dict[str, list[str]]:
    """Columns that have other values now, that are gone, and that are new."""
    both = before.keys() & after.keys()
    return {
        "differ": sorted(name for name in both if before[name]["sha256"] != after[name]["sha256"]),
        "removed": sorted(before.keys() - after.keys()),
        "added": sorted(after.keys() - before.keys()),
    }


def main(action: str, name: str, file: str = "", *overrides: str) -> int:
    """Record a run in a file, or compare one with a file."""
    with tempfile.TemporaryDirectory() as folder:
        made = record(name, Path(folder) / "run", *overrides)
    if action == "keep":
        (FOLDER / f"{name}.json").write_text(json.dumps(portable(name, made), indent=1) + "\n")
    if action == "record":
        Path(file).write_text(json.dumps(made, indent=1) + "\n")
    if action != "compare":
        return 0
    found = differences(json.loads(Path(file).read_text()), made)
    print(f"{len(made)} columns", *(f"{what}: {', '.join(names) or 'none'}" for what, names in found.items()), sep="\n")
    return 1 if found["differ"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
