"""`mopd trace`: each step of a rollout, as its rows and manifests have it, in runs that are whole and that are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from flows.folder.replay.fork import fork_run
from flows.folder.replay.rerun import redo
from flows.plan.run import RunPlan
from flows.report.trace.lineage import trace
from flows.report.trace.text import trace_text
from mopd.errors import InputError
from storage.manifests import manifest_name
from storage.reading import read_rows
from storage.runs import RunFolder
from storage.shards import Manifest, manifests
from tests.flows.plan.test_plan import commit, run_of
from tests.flows.rounds_by_jobs import inputs, make_run

STEPS = ["task", "prompt", "rollout", "verdict", "context", "score", "updates", "policy"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Three rounds of four prompts in two shards, two updates each."""
    return make_run(
        tmp_path_factory.mktemp("trace") / "run",
        *("rounds=2", "generate.num_prompts=4", "prompts_per_shard=2", "train.updates_per_round=2"),
    )


@pytest.fixture
def run(finished: RunFolder, tmp_path: Path) -> RunFolder:
    """One that a test may harm."""
    shutil.copytree(finished.path, tmp_path / "run")
    return RunFolder.open(tmp_path / "run")


def row_of(run: RunFolder, table: str, round: int, prompt: str, sample: int) -> dict[str, Any]:
    found = [row for shard in manifests(run, table, round) for row in read_rows(run, shard)]
    return next(row for row in found if (row["prompt_id"], row["sample"]) == (prompt, sample))


def prompts_of(run: RunFolder, round: int) -> list[str]:
    """In the order of the round's shards, training prompts alone."""
    rows = [row for shard in manifests(run, "rollouts", round) for row in read_rows(run, shard, ["prompt_id"])]
    return list(dict.fromkeys(row["prompt_id"] for row in rows))


def steps_of(run: RunFolder, round: int, prompt: str, sample: int) -> dict[str, Any]:
    return {step["step"]: step for step in trace(run, round, prompt, sample)["steps"]}


def test_each_step_says_what_its_rows_and_its_manifest_say(finished: RunFolder) -> None:
    prompt = prompts_of(finished, 1)[3]
    steps = steps_of(finished, 1, prompt, 2)
    assert list(steps) == STEPS
    assert steps["task"]["facts"]["tasks_digest"] == finished.document["tasks_digest"]
    plan = RunPlan.of(finished).rounds[1]
    for name, table in zip(STEPS[1:6], ("prompts", "rollouts", "verdicts", "contexts", "scores"), strict=True):
        shard, planned = steps[name]["shard"], getattr(plan, table)[1]
        manifest = planned.find(finished)
        assert (shard["key"], shard["file"], shard["state"]) == (planned.key, manifest.file, "current")
        assert (shard["created"], shard["host"], shard["attempts"]) == (manifest.created, manifest.info["host"], 1)
        assert shard["recorded"] == {name: shard[name] for name in ("stage_version", "settings_digest")}
        assert [parent["key"] for parent in shard["parents"]] == [parent.key for parent in planned.read]
        assert not shard["made_again"] and not any(parent["changed"] for parent in shard["parents"])
    rollout, verdict, score = (row_of(finished, table, 1, prompt, 2) for table in ("rollouts", "verdicts", "scores"))
    assert steps["rollout"]["facts"]["seed"] == rollout["seed"]
    assert steps["rollout"]["facts"]["num_tokens"] == len(rollout["token_ids"])
    assert steps["verdict"]["facts"]["reward"] == verdict["reward"]
    assert steps["score"]["facts"]["mean_teacher_logprob"] == score["mean_teacher_logprob"]
    policy = manifests(finished, "policies", 0)[0]
    assert steps["rollout"]["shard"]["model"] == {"version": 1, "digest": policy.sha256}
    assert steps["policy"]["facts"]["version"] == 2


def test_the_judge_is_the_one_that_the_settings_name(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", {"rounds": 1, "verify.verifier": "first_number"})
    for shard in (plan.rounds[0].prompts[0], plan.rounds[0].rollouts[0], plan.rounds[0].verdicts[0]):
        commit(folder, shard)
    assert steps_of(folder, 0, "a", 0)["verdict"]["facts"]["verifier"] == "first_number"


def test_peers_are_told_both_ways(finished: RunFolder) -> None:
    shown: set[tuple[str, int, int]] = set()
    showed: set[tuple[str, int, int]] = set()
    prompt = prompts_of(finished, 0)[0]
    samples = [
        row["sample"]
        for row in read_rows(finished, manifests(finished, "rollouts", 0)[0])
        if row["prompt_id"] == prompt
    ]
    for sample in samples:
        facts = steps_of(finished, 0, prompt, sample)["context"]["facts"]
        shown |= {(peer["role"], peer["sample"], sample) for peer in facts["peers"]}
        showed |= {(one["role"], sample, one["sample"]) for one in facts["shown_to"] if one["round"] == 0}
    assert shown and shown == showed


def test_each_scored_rollout_is_in_one_update_of_the_round(finished: RunFolder) -> None:
    tokens = {0: 0, 1: 0}
    weights = {0: 0.0, 1: 0.0}
    for row in (row for shard in manifests(finished, "scores", 1) for row in read_rows(finished, shard)):
        (update,) = steps_of(finished, 1, row["prompt_id"], row["sample"])["updates"]["facts"]["updates"]
        tokens[update["number"]] += len(row["token_ids"])
        weights[update["number"]] += update["weight"]
        assert (update["why"] is None) == row["distill"]
    updates = read_rows(finished, manifests(finished, "updates", 1)[0])
    assert list(tokens.values()) == [row["tokens"] for row in updates]
    skipped = [row["skipped"] is not None for row in updates]
    assert list(weights.values()) == pytest.approx([0.0 if no else 1.0 for no in skipped])


def test_a_run_that_has_not_come_so_far(run: RunFolder) -> None:
    prompt = prompts_of(run, 1)[0]
    for table in ("updates", "policies", "scores"):
        shutil.rmtree(run.path / table / "round=0001")
        for file in (run.path / table).glob("round=0001*.json"):
            file.unlink()
    steps = steps_of(run, 1, prompt, 0)
    notes = [steps[name]["note"] for name in ("context", "score", "updates", "policy")]
    assert notes == [None, "not scored yet", "not trained on yet", "not trained yet"]
    assert "score: not scored yet\n" in trace_text(trace(run, 1, prompt, 0))


@pytest.mark.parametrize("table", ["rollouts", "verdicts", "scores"])
def test_no_update_is_told_of_where_a_shard_that_decides_it_is_gone(run: RunFolder, table: str) -> None:
    prompts = prompts_of(run, 0)
    (run.path / manifest_name(run, table, 0, 1, getattr(RunPlan.of(run).rounds[0], table)[1].key)).unlink()
    for prompt in (prompts[0], prompts[-1]):
        step = steps_of(run, 0, prompt, 0)["updates"]
        assert step["note"].startswith("not known") and step["facts"] == {"updates": []}


def test_what_was_lost_and_made_again_and_what_is_out_of_date(run: RunFolder) -> None:
    prompt, plan = prompts_of(run, 0)[0], RunPlan.of(run)
    rollouts = plan.rounds[0].rollouts[0]
    name = manifest_name(run, "rollouts", 0, 0, rollouts.key)
    manifest = Manifest.read(run.store, name)
    later = {**json.loads(manifest.to_json()), "created": "2099-01-01T00:00:00.000000+00:00"}
    (run.path / name).write_text(json.dumps(later))
    shard = steps_of(run, 0, prompt, 0)["rollout"]["shard"]
    assert (shard["made_again"], shard["state"]) == (True, "current")
    (run.path / name).write_text(json.dumps({**later, "sha256": "0" * 64}))
    steps = steps_of(run, 0, prompt, 0)
    assert steps["verdict"]["shard"]["state"] == "out of date"
    assert [parent["changed"] for parent in steps["verdict"]["shard"]["parents"]] == [True, False]
    assert "(changed)" in trace_text(trace(run, 0, prompt, 0))


def test_a_manifest_from_before_versions_were_noted(run: RunFolder) -> None:
    name = manifest_name(run, "verdicts", 0, 0, RunPlan.of(run).rounds[0].verdicts[0].key)
    content = json.loads((run.path / name).read_text())
    content["info"] = {key: value for key, value in content["info"].items() if key not in ("stage_version", "attempts")}
    (run.path / name).write_text(json.dumps(content))
    prompt = prompts_of(run, 0)[0]
    assert steps_of(run, 0, prompt, 0)["verdict"]["shard"]["stage_version"] == 5
    assert "says no stage version and settings: these follow from its key" in trace_text(trace(run, 0, prompt, 0))


@pytest.mark.parametrize(
    ("round", "prompt", "sample", "message"),
    [
        (0, None, 99, "--sample 99: the group has samples 0 to "),
        (9, None, 0, "has rounds 0 to 1"),
        (0, "nonsense", 0, r'--prompt nonsense: not in round 0; mopd sql .* "SELECT prompt_id .* lists its prompts'),
        (0, "near", 0, "did you mean larger-"),
    ],
)
def test_one_line_for_what_is_not_there(
    finished: RunFolder, round: int, prompt: str | None, sample: int, message: str
) -> None:
    known = prompts_of(finished, 0)[0]
    asked = known[:-1] if prompt == "near" else prompt or known
    with pytest.raises(InputError, match=message):
        trace(finished, round, asked, sample)


def test_the_command(finished: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = prompts_of(finished, 0)[0]
    asked = ["trace", str(finished.path), "--round", "0", "--prompt", prompt, "--sample", "0"]
    assert main(asked) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[1].startswith("task: dataset numbers, split train, judged by last_number; ")
    assert "settings {" not in text
    assert main([*asked, "--settings"]) == 0 and "settings {" in capsys.readouterr().out
    assert main([*asked, "--json"]) == 0
    assert [step["step"] for step in json.loads(capsys.readouterr().out)["steps"]] == STEPS


def test_a_fork_says_whose_shards_it_has_and_a_run_that_was_redone_what_stands_beside(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda settings, *_: inputs(settings))
    prompt, frozen = prompts_of(run, 1)[0], ["train.teacher=frozen"]
    fork = fork_run(run.address, 1, frozen, str(tmp_path / "fork"))
    steps = steps_of(fork, 1, prompt, 0)
    assert (steps["verdict"]["shard"]["state"], steps["score"]["note"]) == ("taken over", "not scored yet")
    assert steps["verdict"]["shard"]["home"] == run.address
    assert f"taken over when the run was forked: {run.address}" in trace_text(trace(fork, 1, prompt, 0))
    before = steps_of(run, 1, prompt, 0)["score"]["shard"]
    redone = redo(run, 1, "score", frozen)
    score = steps_of(redone, 1, prompt, 0)["score"]
    assert (score["note"], score["shard"]["state"]) == ("not scored yet", "missing")
    superseded = [other["manifest"] for other in score["shard"]["beside"] if other["superseded"]]
    assert any(before["key"][:12] in name for name in superseded)
    assert steps_of(redone, 1, prompt, 0)["verdict"]["shard"]["state"] == "current"
