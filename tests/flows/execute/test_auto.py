"""`condition.variant: auto`: candidates are tried on the round's rollouts, and the round trains on the best of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.folder.replay.fork import fork_run
from flows.plan.conditions import candidate_settings, settings_of
from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from mopd.contexts.summaries import SUMMARY_INSTRUCTION
from mopd.settings.condition import ConditionSettings
from storage.digest import digest_tables
from storage.lookup import manifests
from storage.runs import RunFolder
from storage.shards import read_rows, verify_run
from storage.sql.catalog import query
from tests.flows.plan.test_plan import plan_of
from tests.flows.rounds_by_jobs import make_run

CANDIDATES = ("none", "positive", "contrastive/turns/first")
NAMES = ("none", "positive", "contrastive-turns-first")
AUTO = f"condition.variant={json.dumps({'kind': 'auto', 'candidates': CANDIDATES, 'every': 2})}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_run(tmp_path_factory.mktemp("auto") / "run", AUTO, "signals.control_groups=1")


def test_every_second_round_tries_all_candidates_and_chooses_one(run: RunFolder) -> None:
    tried = query(run, "SELECT DISTINCT condition, round FROM answers ORDER BY round, condition").rows
    assert tried == [(name, round) for round in (0, 2) for name in sorted(NAMES)]
    rows = query(
        run, "SELECT round, count(*), sum(chosen::int), count(why) FROM choices GROUP BY round ORDER BY 1"
    ).rows
    assert rows == [(0, 3, 1, 1), (2, 3, 1, 1)]
    assert [part.choice is not None for part in RunPlan.of(run).rounds] == [True, False, True]


def test_the_round_trains_on_what_was_chosen_until_the_next_probe(run: RunFolder) -> None:
    chosen = dict(query(run, "SELECT round, condition FROM choices WHERE chosen").rows)
    for round, of in ((0, 0), (1, 0), (2, 2)):
        condition = ConditionSettings.model_validate_json(chosen[of])
        own = f"round = {round} AND condition = ''"
        shown = query(run, f"SELECT DISTINCT variant, rendering FROM contexts WHERE {own}").rows
        assert shown == [(condition.variant.kind, condition.rendering)]


def test_the_largest_gap_is_chosen_and_the_prompt_alone_has_none(run: RunFolder) -> None:
    for (round,) in query(run, "SELECT DISTINCT round FROM choices").rows:
        rows = query(run, f"SELECT gap, chosen FROM choices WHERE round = {round} ORDER BY gap DESC").rows
        assert max(gap for gap, _ in rows) == next(gap for gap, chosen in rows if chosen)
    assert query(run, "SELECT DISTINCT gap FROM choices WHERE candidate = 'none'").rows == [(0.0,)]


def test_what_the_probe_made_is_what_is_trained_on(run: RunFolder) -> None:
    """One file under two keys: nothing is scored, or stored, twice."""
    names = dict(query(run, "SELECT round, candidate FROM choices WHERE chosen").rows)
    plan = RunPlan.of(run)
    for round, name in names.items():
        part = plan.rounds[round]
        candidate = next(tried for tried in part.probes if tried.name == name)
        for table in ("contexts", "scores", "signals"):
            own, there = (getattr(shards, table)[0].find(run) for shards in (part, candidate))
            assert own is not None and there is not None
            assert (own.file, own.sha256) == (there.file, there.sha256)
            assert (own.name, there.name) == ("", name)


def test_the_control_is_there_and_is_not_trained_on(run: RunFolder) -> None:
    control = query(run, "SELECT round, count(DISTINCT prompt_id) FROM signals WHERE condition = 'control' GROUP BY 1")
    assert sorted(control.rows) == [(0, 1), (1, 1), (2, 1)]
    assert query(run, "SELECT DISTINCT variant FROM contexts WHERE condition = 'control'").rows == [("random_peer",)]
    policy = RunPlan.of(run).rounds[0].policy
    assert {one.table for one in policy.read} == {"scores"}


def test_a_run_is_whole_and_made_again_alike(run: RunFolder, tmp_path: Path) -> None:
    assert RunPlan.of(run).missing(run) == []
    assert verify_run(run) == []
    again = make_run(tmp_path / "run", AUTO, "signals.control_groups=1")
    assert digest_tables(again) == digest_tables(run)


def test_a_fork_to_a_candidate_takes_over_what_the_probe_made(run: RunFolder, tmp_path: Path) -> None:
    fork = fork_run(run.path, 0, ["condition.variant=positive"], tmp_path / "fork")
    found = {table: [one.round for one in manifests(fork, table)] for table in ("contexts", "scores", "signals")}
    assert found == {"contexts": [0], "scores": [0], "signals": [0]}
    (scores,) = manifests(fork, "scores")
    (tried,) = manifests(run, "scores", 0, name="positive")
    assert (scores.key, scores.file) == (tried.key, tried.file)
    assert read_rows(fork, scores)


def test_lost_answers_are_made_again_and_leave_what_follows(run: RunFolder, tmp_path: Path) -> None:
    plan = RunPlan.of(run)
    lost: Shard = plan.rounds[0].probes[1].answers[0]
    manifest = lost.find(run)
    assert manifest is not None
    (run.path / manifest.file).unlink()
    assert [(one.table, one.name, one.round) for one in plan.missing(run)] == [("answers", "positive", 0)]
    make_run(run.path, AUTO, "signals.control_groups=1")
    assert plan.missing(run) == []


def test_one_candidate_with_summaries_asks_all_rollouts_for_them() -> None:
    plan = plan_of({"condition.variant": {"kind": "auto", "candidates": ("none", "summary")}})
    (none, summary), own = plan.rounds[0].probes, plan.rounds[0]
    assert none.contexts[0].input("rollouts").key == own.rollouts[0].key == summary.contexts[0].input("rollouts").key
    assert own.rollouts[0].key != plan_of().rounds[0].rollouts[0].key
    assert SUMMARY_INSTRUCTION


def test_a_candidates_settings_follow_from_the_runs(run: RunFolder) -> None:
    settings = settings_of(run)
    tried = candidate_settings(settings)["contrastive-turns-first"].condition
    assert settings.condition.variant.kind == "auto"
    assert (tried.variant.kind, tried.rendering, tried.failure_position) == ("contrastive", "turns", "first")
