"""A change of how things are done leaves what is done: two rounds of the tiny config hold what they held.

Columns that a change adds or removes are named here. Where it is meant to change what others hold, `python -m
tests.flows.recorded_content keep NAME` records anew, and the commit says which and why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.flows.recorded_content import FOLDER, PORTABLE_ROUNDS, portable, record

ROUGHLY = {"updates": 0.05, "policies": 0.05}
"""Share of a column's magnitude that its sums may be off on another machine, by table: these are of gradients, which
are differences of nearly equal numbers in a model that has learnt nothing."""
NEAR = 2e-3
REMOVED: set[str] = set()
ADDED = {"support_student_logprobs"}
"""Columns that are gone, or new, since the files were written."""
ADDED_TABLES = {"guards"}


@pytest.mark.parametrize("name", sorted(PORTABLE_ROUNDS))
def test_a_run_holds_what_it_held(name: str, tmp_path: Path) -> None:
    before: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    after = portable(name, record(name, tmp_path / "run"))
    kept = [column for column in before if part_of(column) not in REMOVED]
    assert sorted(kept) == sorted(column for column in after if not is_added(column))
    assert [column for column in kept if not same(column, before[column], after[column])] == []


def is_added(column: str) -> bool:
    return part_of(column) in ADDED or column.partition("/")[0] in ADDED_TABLES


def part_of(column: str) -> str:
    """`loss` of `updates/0/loss`."""
    return column.split("/", maxsplit=2)[2]


def same(column: str, before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Exact columns to the byte, sums of floats nearly."""
    if "numbers" not in before or "numbers" not in after:
        return before == after
    first, second = before["numbers"], after["numbers"]
    room = first["magnitude"] * ROUGHLY.get(column.partition("/")[0], NEAR) + 1e-6
    counted = all(first[name] == second[name] for name in ("count", "nulls"))
    return counted and all(abs(first[name] - second[name]) <= room for name in ("mean", "magnitude", "by_place"))
