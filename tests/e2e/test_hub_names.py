"""A run whose models and tasks are named on the hub: pinned when it is made, and from then on without a hub."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mopd.models.folders import resolve_model
from tests.e2e.commands import ROOT
from tests.e2e.harness import FAKE, TINY, Prefect
from tests.mopd.hub.client import hub_environment
from tests.mopd.hub.hub_server import Hub, serve_hub

STUDENT, TEACHER, SUMS = "acme/student", "acme/teacher@v1", "hub:acme/sums"


def sums(numbers: range) -> bytes:
    """Questions in GSM8K's format."""
    rows = [{"question": f"What is {number} + 1?", "answer": f"#### {number + 1}"} for number in numbers]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The tiny config, by names of the hub."""
    tree = yaml.safe_load(TINY.read_text())
    tree["rounds"] = 1
    tree["model"]["path"] = STUDENT
    tree["tasks"] = {"kind": "file", "train": f"{SUMS}#train", "heldout": f"{SUMS}#test"}
    tree["train"]["teacher"] = {"kind": "external", "path": TEACHER}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def push_all(hub: Hub) -> dict[str, str]:
    """Student, teacher and tasks; returns their commits."""
    tiny = resolve_model("tiny:llama")
    student = {path.name: path.read_bytes() for path in tiny.iterdir()}
    return {
        STUDENT: hub.push("acme/student", student),
        TEACHER: hub.push("acme/teacher", student, branch="v1"),
        SUMS: hub.push("acme/sums", {"train.jsonl": sums(range(8)), "test.jsonl": sums(range(20, 24))}, kind="dataset"),
    }


def move_branches(hub: Hub) -> None:
    """Everybody pushes something else."""
    hub.push("acme/student", {"config.json": b"{}"})
    hub.push("acme/teacher", {"config.json": b"{}"}, branch="v1")
    hub.push("acme/sums", {"train.jsonl": sums(range(2))}, kind="dataset")


@pytest.mark.timeout(600)
def test_a_run_goes_on_with_the_commits_that_it_began_with(prefect: Prefect, config: Path, tmp_path: Path) -> None:
    run, home = tmp_path / "run", tmp_path / "home"

    def mopd(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**prefect.env, **hub_environment(url, home, **variables)}
        environment |= {name: value for name, value in prefect.env.items() if name.startswith("PREFECT_")}
        command = [sys.executable, "-m", "flows.cli", *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280)

    def document() -> dict[str, Any]:
        content: dict[str, Any] = json.loads((run / "run.json").read_text())
        return content

    with serve_hub() as hub:
        url = hub.url
        commits = push_all(hub)
        begun = mopd("run", config, "--run", run, *FAKE)
        assert begun.returncode == 0, begun.stdout + begun.stderr
        assert document()["hub"] == commits
        assert document()["settings"]["model"]["path"] == STUDENT
        assert f"acme/student@{commits[STUDENT][:12]}: " in begun.stdout
        move_branches(hub)
        asked = len(hub.requests)
        extended = mopd("run", config, "--run", run, *FAKE, "--set", "rounds=2")
        assert extended.returncode == 0, extended.stdout + extended.stderr
        assert len(hub.requests) == asked
    offline = mopd("run", run, "--set", "rounds=3")
    assert offline.returncode == 0, offline.stdout + offline.stderr
    assert document()["hub"] == commits
    other = mopd("run", config, "--run", tmp_path / "other", *FAKE, "--set", f"model.path={STUDENT}@{'0' * 40}")
    assert other.returncode == 2
    (line,) = other.stderr.strip().splitlines()
    assert "could not be loaded from" in line
