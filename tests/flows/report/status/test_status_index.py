"""What was said of finished rounds is said again while their files are the same, and never after that."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flows.plan.run import RunPlan
from flows.report.status import index
from flows.report.status.index import STATUS_FILE
from flows.report.status.state import StatusReader, run_status
from storage.manifests import Manifest
from storage.runs import RunFolder
from tests.flows.plan.test_plan import commit, run_of

MANY = {"rounds": 2, "evaluate.when": "never", "generate.num_prompts": 16, "prompts_per_shard": 1}
ENTRY = {
    *(
        "round",
        "finished",
        "began",
        "ended",
        "between",
        "stages",
        "pass_rate",
        "null_verdicts",
        "groups",
        "mixed_groups",
    ),
    *("selection", "signals", "choice", "steps", "loss", "distill_loss", "policy_loss", "grad_norm"),
}
"""What FORMAT stands for: raise it when this changes."""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """One finished round of sixteen shards a table, and a second one that is drawn."""
    folder, plan = run_of(tmp_path / "run", MANY)
    for shard in (*plan.rounds[0].all(), *plan.rounds[1].prompts):
        commit(folder, shard)
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How many manifests of each round were parsed."""
    parsed: Counter[int] = Counter()
    true_parse = Manifest.parse.__func__  # type: ignore[attr-defined]

    def parse(cls: Any, text: Any) -> Manifest:
        manifest: Manifest = true_parse(cls, text)
        parsed[manifest.round] += 1
        return manifest

    monkeypatch.setattr(Manifest, "parse", classmethod(parse))
    return parsed


def test_a_finished_round_is_looked_at_once(run: RunFolder, read: Counter[int]) -> None:
    first = run_status(run)
    assert read[0] > 80
    read.clear()
    again = run_status(run)
    assert (read[0], read[1]) == (1, 16)  # the policy that the second round is made with
    assert json.dumps(again) == json.dumps(first)
    assert again["rounds"][0]["finished"] and not again["finished"]


@pytest.mark.parametrize("harm", ["cut", "delete", "damage", "other settings"])
def test_whatever_changed_is_looked_at_again(run: RunFolder, harm: str) -> None:
    assert run_status(run)["rounds"][0]["finished"]
    shard = RunPlan.of(run).rounds[0].verdicts[3].find(run)
    assert shard is not None
    file = run.path / shard.file
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif harm == "delete":
        file.unlink()
    elif harm == "damage":
        next((run.path / "verdicts" / "round=0000").glob("shard-00003*.json")).write_text("{")
    else:
        settings = {**run.document["settings"], "seed": 1}
        RunFolder(run.store, {**run.document, "settings": settings}).save(run)
    assert not run_status(RunFolder.open(run.path))["rounds"][0]["finished"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"format": 0, "made_by": "x", "rounds": {}}'])
def test_a_file_that_is_damaged_or_of_another_version_says_nothing(run: RunFolder, content: bytes) -> None:
    said = run_status(run)
    run.store.replace(STATUS_FILE, content)
    assert json.dumps(run_status(run)) == json.dumps(said)
    assert json.loads(run.store.read(STATUS_FILE))["rounds"].keys() == {"0"}


def test_a_round_that_ends_while_it_is_watched_is_kept_as_it_ended(run: RunFolder) -> None:
    reader, plan = StatusReader(run), RunPlan.of(run)
    reader.read()
    for shard in plan.rounds[1].all()[16:]:
        commit(run, shard)
    said = reader.read()
    assert said["finished"]
    assert json.dumps(run_status(run)) == json.dumps(said)
    assert json.loads(run.store.read(STATUS_FILE))["rounds"].keys() == {"0", "1"}


def test_what_is_said_of_a_round_has_a_format(run: RunFolder) -> None:
    assert (index.FORMAT, run_status(run)["rounds"][0].keys()) == (2, ENTRY)


def test_nothing_is_kept_of_few_shards(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", {**MANY, "rounds": 1, "prompts_per_shard": 2})
    for shard in plan.rounds[0].all():
        commit(folder, shard)
    assert run_status(folder)["finished"]
    assert folder.store.stat(STATUS_FILE) is None
