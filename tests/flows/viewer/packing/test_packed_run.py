"""Promises: a file is never larger than it may be, and says what it has no room for."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from flows.viewer.documents.viewed import ViewedRun
from flows.viewer.packing.packed_run import SHORT, pack_run
from flows.viewer.packing.packer import Packer
from tests.flows.viewer.group_samples import make_groups
from tests.flows.viewer.packing.test_packer import noise

NUM_PROMPTS = 60
LONG = {f"p{number:02d} {noise(300, number)}": [True, number < 5] for number in range(NUM_PROMPTS)}
"""Prompts whose names, and so whose questions, nothing makes shorter; of five the replies have one outcome."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ViewedRun:
    return ViewedRun(make_groups(tmp_path_factory.mktemp("packed") / "run", {0: LONG, 1: LONG}), "run")


def pack(run: ViewedRun, room: float) -> tuple[Packer, list[str]]:
    packer = Packer(max_bytes=0)
    return packer, pack_run(run, packer, room, lambda done, of: None)


def document(packer: Packer, key: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(packer.blocks[packer.places[key]])))[key]


def test_a_run_that_fits_is_there_whole(run: ViewedRun) -> None:
    packer, left_out = pack(run, 1e9)
    table = document(packer, "run/prompts")
    assert (len(table["rows"]), table["note"], left_out) == (NUM_PROMPTS, None, [])


@pytest.mark.parametrize("room", [15e3, 40e3, 80e3, 120e3])
def test_it_takes_no_more_than_its_room(run: ViewedRun, room: float) -> None:
    packer, left_out = pack(run, room)
    page = "".join(packer.scripts({}))
    assert packer.size <= room and len(page) <= room + 300
    assert all(line.endswith(f"all: mopd view {run.folder.address}, or a higher --max-megabytes") for line in left_out)
    assert any("groups are in the file" in line for line in left_out)


def test_prompts_of_groups_that_are_there_are_in_the_table_first(run: ViewedRun) -> None:
    packer, left_out = pack(run, 60e3)
    table, kept = document(packer, "run/prompts"), document(packer, "run/rollouts/1")
    told = [row["prompt_id"] for row in table["rows"]]
    assert 0 < len(told) < NUM_PROMPTS and set(kept["columns"]["prompt_id"]) <= set(told)
    assert max(len(row["question"]) for row in table["rows"]) == SHORT
    assert (
        table["note"] == f"{len(told)} of {NUM_PROMPTS} prompts are in the table, with {SHORT} characters of each text"
    )
    assert left_out[0].startswith(f"run: {table['note']}; all:")


def test_a_run_that_has_nothing_yet(tmp_path: Path) -> None:
    packer, left_out = pack(ViewedRun(make_groups(tmp_path / "run", {}), "run"), 1e6)
    assert (document(packer, "run/prompts"), left_out) == ({"rows": [], "note": None}, [])
