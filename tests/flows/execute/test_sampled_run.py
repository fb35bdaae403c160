"""A run whose sampling is truncated and stopped, stage after stage, with the transformers engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mopd.settings import load_settings
from storage.runs import RunFolder
from storage.shards import manifests, read_rows
from tests.flows.rounds_by_jobs import TINY, make_whole

OVERRIDES = (
    *("rounds=1", "train.updates_per_round=1"),
    *("generate.temperature=0.3", "generate.top_p=0.6", "generate.stop=['48']"),
    *("train.mask_truncated=true", "condition.show_truncated=false", "condition.variant=failure"),
    *("evaluate.temperature=0", "evaluate.stop=[]", "evaluate.max_tokens=20"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_whole(tmp_path_factory.mktemp("sampled") / "run", load_settings(TINY, list(OVERRIDES)))


def rows_of(run: RunFolder, table: str, name: str = "") -> list[dict[str, Any]]:
    return [row for manifest in manifests(run, table, name=name) for row in read_rows(run, manifest)]


def test_replies_end_before_the_stop_and_say_so(run: RunFolder) -> None:
    rollouts = rows_of(run, "rollouts")
    reasons = {row["finish_reason"] for row in rollouts}
    assert {"length", "stop_string:48"} <= reasons <= {"length", "stop_string:48", "stop"}
    assert not any("48" in row["text"] for row in rollouts)


def test_the_first_update_has_ratio_one_where_the_ratio_to_the_sampler_is_the_kept_mass(run: RunFolder) -> None:
    scores = rows_of(run, "scores")
    kept = np.concatenate([np.exp(row["proximal_logprobs"] - row["behavior_logprobs"]) for row in scores])
    assert kept.max() < 1 and 0.55 < kept.min() < 0.75
    (update,) = rows_of(run, "updates")
    assert update["importance_mean"] == pytest.approx(1.0, abs=1e-4)


def test_cut_replies_are_neither_shown_nor_trained_on(run: RunFolder) -> None:
    rollouts = {(row["prompt_id"], row["sample"]): row for row in rows_of(run, "rollouts")}
    contexts = rows_of(run, "contexts")
    shown = [rollouts[row["prompt_id"], peer["sample"]] for row in contexts for peer in row["peers"]]
    assert shown and all(row["finish_reason"] != "length" for row in shown)
    (update,) = rows_of(run, "updates")
    whole = [row for row in rollouts.values() if row["finish_reason"] != "length"]
    assert update["tokens"] == sum(len(row["token_ids"]) for row in whole)


def test_evaluation_is_greedy_and_longer(run: RunFolder) -> None:
    evaluations = rows_of(run, "evaluations")
    replies: dict[tuple[int, str], set[str]] = {}
    for row in evaluations:
        replies.setdefault((row["policy_version"], row["prompt_id"]), set()).add(row["text"])
    assert {len(texts) for texts in replies.values()} == {1}
    assert max(len(row["token_ids"]) for row in evaluations) > 16
    assert not any(row["finish_reason"].startswith("stop_string") for row in evaluations)
