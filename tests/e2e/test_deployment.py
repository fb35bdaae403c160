"""`prefect deploy`, a worker, a triggered flow run: the deployment `mopd/run` as a user sets it up."""

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

from flows.run import run_flow
from mopd.settings import Settings, load_settings
from tests.e2e.harness import FAKE, ROOT, TINY, Prefect, wait_for


@pytest.fixture(scope="module")
def worker(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Pool, device limit and deployment, as prefect.yaml's head says, and a worker on the pool."""
    for arguments in (
        ("work-pool", "create", "mopd", "--type", "process"),
        ("gcl", "create", "mopd-device", "--limit", "1"),
        ("--no-prompt", "deploy", "--name", "run"),
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
def deployment(prefect: Prefect, worker: None) -> Any:
    return next(one for one in prefect.post("deployments/filter") if one["name"] == "run")


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
    prefect: Prefect, deployment: Any, tmp_path: Path
) -> None:
    settings = load_settings(TINY, [*FAKE[1:], "rounds=1"]).model_dump(mode="json")
    parameters = {"settings": settings, "run_dir": str(tmp_path / "deployed")}
    first = trigger(prefect, deployment, parameters)
    assert first["state_type"] == "COMPLETED", logs(prefect, first)
    assert first["name"] == "run-deployed"
    assert json.loads(prefect.mopd("status", tmp_path / "deployed", "--json").stdout)["finished"]
    second = trigger(prefect, deployment, parameters)
    assert second["state_type"] == "COMPLETED"
    assert second["total_run_time"] < 10
    wait_for(lambda: any("nothing to do" in line for line in logs(prefect, second)), 20)
    limit = next(one for one in prefect.post("v2/concurrency_limits/filter") if one["name"] == "mopd-device")
    assert limit["active_slots"] == 0


def test_the_flow_is_called_mopd() -> None:
    assert run_flow.name == "mopd"


def trigger(prefect: Prefect, deployment: Any, parameters: dict[str, Any]) -> Any:
    """Start the deployment and wait for the end of its flow run."""
    run = prefect.post(f"deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})

    def state() -> Any:
        return prefect.post("flow_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})[0]

    wait_for(lambda: state()["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"), 200)
    return state()


def logs(prefect: Prefect, run: Any) -> list[str]:
    found = prefect.post("logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    return [log["message"] for log in found]
