"""The whole DAG with the fake engine: what is on disk, what Prefect shows, and that starting again does nothing."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from flows.viewer.leave import artifact_key
from storage.runs import RunFolder
from storage.shards import verify_run
from storage.sql.catalog import query
from tests.e2e.harness import FAKE, ROOT, TINY, Prefect

ROUNDS, PROMPTS, SAMPLES, HELDOUT, UPDATES = 2, 4, 4, 4, 2


def test_every_table_has_its_rows(finished_run: Path) -> None:
    folder = RunFolder.open(finished_run)
    rollouts = ROUNDS * PROMPTS * SAMPLES
    expected = {
        "prompts": ROUNDS * PROMPTS + 2 * HELDOUT,
        **dict.fromkeys(("rollouts", "verdicts", "contexts", "scores", "episodes"), rollouts),
        "updates": ROUNDS * UPDATES,
        "evaluations": 2 * HELDOUT * SAMPLES,
    }
    own = {"contexts": "WHERE condition = ''", "scores": "WHERE condition = ''"}  # beside them stand the control's
    counted = {
        table: query(folder, f"SELECT count(*) FROM {table} {own.get(table, '')}").rows[0][0] for table in expected
    }
    assert counted == expected
    assert verify_run(folder) == []


def test_every_policy_is_a_model_folder_and_only_the_last_keeps_its_trainer_state(finished_run: Path) -> None:
    policies = [finished_run / "policies" / f"round={number:04d}" for number in range(ROUNDS)]
    assert all((policy / name).is_file() for policy in policies for name in ("config.json", "model.safetensors"))
    assert [(policy / "trainer").is_dir() for policy in policies] == [False, True]


def test_run_json_says_how_the_run_was_made(finished_run: Path) -> None:
    document = json.loads((finished_run / "run.json").read_text())
    assert document["config"] == "tiny"
    assert document["settings"]["generate"]["engine"] == "fake"
    assert len(document["model_digest"]) == 64
    assert {"python", "torch", "prefect"} <= document["versions"].keys()
    assert document["code_revision"]


def test_prefect_shows_names_tags_and_states(prefect: Prefect, finished_run: Path) -> None:
    flows = {run["name"]: run for run in prefect.flow_runs(finished_run)}
    assert {"run-finished", "round-0000", "round-0001", "generate-r0001", "score-r0000", "evaluate-r0002"} <= set(flows)
    assert {run["state_type"] for run in flows.values()} == {"COMPLETED"}
    tasks = {run["name"] for run in prefect.task_runs(finished_run)}
    assert {"generate-r0000-s0001", "verify-r0001-s0000", "condition-r0000-s0000", "train-r0001-s0000"} <= tasks


def test_prefect_has_a_table_for_each_stage(prefect: Prefect, finished_run: Path) -> None:
    mine = {run["id"]: run["name"] for run in prefect.flow_runs(finished_run)}
    artifacts = prefect.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": list(mine)}}})
    tables = {
        (one["key"], mine[one["flow_run_id"]]): json.loads(one["data"])[-1]
        for one in artifacts
        if one["type"] == "table"
    }
    verdicts = tables["mopd-verify", "generate-r0000"]
    assert verdicts["rows"] == PROMPTS * SAMPLES
    assert verdicts["groups"] == PROMPTS
    assert "groups with both outcomes" in verdicts
    assert verdicts["pass rate"].endswith("%")
    assert tables["mopd-generate", "generate-r0000"]["tokens"] > 0
    assert {"with peer sections", "cut contexts"} <= tables["mopd-condition", "condition-r0001"].keys()
    assert {key for key, _ in tables} >= {"mopd-score", "mopd-train", "mopd-evaluate"}


def test_prefect_keeps_the_log_of_progress(prefect: Prefect, finished_run: Path) -> None:
    run = next(run for run in prefect.flow_runs(finished_run) if run["name"] == "generate-r0000")
    logs = prefect.post("logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    assert any("2/2 shards" in log["message"] and "tokens/s" in log["message"] for log in logs)


def test_status_knows_stages_and_results(prefect: Prefect, finished_run: Path) -> None:
    status = json.loads(prefect.mopd("status", finished_run, "--json").stdout)
    assert status["finished"]
    assert [entry["stages"]["score"]["shards_done"] for entry in status["rounds"]] == [2, 2]
    assert [entry["policy"] for entry in status["evaluations"]] == [0, ROUNDS]
    assert all(0 <= entry["mean_at_k"] <= entry["pass_at_k"] <= 1 for entry in status["evaluations"])
    text = prefect.mopd("status", finished_run).stdout
    assert "finished" in text
    assert "mean@4" in text


def test_it_leaves_its_page_and_a_link_to_it(prefect: Prefect, finished_run: Path) -> None:
    page = finished_run / "report.html"
    assert f'"id":"{finished_run.name}"' in page.read_text()
    links = prefect.post("artifacts/filter", {"artifacts": {"key": {"any_": [artifact_key(finished_run.name)]}}})
    assert [page.as_uri() in link["data"] for link in links].count(True) == 1


def test_a_finished_run_starts_and_ends_at_once(prefect: Prefect, finished_run: Path) -> None:
    before = children_seconds()
    done = prefect.own_mopd("run", TINY, "--run", finished_run, *FAKE)
    assert done.returncode == 0, done.stderr
    assert "finished already, nothing to do" in done.stdout
    assert children_seconds() - before < 10


def test_the_flow_of_a_finished_run_removes_garbage_and_loads_no_model(prefect: Prefect, finished_run: Path) -> None:
    left = finished_run / "_tmp" / "of-a-killed-commit.partial"
    left.write_bytes(b"half")
    script = f"""
import sys
from time import process_time
import flows.run
from flows.runtime.console import Console
from flows.run import run_flow
from flows.viewer.leave import artifact_key
from mopd.settings import load_settings
Console.terminal = sys.stdout
flows.run.GARBAGE_GRACE_SECONDS = 0
began = process_time()
run_flow(load_settings({str(TINY)!r}, ["generate.engine=fake"]), {str(finished_run)!r})
print("seconds", process_time() - began)
print("heavy", [name for name in ("torch", "transformers", "vllm") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=prefect.env, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert "finished already, nothing to do" in done.stdout, done.stderr
    assert float(done.stdout.split("seconds ")[1].split()[0]) < 10
    assert "heavy []" in done.stdout
    assert not left.exists()


def test_sql_reads_and_only_reads(prefect: Prefect, finished_run: Path) -> None:
    select = "SELECT round, count(*) AS n FROM episodes GROUP BY round ORDER BY round"
    assert prefect.mopd("sql", finished_run, select, "--format", "csv").stdout == "round,n\n0,16\n1,16\n"
    assert json.loads(prefect.mopd("sql", finished_run, select, "--format", "json").stdout)[1] == {"round": 1, "n": 16}
    assert "round" in prefect.mopd("sql", finished_run, select).stdout
    refused = prefect.mopd("sql", finished_run, f"COPY rollouts TO '{finished_run}/x.parquet'")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert not (finished_run / "x.parquet").exists()


def test_show_prints_the_group_and_a_sample_in_the_teachers_eyes(prefect: Prefect, finished_run: Path) -> None:
    prompt = query(RunFolder.open(finished_run), "SELECT prompt_id FROM rollouts WHERE round = 0 LIMIT 1").rows[0][0]
    group = prefect.mopd("show", finished_run, "--round", "0", "--prompt", prompt)
    assert group.stdout.count("sample ") == SAMPLES, group.stderr
    assert "the teacher saw" in group.stdout
    sample = prefect.mopd("show", finished_run, "--round", "0", "--prompt", prompt, "--sample", "1")
    assert "what the teacher was shown" in sample.stdout
    assert "teacher less likely" in sample.stdout
    assert "largest differences" in sample.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "RUN", "--round", "9", "--prompt", "x"), "no rollouts of this round"),
        (("show", "RUN", "--round", "0", "--prompt", "x"), "not in round 0; it has larger-"),
        (("export", "RUN", "--round", "9", "OUT"), "rounds 0 to 1"),
        (("export", "RUN", "--round", "1", "RUN"), "not empty"),
        (("sql", "RUN", "SELEC 1"), "syntax error"),
    ],
)
def test_a_wrong_question_is_one_line(
    prefect: Prefect, finished_run: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    places = {"RUN": str(finished_run), "OUT": str(tmp_path / "out")}
    done = prefect.mopd(*(places.get(argument, argument) for argument in arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_export_copies_the_policy_alone(prefect: Prefect, finished_run: Path, tmp_path: Path) -> None:
    done = prefect.mopd("export", finished_run, "--round", "1", tmp_path / "policy")
    assert done.returncode == 0, done.stderr
    source = finished_run / "policies" / "round=0001"
    assert (tmp_path / "policy" / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    assert not (tmp_path / "policy" / "trainer").exists()


def test_rounds_one_after_the_other_are_the_run_that_had_them_at_once(
    prefect: Prefect, finished_run: Path, tmp_path: Path
) -> None:
    """Fewer are refused. The policy where it ended before keeps its evaluation, beside what the settings ask for."""
    run = tmp_path / "run"
    for rounds in range(1, ROUNDS + 1):
        done = prefect.mopd("run", TINY, "--run", run, *FAKE, "--set", f"rounds={rounds}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(list((run / "policies").glob("*.json"))) == rounds
    assert json.loads((run / "run.json").read_text())["extended"] == [{"from": 1, "to": ROUNDS}]
    fewer = prefect.mopd("run", TINY, "--run", run, *FAKE, "--set", "rounds=1")
    assert fewer.returncode == 2
    assert f"has {ROUNDS} rounds" in fewer.stderr
    digests = [prefect.mopd("digest", path).stdout for path in (finished_run, run)]
    assert digests[0] == digests[1]
    assert len(digests[0].splitlines()) == 13
    status = json.loads(prefect.mopd("status", run, "--json").stdout)
    assert status["finished"]
    assert [entry["policy"] for entry in status["evaluations"]] == [0, 1, ROUNDS]
    assert all(entry["mean_at_k"] is not None for entry in status["evaluations"])
    assert [line.split()[0] for line in done.stdout.split("held-out")[1].splitlines()[-5:-2]] == ["0", "1", "2"]


def children_seconds() -> float:
    """CPU time of all child processes so far: a wall clock would measure the machine's other users."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
