"""Promises: tokens, groups, shards, stages and lineage say what the tables and manifests say, and open no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mopd.objectives.carried import why_no_loss
from mopd.settings import TrainSettings
from storage.runs import RunFolder
from storage.sql import datasets
from storage.sql.catalog import query
from storage.sql.facts import NOTHING, Knowledge
from storage.sql.tables import open_rounds
from tests.storage.storage_samples import commit, fill, key_of, make_rows

DISTILL = {"objective": {"kind": "distill", "policy_gradient_weight": 0.0}, "mask_truncated": True}
STAGES = {"prompts": "draw", "rollouts": "generate"}
Rows = list[dict[str, Any]]


def trained_by(train: dict[str, Any]) -> Knowledge:
    return Knowledge(settings=lambda run: [(0, 9, {"train": train})])


def changed(rows: Rows, *changes: dict[str, Any]) -> Rows:
    """The rows, each with its changes."""
    return [row | change for row, change in zip(rows, changes, strict=True)]


def test_a_token_has_what_every_model_said_of_it(run: RunFolder) -> None:
    commit(run, "rollouts", make_rows("rollouts", run.run_id, prompts=("a",), samples=1))
    student, teacher = np.float32([-2.0, -1.0, -4.0]), np.float32([-1.0, -1.5, -4.0])
    said = {"proximal_logprobs": student, "teacher_logprobs": teacher, "token_ids": np.int32([7, 8, 9])}
    scores = make_rows("scores", run.run_id, prompts=("a",), samples=1)
    commit(run, "scores", changed(scores, said))
    words = replace(trained_by(DISTILL), vocabulary=lambda run: [f"<{number}>" for number in range(9)])
    asked = "SELECT * EXCLUDE (run, round, prompt_id, sample, condition) FROM tokens ORDER BY position"
    result = query(run, asked, knowledge=words)
    assert result.columns[:4] == ["position", "token_id", "text", "student_logprob"]
    assert result.rows == [
        (0, 7, "<7>", -2.0, -1.0, -1.0, None, 1.0, 0.5, True, None),
        (1, 8, "<8>", -1.0, -1.5, -0.5, None, -0.5, 0.5, True, None),
        (2, 9, None, -4.0, -4.0, 0.0, None, 0.0, 0.5, True, None),
    ]


def test_tokens_are_there_before_they_are_scored_and_under_each_context(run: RunFolder) -> None:
    commit(run, "rollouts", make_rows("rollouts", run.run_id))
    commit(run, "scores", make_rows("scores", run.run_id, prompts=("a",)))
    commit(run, "scores", make_rows("scores", run.run_id), name="other")
    counted = (
        "SELECT condition, untrained_reason, count(*), count(teacher_logprob) FROM tokens GROUP BY ALL ORDER BY ALL"
    )
    assert query(run, counted, knowledge=trained_by(DISTILL)).rows == [
        ("", "not scored", 6, 0),
        ("", None, 6, 6),
        ("other", "other context", 12, 12),
    ]


GRPO = {"objective": {"kind": "grpo", "kl_weight": 0.0}, "mask_truncated": False}
BLEND = {"objective": {"kind": "distill", "policy_gradient_weight": 0.5}, "mask_truncated": False}
POLICY_ALONE = {"objective": {"kind": "distill", "policy_gradient_weight": 1.0}, "mask_truncated": False}


@pytest.mark.parametrize(
    ("train", "reasons"),
    [
        (DISTILL, ["cut", None, "no peers shown", None]),
        (BLEND, [None, None, None, None]),
        (POLICY_ALONE, [None, "no reward", None, "no advantage"]),
        (GRPO, [None, "no reward", None, "no advantage"]),
        (GRPO | {"objective": {"kind": "grpo", "kl_weight": 0.1}}, [None, "no reward", None, None]),
        ({"objective": {"kind": "dpo"}, "mask_truncated": False}, [None, "no reward", None, None]),
        ({"objective": {"kind": "sft"}, "mask_truncated": True}, ["cut", "no success", "no success", None]),
    ],
)
def test_a_token_that_is_not_trained_on_has_a_reason(
    run: RunFolder, train: dict[str, Any], reasons: list[str | None]
) -> None:
    """Four rollouts: cut; without a reward; without peers; with an advantage of zero."""
    judged = ({"reward": 1.0}, {"reward": None, "success": None}, {"reward": 0.0, "success": False}, {"reward": 0.5})
    shown = ({}, {"advantage": None}, {"advantage": -0.5, "distill": False}, {"advantage": 0.0})
    changes = {"rollouts": ({"finish_reason": "length"}, {}, {}, {}), "verdicts": judged, "scores": shown}
    tables = {}
    for table, of_table in changes.items():
        tables[table] = changed(make_rows(table, run.run_id, prompts=("a",), samples=4), *of_table)
        commit(run, table, tables[table])
    asked = "SELECT DISTINCT sample, untrained_reason, trained FROM tokens ORDER BY sample"
    answer = query(run, asked, knowledge=trained_by(train)).rows
    assert answer == [(sample, reason, reason is None) for sample, reason in enumerate(reasons)]
    parts = zip(*tables.values(), strict=True)
    group = [{**rollout, **verdict, **score, "num_tokens": 3} for rollout, verdict, score in parts]
    settings = TrainSettings.model_validate(train)
    assert [why_no_loss(row, group, settings) is None for row in group] == [reason is None for reason in reasons]


def test_a_pair_needs_unlike_rewards(run: RunFolder) -> None:
    fill(run)
    pairs = trained_by({"objective": {"kind": "simpo"}, "mask_truncated": False})
    assert query(run, "SELECT DISTINCT untrained_reason FROM tokens", knowledge=pairs).rows == [("no pair",)]


def test_each_round_follows_its_own_settings(run: RunFolder) -> None:
    for round in (0, 1):
        commit(run, "scores", make_rows("scores", run.run_id, round=round), round=round)
    spans = [(0, 0, {"train": GRPO | {"objective": {"kind": "sft"}}}), (1, 3, {"train": GRPO})]
    knowledge = Knowledge(settings=lambda run: spans)
    asked = "SELECT DISTINCT round, untrained_reason FROM tokens ORDER BY ALL"
    assert query(run, asked, knowledge=knowledge).rows == [(0, "no success"), (1, None)]
    settings = "SELECT * EXCLUDE (run) FROM settings WHERE name LIKE '%kind'"
    assert query(run, settings, knowledge=knowledge).rows == [
        (0, 0, "train.objective.kind", "sft"),
        (1, 3, "train.objective.kind", "grpo"),
    ]


def test_why_a_round_was_redone_is_a_row(run: RunFolder) -> None:
    made = {"round": 1, "from": "train", "shards": ["0" * 64]}
    asked = made | {"set": [], "when": "2026-11-29T08:00:00+00:00", "why": "", "undone": "2026-11-29T09:00:00+00:00"}
    decided = made | {"set": ["train.learning_rate=5e-05", "rounds=3"], "when": "2026-11-29T10:00:00+00:00"}
    decided |= {"why": "rolled back: policy 2: accuracy: 0 held-out mean@k"}
    redone = replace(run, document={**run.document, "redone": [asked, decided]})
    assert query(redone, "SELECT * EXCLUDE (run) FROM reruns ORDER BY made").rows == [
        (1, "train", None, None, asked["when"], asked["undone"]),
        (1, "train", "train.learning_rate=5e-05, rounds=3", decided["why"], decided["when"], None),
    ]


def test_a_group_is_counted_and_called_by_its_successes(run: RunFolder) -> None:
    prompts = ("none", "mixed", "all", "unjudged")
    rollouts = make_rows("rollouts", run.run_id, round=2, prompts=prompts)
    rollouts[0] |= {"finish_reason": "length", "token_ids": np.int32([1]), "behavior_logprobs": np.float32([0])}
    rollouts[1] |= {"policy_version": 1}
    commit(run, "rollouts", rollouts, round=2)
    verdicts = make_rows("verdicts", run.run_id, round=2, prompts=prompts)
    failed, null = {"success": False, "reward": 0.0}, {"success": None, "reward": None}
    commit(run, "verdicts", changed(verdicts, failed, null, {}, failed, {}, {}, null, null), round=2)
    for table in ("prompts", "contexts", "signals"):
        commit(run, table, make_rows(table, run.run_id, round=2, prompts=prompts), round=2)
    commit(run, "contexts", make_rows("contexts", run.run_id, round=2, prompts=prompts), round=2, name="control")
    columns = "num_rollouts, num_successes, num_null, kind, pass_rate, mean_reward, mean_tokens, num_cut, num_peers"
    asked = f"SELECT prompt_id, prompt, {columns}, num_contexts_cut, teacher_auc, staleness FROM groups ORDER BY kind"
    end = (2, 0, None, 2)
    assert query(run, asked).rows == [
        ("all", "What is 7 + 8?", 2, 2, 0, "all", 1.0, 1.0, 3.0, 0, *end),
        ("mixed", "What is 7 + 8?", 2, 1, 0, "mixed", 0.5, 0.5, 3.0, 0, *end),
        ("none", "What is 7 + 8?", 2, 0, 1, "none", 0.0, 0.0, 2.0, 1, *end),
        ("unjudged", "What is 7 + 8?", 2, 0, 2, None, None, None, 3.0, 0, *end),
    ]


def test_shards_are_told_with_what_became_of_them(run: RunFolder) -> None:
    rows = make_rows("rollouts", run.run_id)
    older = commit(run, "rollouts", rows, key=key_of("older"))
    newer = commit(run, "rollouts", [row | {"text": "16."} for row in rows], key=key_of("newer"))
    redone = commit(run, "rollouts", rows, shard=1, key=key_of("redone"))
    damaged = commit(run, "rollouts", make_rows("rollouts", run.run_id, prompts=("c",)), shard=2)
    (run.path / damaged.file).write_bytes(b"")
    run = replace(run, document={**run.document, "superseded": [redone.key]})
    columns = "key, stage, current, superseded, problem"
    asked = f"SELECT {columns} FROM shards WHERE table_name = 'rollouts' ORDER BY shard, created"
    knowledge = Knowledge(stages=lambda: {"rollouts": "generate"})
    assert query(run, asked, knowledge=knowledge).rows == [
        (older.key, "generate", False, False, None),
        (newer.key, "generate", True, False, None),
        (redone.key, "generate", False, True, None),
        (damaged.key, "generate", False, False, f"{damaged.file} has 0 bytes instead of {damaged.bytes}"),
    ]
    assert query(run, "SELECT count(*) FROM shards WHERE stage = 'verify'", knowledge=knowledge).rows == [(0,)]


def test_what_a_manifest_says_is_in_columns(run: RunFolder) -> None:
    manifest = commit(run, "prompts", make_rows("prompts", run.run_id))
    text = (run.path / "prompts/round=0000" / f"shard-00000-{manifest.key[:12]}.json").read_text()
    noted = '"info": {"seconds": 1.5, "host": "a", "replica": "cpu-0", "attempts": 2, "cut": 3}'
    (run.path / "prompts/round=0000" / f"shard-00000-{manifest.key[:12]}.json").write_text(
        text.replace('"info": {}', noted)
    )
    columns = "table_name, round, shard, name, file, home, rows, bytes, sha256, content, created, parents"
    added = "seconds, host, replica, attempts, cut, tokens"
    (row,) = query(run, f"SELECT {columns}, {added} FROM shards").rows
    same = (manifest.file, "", 2, manifest.bytes, manifest.sha256, manifest.sha256, manifest.created, [])
    assert row == ("prompts", 0, 0, "", *same, 1.5, "a", "cpu-0", 2, 3, None)


def test_a_stage_is_there_from_when_it_is_planned(run: RunFolder) -> None:
    commit(run, "prompts", make_rows("prompts", run.run_id))
    commit(run, "prompts", make_rows("prompts", run.run_id, prompts=("c",)), shard=1)
    plan = [
        {"table_name": "prompts", "round": 0, "name": "", "shards": 3},
        {"table_name": "rollouts", "round": 0, "name": "", "shards": 3},
    ]
    knowledge = Knowledge(stages=lambda: STAGES, planned=lambda run: plan)
    asked = "SELECT stage, round, shards_done, shards_planned, rows, bytes > 0 FROM stages ORDER BY stage"
    assert query(run, asked, knowledge=knowledge).rows == [
        ("draw", 0, 2, 3, 3, True),
        ("generate", 0, 0, 3, None, None),
    ]
    assert query(run, "SELECT shards_done, shards_planned FROM stages", knowledge=NOTHING).rows == [(2, None)]


def test_lineage_names_parents_and_tells_whether_they_changed(run: RunFolder) -> None:
    parent = commit(run, "prompts", make_rows("prompts", run.run_id))
    parents = [parent.as_parent, f"{parent.key}:other", f"{key_of('gone')}:x"]
    child = commit(run, "rollouts", make_rows("rollouts", run.run_id), shard=0)
    path = run.path / "rollouts/round=0000" / f"shard-00000-{child.key[:12]}.json"
    path.write_text(path.read_text().replace('"parents": []', f'"parents": {str(parents).replace(chr(39), chr(34))}'))
    columns = "child_key, child_table, parent_key, parent_table, parent_round, is_same"
    assert query(run, f"SELECT {columns} FROM lineage ORDER BY is_same DESC").rows == [
        (child.key, "rollouts", parent.key, "prompts", 0, True),
        (child.key, "rollouts", parent.key, "prompts", 0, False),
        (child.key, "rollouts", key_of("gone"), None, None, None),
    ]


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT round, count(*) FROM groups GROUP BY round", ["rollouts"]),
        ("SELECT kind, count(*) FROM groups GROUP BY kind", ["rollouts", "verdicts"]),
        ("SELECT avg(advantage) FROM tokens WHERE condition = ''", ["rollouts", "scores"]),
        ("SELECT avg(advantage) FROM tokens WHERE condition = 'control'", ["scores"]),
        ("FROM settings", []),
        ("FROM stages", []),
    ],
)
def test_a_view_opens_the_tables_that_are_asked_for(
    run: RunFolder, sql: str, tables: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(run)
    opened = []

    def record(run: RunFolder, table: str, *rest: Any, **options: Any) -> Any:
        opened.append(table)
        return open_rounds(run, table, *rest, **options)

    monkeypatch.setattr(datasets, "open_rounds", record)
    query(run, sql)
    assert sorted(set(opened)) == tables


def test_words_are_asked_for_where_a_query_wants_text(run: RunFolder) -> None:
    fill(run)
    asked: list[str] = []

    def vocabulary(run: RunFolder) -> list[str]:
        asked.append(run.run_id)
        return ["a"]

    query(run, "SELECT token_id, avg(advantage) FROM tokens GROUP BY ALL", knowledge=Knowledge(vocabulary=vocabulary))
    assert asked == []
    query(run, "SELECT text FROM tokens", knowledge=Knowledge(vocabulary=vocabulary))
    assert asked == ["run"]
