"""What lies under examples/cluster/ names commands, options and settings that exist; the scripts run to their end."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli.commands import mopd
from flows.runtime.exit_code import USER_ERROR
from mopd.settings import load_settings
from mopd.settings.place import RayPlace
from storage.digest import digest_tables
from storage.runs import RunFolder

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "examples" / "cluster"
SCRIPTS = [*sorted(CLUSTER.glob("*.s*")), ROOT / "tests" / "examples" / "slurm_hosts.sh"]
MANIFESTS = {path.stem: list(yaml.safe_load_all(path.read_text())) for path in sorted(CLUSTER.glob("*.yaml"))}
PAGES = [*sorted(CLUSTER.iterdir()), ROOT / "docs" / "operate.md", ROOT / "prefect.yaml"]

SECONDS = 590


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash(path: Path) -> None:
    checked = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    if shutil.which("shellcheck"):
        checked = subprocess.run(["shellcheck", path], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", ["slurm.sbatch", "run-job.yaml"])
def test_runs_are_started_by_options_and_settings_that_there_are(name: str) -> None:
    (command,) = re.findall(r"(?:-- |exec )(mopd run .*?)(?: \|\| true)?\n", (CLUSTER / name).read_text())
    known = {"$config": "examples/math.yaml", "$run": "s3://bucket/math", "$RUN": "/runs/math"}
    words = [known.get(word, word) for word in shlex.split(command)[1:] if word != "$@"]
    _, arguments, _ = mopd.parse_args(words, print_error=False, exit_on_error=False)
    settings = load_settings(ROOT / arguments.arguments["config"], arguments.arguments["overrides"])
    assert isinstance(settings.place, RayPlace)


def test_a_mistake_of_the_user_is_not_tried_twenty_times() -> None:
    (job,) = MANIFESTS["run-job"]
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob" and rule["onExitCodes"]["values"] == [USER_ERROR]
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"  # without it the policy is refused


def test_ray_is_started_by_options_that_there_are() -> None:
    from ray.scripts.scripts import start
    from ray.scripts.symmetric_run import symmetric_run

    options = {
        option for command in (start, symmetric_run) for parameter in command.params for option in parameter.opts
    }
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    named = {f"--{option}" for group in groups for option in group["rayStartParams"]}
    for text in (path.read_text().replace("\\\n", "") for path in CLUSTER.iterdir()):
        for command in re.findall(r"^ *(?:srun .*)?ray (?:start|symmetric-run) (.*?)(?: -- .*)?$", text, re.MULTILINE):
            named |= set(re.findall(r"(--[a-z-]+)", command))
    assert {"--num-cpus", "--min-nodes", "--node-manager-port"} <= named <= options


(cluster,) = (document for document in MANIFESTS["raycluster"] if document["kind"] == "RayCluster")


def test_pods_are_of_one_image_and_know_each_other() -> None:
    pods = [pod for documents in MANIFESTS.values() for document in documents for pod in pods_of(document)]
    containers = [container for pod in pods for container in [*pod.get("initContainers", []), *pod["containers"]]]
    assert len(pods) == 4
    assert len({container["image"] for container in containers}) == 1
    assert {claim for pod in pods for claim in claims(pod)} == {MANIFESTS["raycluster"][0]["metadata"]["name"]}
    text = "".join(path.read_text() for path in CLUSTER.glob("*.yaml"))
    made = set(re.findall(r"create secret generic (\S+)", text))
    assert made == set(re.findall(r"name: (mopd-(?:ray|store|prefect))$", text, re.MULTILINE))
    assert set(re.findall(r"--address=(\S+)", text)) == {f"{cluster['metadata']['name']}-head-svc:6379"}
    assert cluster["spec"]["rayVersion"] == re.findall(r"ray==([\d.]+)", (ROOT / "pyproject.toml").read_text())[0]


def test_pods_of_ray_have_probes_of_their_own() -> None:
    """The operator's ask a dashboard that is not there."""
    head, worker = (pod["containers"][0] for pod in pods_of(cluster))
    ports = {6379: head, int(cluster["spec"]["workerGroupSpecs"][0]["rayStartParams"]["node-manager-port"]): worker}
    for port, container in ports.items():
        assert (
            container["readinessProbe"]["tcpSocket"]["port"] == container["livenessProbe"]["tcpSocket"]["port"] == port
        )


def test_settings_of_prefect_are_there() -> None:
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_settings_fields

    names = {name for path in PAGES for name in re.findall(r"\bPREFECT_[A-Z_]+[A-Z]\b", path.read_text())}
    assert "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE" in names
    assert names - set(_get_settings_fields(Settings)) == set()


def pods_of(document: Any) -> Iterator[Any]:
    """The specs of all pods that a manifest makes."""
    if isinstance(document, dict):
        if "containers" in document:
            yield document
        for value in document.values():
            yield from pods_of(value)
    elif isinstance(document, list):
        for value in document:
            yield from pods_of(value)


def claims(pod: Any) -> Iterator[str]:
    for volume in pod.get("volumes", []):
        yield volume["persistentVolumeClaim"]["claimName"]


def run(*command: str | Path, **environment: str) -> str:
    """What a script says; its environment has no Prefect of the tests'."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | environment
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.cluster
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    not (shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))),
    reason="PostgreSQL is not installed (Debian: apt install postgresql)",
)
def test_prefect_on_postgres() -> None:
    said = run(CLUSTER / "prefect_on_postgres.sh", PYTHON=sys.executable)
    assert "HTTP Error 401" in said
    assert "mopd/run completed" in said
    assert "given back: 0 taken" in said
    assert "flow runs and the deployment are there" in said


@pytest.mark.cluster
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("slurmctld", "slurmd", "sbatch", "munged", "ip", "nsenter"))),
    reason="takes root and Slurm (Debian: apt install slurm-wlm munge iproute2)",
)
def test_slurm_runs_it_on_two_hosts(tmp_path: Path) -> None:
    """On both of them, and what comes out is what comes out on one."""
    config, options = ROOT / "examples" / "tiny.yaml", ["--set", "generate.engine=fake", "--set", "rounds=1"]
    job = [CLUSTER / "slurm.sbatch", config, tmp_path / "slurm", *options]
    run(
        ROOT / "tests" / "examples" / "slurm_hosts.sh",
        *("sbatch", "--wait", "--nodes=2", f"--output={tmp_path / 'job.log'}", *job),
        DEVICES="1",
        LOGS=str(tmp_path),
        RAY_gcs_rpc_server_reconnect_timeout_s="10",  # so soon the second host notices that all is over
    )
    assert "2 replicas on 2 hosts" in (tmp_path / "mopd-1-0.log").read_text()
    run(sys.executable, "-m", "flows.cli", "run", config, "--run", tmp_path / "here", *options)
    assert digest_tables(RunFolder.open(tmp_path / "slurm")) == digest_tables(RunFolder.open(tmp_path / "here"))
