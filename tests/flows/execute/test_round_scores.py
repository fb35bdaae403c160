"""Training reads of a round's shards what its objective names, the rows of one optimizer step at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flows.execute.round_scores import RoundScores
from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from flows.plan.stage import STAGES, key_tree
from mopd.settings import parse_settings
from storage.reading import ShardFile
from storage.runs import RunFolder
from storage.shards import read_rows
from tests.flows.rounds_by_jobs import make_run

COLUMNS = {
    "scores": ("prompt_id", "sample", "token_ids", "support_ids", "advantage"),
    "rollouts": ("policy_version",),
    "verdicts": ("reward",),
    "contexts": ("context_token_ids",),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """One round of four prompts in two shards."""
    path = tmp_path_factory.mktemp("runs") / "run"
    return make_run(path, "rounds=1", "generate.num_prompts=4", "prompts_per_shard=2")


@pytest.fixture
def shards(run: RunFolder) -> list[Shard]:
    return RunPlan.of(run).rounds[0].scores


def test_rows_are_those_of_the_tables_side_by_side(run: RunFolder, shards: list[Shard]) -> None:
    scores = RoundScores(run, shards, COLUMNS)
    expected = [joined(run, shard, number) for shard in shards for number in range(8)]
    assert [(row["prompt_id"], row["sample"]) for row in scores.rows] == [
        (row["prompt_id"], row["sample"]) for row in expected
    ]
    backwards = [*reversed(scores.rows)]
    for row, other in zip(scores.read(backwards), reversed(expected), strict=True):
        assert row.keys() == {name for names in COLUMNS.values() for name in names}
        for name, value in row.items():
            assert np.array_equal(value, other[name]), name


def joined(run: RunFolder, shard: Shard, number: int) -> dict[str, Any]:
    """The row of that number with what the other tables have for it."""
    manifest = shard.find(run)
    assert manifest is not None
    row = read_rows(run, manifest)[number]
    for table in ("rollouts", "verdicts", "contexts"):
        beside = shard.input(table).find(run)
        assert beside is not None
        where = {name: row[name] for name in ("prompt_id", "sample")}
        (other,) = read_rows(run, beside, where=where)
        row |= {name: other[name] for name in COLUMNS[table]}
    return row


def test_nothing_that_has_entries_a_token_is_read_before_it_is_asked_for(
    run: RunFolder, shards: list[Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, ...]] = []
    plain = ShardFile.parts
    monkeypatch.setattr(
        ShardFile, "parts", lambda file, names, rows=None: (read.append(tuple(names)), plain(file, names, rows))[1]
    )
    scores = RoundScores(run, shards, COLUMNS)
    assert set(read) == {("prompt_id", "sample"), ("policy_version",)}
    read.clear()
    scores.read([row for row in scores.rows if row["place"] == 1])
    assert sorted(read) == sorted(COLUMNS.values())


def test_what_was_read_keeps_no_file_in_memory(run: RunFolder, shards: list[Shard]) -> None:
    """An array of its own, not a view of all that was read with it."""
    scores = RoundScores(run, shards, COLUMNS)
    (row,) = scores.read(scores.rows[3:4])
    assert row["support_ids"].flags.owndata and row["token_ids"].flags.owndata


def test_scores_without_a_support_are_made_again_for_no_other_support() -> None:
    """Their keys hold it where it is kept, and nowhere else."""

    def key(objective: str, **score: Any) -> dict[str, Any]:
        settings = parse_settings({"score": score, "train": {"objective": objective}})
        return STAGES["scores"].settings(settings, key_tree(settings))

    assert key("grpo") == key("grpo", support="union", top_k=7) == key("sft") == key("simpo")
    assert key("distill") != key("distill", top_k=7)
    assert key("distill") != key("grpo") == key("distill", support="full")
    assert key("dpo") != key("grpo")  # it has the initial policy's log-probabilities
