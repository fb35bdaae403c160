"""`prefect deploy`, a worker, triggered flow runs: the deployments as a user sets them up; and comparisons."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mopd.settings import Settings, load_settings
from storage.digest import digest_tables
from storage.runs import RunFolder
from tests.e2e.harness import FAKE, ROOT, TINY, Prefect, wait_for

COMPARED = (FAKE[1], "rounds=1", "prompts_per_shard=4", "train.updates_per_round=1", "evaluate.num_samples=1")
PARAMETERS = {"config", "vary", "seeds", "overrides", "out", "jobs"}

pytestmark = pytest.mark.timeout(600)  # flow runs by the worker wait for each other


@pytest.fixture(scope="module")
def worker(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Pool, device limit and deployment, as prefect.yaml's head says, and a worker on the pool."""
    for arguments in (
        ("work-pool", "create", "mopd", "--type", "process"),
        ("gcl", "create", "mopd-device", "--limit", "1"),
        ("--no-prompt", "deploy", "--all"),
    ):
        done = prefect.command("prefect", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "mopd"]
        process = subprocess.Popen(command, env=prefect.env, cwd=ROOT, stdout=out, stderr=out, start_new_session=True)
    yield
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    # other modules kill runs: with the limit in place, each would keep the slot for the length of its lease
    done = prefect.command("prefect", "--no-prompt", "gcl", "delete", "mopd-device")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def deployments(prefect: Prefect, worker: None) -> dict[str, Any]:
    """What is deployed, by name."""
    return {one["name"]: one for one in prefect.post("deployments/filter")}


@pytest.fixture(scope="module")
def deployment(deployments: dict[str, Any]) -> Any:
    return deployments["run"]


@pytest.fixture(scope="module")
def deployed(prefect: Prefect, deployment: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the deployment was triggered for, at its end."""
    run = tmp_path_factory.mktemp("runs") / "deployed"
    ended = trigger(prefect, deployment, parameters_of(run))
    assert ended["state_type"] == "COMPLETED", logs(prefect, ended)
    return run


def parameters_of(run: Path) -> dict[str, Any]:
    settings = load_settings(TINY, [*FAKE[1::2], "rounds=1"]).model_dump(mode="json")
    return {"settings": settings, "run_dir": str(run)}


@pytest.fixture(scope="module")
def compared(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison of two arms by `mopd compare`."""
    out = tmp_path_factory.mktemp("compared") / "out"
    done = compare(prefect, out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "grpo-seed0: finished in" in done.stdout
    assert "2 of 2 runs" in done.stdout
    return out


def compare(prefect: Prefect, out: Path) -> subprocess.CompletedProcess[str]:
    sets = [part for one in COMPARED for part in ("--set", one)]
    return prefect.mopd("compare", TINY, "--vary", "train.objective=sdpo,grpo", *sets, "--out", out)


def test_the_deployment_has_a_form_a_schedule_and_limits(prefect: Prefect, deployment: Any) -> None:
    schema = deployment["parameter_openapi_schema"]
    assert set(schema["properties"]) == {"settings", "run_dir"}
    form = schema["definitions"]["Settings"]["properties"]
    assert set(form) == set(Settings.model_fields)
    assert form["seed"]["default"] == 0
    assert "unit that is retried" in form["prompts_per_shard"]["description"]
    assert [schedule["schedule"]["cron"] for schedule in deployment["schedules"]] == ["0 2 * * *"]
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert deployment["work_pool_name"] == "mopd"
    Settings.model_validate(deployment["parameters"]["settings"])


def test_a_triggered_run_completes_and_does_nothing_the_second_time(
    prefect: Prefect, deployment: Any, deployed: Path
) -> None:
    (first,) = (one for one in prefect.flow_runs(deployed) if one["deployment_id"])
    assert first["name"] == "run-deployed"
    assert json.loads(prefect.mopd("status", deployed, "--json").stdout)["finished"]
    second = trigger(prefect, deployment, parameters_of(deployed))
    assert second["state_type"] == "COMPLETED"
    assert second["total_run_time"] < 10
    wait_for(lambda: any("nothing to do" in line for line in logs(prefect, second)), 20)
    limit = next(one for one in prefect.post("v2/concurrency_limits/filter") if one["name"] == "mopd-device")
    assert limit["active_slots"] == 0


def test_what_looks_at_runs_is_deployed_too(prefect: Prefect, deployments: dict[str, Any], deployed: Path) -> None:
    forms = {name: set(one["parameter_openapi_schema"]["properties"]) for name, one in deployments.items()}
    looks = {"run_dir", "round", "variants", "renderings", "orders", "reference", "overrides", "out"}
    assert forms["analyze-signal"] == looks
    assert forms["probe"] == looks - {"reference", "overrides"} | {"settings"}
    assert forms["analyze-diversity"] == {"runs", "out"}
    assert forms["reverify"] == {"run_dir", "round", "verifier", "overrides", "again", "apply"}
    parameters = {"run_dir": str(deployed), "round": 0, "variants": ["none", "contrastive"]}
    ended = trigger(prefect, deployments["analyze-signal"], parameters)
    assert ended["state_type"] == "COMPLETED", logs(prefect, ended)
    filtered = {"artifacts": {"flow_run_id": {"any_": [ended["id"]]}}}
    (artifact,) = prefect.post("artifacts/filter", filtered)
    assert (artifact["key"], artifact["type"]) == ("mopd-signal", "markdown")
    page = (deployed / "analysis" / "signal-round=0000" / "signal.md").read_text()
    picture = "![success AUC and pairwise accuracy by context](plot.png)\n\n"
    assert artifact["data"] == page.replace(picture, "") != page  # the UI has no picture beside it


def test_a_fork_and_a_rerun_are_started_by_forms(prefect: Prefect, deployments: dict[str, Any], deployed: Path) -> None:
    schemas = {name: deployments[name]["parameter_openapi_schema"]["properties"] for name in ("fork", "rerun")}
    assert set(schemas["fork"]) == {"run_dir", "round", "new", "overrides", "start"}
    assert set(schemas["rerun"]) == {"run_dir", "round", "stage", "overrides", "undo"}
    assert all(field["description"] for schema in schemas.values() for field in schema.values())
    assert schemas["rerun"]["stage"]["anyOf"][0]["enum"][:3] == ["draw", "generate", "verify"]
    new = deployed.parent / "fork"
    asked = {"run_dir": str(deployed), "round": 0, "new": str(new), "overrides": ["train.learning_rate=0.5"]}
    ended = trigger(prefect, deployments["fork"], asked)
    assert (ended["state_type"], ended["name"]) == ("COMPLETED", "fork-deployed"), logs(prefect, ended)
    before = digest_tables(RunFolder.open(new))
    asked = {"run_dir": str(new), "round": 0, "stage": "train", "overrides": ["train.learning_rate=1e-3"]}
    ended = trigger(prefect, deployments["rerun"], asked)
    assert (ended["state_type"], ended["name"]) == ("COMPLETED", "rerun-fork"), logs(prefect, ended)
    after, first = digest_tables(RunFolder.open(new)), digest_tables(RunFolder.open(deployed))
    assert after == first != before
    (artifact,) = prefect.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [ended["id"]]}}})
    assert {"round": 0, "stage": "train", "stay": None, "superseded": 1, "to be made": 1} in json.loads(
        artifact["data"]
    )
    ended = trigger(prefect, deployments["rerun"], {"run_dir": str(new), "undo": True})
    assert (ended["state_type"], digest_tables(RunFolder.open(new))) == ("COMPLETED", before), logs(prefect, ended)
    ended = trigger(prefect, deployments["rerun"], {"run_dir": str(new), "undo": True})
    assert ended["state_type"] == "FAILED"
    assert "no round of it was redone, so there is nothing to bring back" in ended["state"]["message"]


def test_another_verifier_is_deployed_too(prefect: Prefect, deployments: dict[str, Any], deployed: Path) -> None:
    parameters = {"run_dir": str(deployed), "round": 0, "verifier": "first_number"}
    ended = trigger(prefect, deployments["reverify"], parameters)
    assert ended["state_type"] == "COMPLETED", logs(prefect, ended)
    filtered = {"artifacts": {"flow_run_id": {"any_": [ended["id"]]}}}
    (artifact,) = prefect.post("artifacts/filter", filtered)
    assert (artifact["key"], artifact["type"]) == ("mopd-reverify", "markdown")
    assert "first_number: 0 of 16 verdicts flipped" in artifact["data"]


def test_arms_share_the_first_rollouts_and_a_second_start_does_nothing(prefect: Prefect, compared: Path) -> None:
    sdpo, grpo = (digest_tables(RunFolder.open(compared / "runs" / f"{arm}-seed0")) for arm in ("sdpo", "grpo"))
    shared = ("prompts", "rollouts", "verdicts")
    assert {table: sdpo[table] for table in shared} == {table: grpo[table] for table in shared}
    assert sdpo["policies"] != grpo["policies"]
    assert not list((compared / "runs" / "grpo-seed0" / "rollouts").rglob("*.parquet"))  # by reference, not again
    assert result_keys(compared) == keys_of("sdpo", "grpo")
    kept = written(compared)
    again = compare(prefect, compared)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "started" not in again.stdout
    assert written(compared) == kept


def test_the_deployment_of_compare_goes_on_with_a_comparison(
    prefect: Prefect, deployments: dict[str, Any], compared: Path
) -> None:
    assert set(deployments["compare"]["parameter_openapi_schema"]["properties"]) == PARAMETERS
    kept = written(compared)
    parameters = {"config": str(TINY), "vary": ["train.objective=sdpo,grpo,opd"], "overrides": list(COMPARED)}
    ended = trigger(prefect, deployments["compare"], parameters | {"seeds": 1, "out": str(compared)})
    assert (ended["state_type"], ended["name"]) == ("COMPLETED", "compare-out"), logs(prefect, ended)
    assert {path: time for path, time in written(compared).items() if path in kept} == kept
    assert result_keys(compared) == keys_of("sdpo", "grpo", "opd")
    wait_for(lambda: any("opd-seed0: finished in" in line for line in logs(prefect, ended)), 20)
    filtered = {"artifacts": {"flow_run_id": {"any_": [ended["id"]]}}}
    (artifact,) = prefect.post("artifacts/filter", filtered)
    table, *_ = artifact["data"].split("\n\n")
    assert (artifact["key"], artifact["type"], table.count("| opd |")) == ("mopd-compare", "markdown", 2)
    assert table in (compared / "results.md").read_text()


def test_deployments_are_of_flows_that_say_what_they_do(prefect: Prefect, deployments: dict[str, Any]) -> None:
    flows = {flow["id"]: flow["name"] for flow in prefect.post("flows/filter")}
    assert {name: flows[deployment["flow_id"]] for name, deployment in deployments.items()} == {
        "run": "mopd",
        "fork": "mopd-fork",
        "rerun": "mopd-rerun",
        "compare": "mopd-compare",
        "eval": "mopd-eval",
        "analyze-signal": "mopd-signal",
        "analyze-diversity": "mopd-diversity",
        "probe": "mopd-probe",
        "reverify": "mopd-reverify",
    }


def written(out: Path) -> dict[Path, int]:
    """When the manifests of a comparison's runs were written."""
    return {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.json")}


def result_keys(out: Path) -> list[list[str]]:
    lines = (out / "results.csv").read_text().splitlines()
    return [line.split(",")[:3] for line in lines[1:]]


def keys_of(*arms: str) -> list[list[str]]:
    """Arm, seed and rounds of each row of results."""
    return [[arm, seed, rounds] for seed in ("0", "all") for arm in arms for rounds in ("0", "1")]


def trigger(prefect: Prefect, deployment: Any, parameters: dict[str, Any]) -> Any:
    """Start the deployment and wait for the end of its flow run."""
    run = prefect.post(f"deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})

    def state() -> Any:
        return prefect.post("flow_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})[0]

    wait_for(lambda: state()["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"), 400)
    return state()


def logs(prefect: Prefect, run: Any) -> list[str]:
    found = prefect.post("logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    return [log["message"] for log in found]
