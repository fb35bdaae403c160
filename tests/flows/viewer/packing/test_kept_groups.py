"""Promises: of a run that is too big for a file, each round keeps groups, those with both outcomes first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from flows.viewer.documents.viewed import ViewedRun
from flows.viewer.packing import contents
from flows.viewer.packing.kept_groups import FIRST_TURN, pack_groups
from flows.viewer.packing.packer import Packer
from storage.runs import RunFolder
from tests.flows.viewer.packing.test_packer import noise
from tests.storage.storage_samples import commit, make_rows

PROMPTS = tuple(f"p{number:02d}" for number in range(20))
MIXED = {"p03", "p17"}


@pytest.fixture
def run(tmp_path: Path) -> ViewedRun:
    """Three rounds of 20 prompts, of which two have both outcomes."""
    folder = RunFolder.create(tmp_path / "run", {"settings": {}})
    for round in range(3):
        for table in ("prompts", "rollouts"):
            commit(folder, table, make_rows(table, "run", round=round, prompts=PROMPTS), round=round)
        verdicts = make_rows("verdicts", "run", round=round, prompts=PROMPTS)
        judged = [{**row, "success": row["sample"] == 0 or row["prompt_id"] not in MIXED} for row in verdicts]
        commit(folder, "verdicts", judged, round=round)
    return ViewedRun(folder, "run")


def kilobytes(run: ViewedRun, round: int, prompts: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for prompt in prompts:
        yield prompt, noise(1000, (round, prompt))


@pytest.mark.parametrize("max_bytes", [20e3, 60e3])
def test_each_round_keeps_its_share(run: ViewedRun, max_bytes: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "OF_GROUPS", {"group": kilobytes})
    monkeypatch.setattr("flows.viewer.packing.packer.BLOCK_BYTES", 3000)
    packer = Packer(max_bytes)
    said: list[tuple[int, int]] = []
    kept = pack_groups(run, packer, lambda done, of: said.append((done, of)))
    assert kept.num_groups == 60 and said[0] == (FIRST_TURN, 60)
    assert packer.size <= max_bytes < packer.size + 15e3
    assert list(kept.prompts) == [2, 0, 1][: len(kept.prompts)]  # the last round, the first one, the others
    assert kept.prompts[2][:2] == sorted(MIXED)
    if max_bytes == 60e3:
        counts = [len(prompts) for prompts in kept.prompts.values()]
        assert len(counts) == 3 and min(counts) >= FIRST_TURN and max(counts) - min(counts) <= 4


def test_a_run_that_fits_is_there_whole(run: ViewedRun) -> None:
    packer = Packer(1e9)
    kept = pack_groups(run, packer, lambda done, of: None)
    assert kept.num_kept == kept.num_groups == 60 and not packer.is_full
    assert {"run/0/p00", "run/2/p19"} <= packer.places.keys()


def test_a_run_that_has_nothing_yet_has_no_groups(tmp_path: Path) -> None:
    empty = ViewedRun(RunFolder.create(tmp_path / "empty", {"settings": {}}), "empty")
    assert pack_groups(empty, Packer(1e9), lambda done, of: None).num_groups == 0
