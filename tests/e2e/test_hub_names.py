"""A run whose models and tasks are named on the hub: pinned when it is made, and from then on without a hub."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from mopd.models.folders import resolve_model
from tests.e2e.commands import ROOT
from tests.e2e.harness import FAKE, FAKE_ENGINE, TINY, Prefect
from tests.mopd.hub.client import hub_environment
from tests.mopd.hub.hub_server import Hub, serve_hub
from tests.mopd.hub.hub_uploads import TOKEN, UploadHandler

STUDENT, TEACHER, SUMS = "acme/student", "acme/teacher@v1", "hub:acme/sums"
CARD = b"---\nlicense: other\nlicense_name: acme-1\nlicense_link: https://example.org/LICENSE\n---\n# Student\n"
NOWHERE = "http://127.0.0.1:9"


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
        STUDENT: hub.push("acme/student", student | {"README.md": CARD}),
        TEACHER: hub.push("acme/teacher", student, branch="v1"),
        SUMS: hub.push("acme/sums", {"train.jsonl": sums(range(8)), "test.jsonl": sums(range(20, 24))}, kind="dataset"),
    }


def move_branches(hub: Hub) -> None:
    """Everybody pushes something else."""
    hub.push("acme/student", {"config.json": b"{}"})
    hub.push("acme/teacher", {"config.json": b"{}"}, branch="v1")
    hub.push("acme/sums", {"train.jsonl": sums(range(2))}, kind="dataset")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub(UploadHandler) as hub:
        hub.tokens.add(TOKEN)
        yield hub


@dataclass(frozen=True)
class User:
    """Somebody whose hub is the test's."""

    prefect: Prefect
    url: str
    home: Path

    def mopd(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `mopd ARGUMENTS` to its end."""
        server = {name: value for name, value in self.prefect.env.items() if name.startswith("PREFECT_")}
        environment = {**hub_environment(self.url, self.home, **variables), **server}
        command = [sys.executable, "-m", "flows.cli", *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280)


@pytest.fixture
def user(prefect: Prefect, hub: Hub, tmp_path: Path) -> User:
    return User(prefect, hub.url, tmp_path / "home")


def document(folder: Path) -> dict[str, Any]:
    """Its run.json."""
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


@pytest.mark.timeout(600)
def test_a_run_goes_on_with_the_commits_that_it_began_with(hub: Hub, user: User, config: Path, tmp_path: Path) -> None:
    run, commits = tmp_path / "run", push_all(hub)
    begun = user.mopd("run", config, "--run", run, *FAKE)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    assert document(run)["hub"] == commits
    assert document(run)["settings"]["model"]["path"] == STUDENT
    assert f"acme/student@{commits[STUDENT][:12]}: " in begun.stdout
    move_branches(hub)
    asked = len(hub.requests)
    extended = user.mopd("run", config, "--run", run, *FAKE, "--set", "rounds=2")
    assert extended.returncode == 0, extended.stdout + extended.stderr
    assert len(hub.requests) == asked
    offline = user.mopd("run", run, "--set", "rounds=3", HF_ENDPOINT=NOWHERE)
    assert offline.returncode == 0, offline.stdout + offline.stderr
    assert document(run)["hub"] == commits
    assert document(run)["extended"] == [{"from": 1, "to": 2}, {"from": 2, "to": 3}]


@pytest.mark.timeout(600)
def test_an_evaluation_goes_on_with_the_commits_that_it_began_with(hub: Hub, user: User, tmp_path: Path) -> None:
    out, commits = tmp_path / "eval", push_all(hub)
    few = ("-k", 2, *FAKE_ENGINE, "--set", "generate.max_tokens=16", "--out", out)
    done = user.mopd("eval", STUDENT, "--tasks", f"{SUMS}#test", *few)
    assert done.returncode == 0, done.stdout + done.stderr
    assert document(out)["hub"] == {STUDENT: commits[STUDENT], SUMS: commits[SUMS]}
    (model,) = document(out)["models"]
    assert (model["name"], model["source"]) == ("student", f"{STUDENT}@{commits[STUDENT]}")
    move_branches(hub)
    again = user.mopd("eval", STUDENT, "--tasks", f"{SUMS}#test", *few, HF_ENDPOINT=NOWHERE)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "finished already" in again.stdout
    refused = user.mopd("eval", "acme/absent", "--tasks", f"{SUMS}#test", *few)
    assert refused.returncode == 2
    (line,) = refused.stderr.strip().splitlines()
    assert line.startswith("mopd: model 1: acme/absent: is neither a folder here nor a model of")


@pytest.mark.timeout(600)
def test_a_policy_goes_back_to_the_hub(hub: Hub, user: User, config: Path, tmp_path: Path) -> None:
    run, commits = tmp_path / "run", push_all(hub)
    writing = {"HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
    begun = user.mopd("run", config, "--run", run, *FAKE)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    done = user.mopd("export", run, "--round", "last", "--push", "acme/policy", "--private", **writing)
    assert done.returncode == 0, done.stdout + done.stderr
    repository = hub.repositories["model", "acme/policy"]
    (line,) = done.stdout.splitlines()
    commit = repository.refs["main"]
    assert line == f"{hub.url}/acme/policy/commit/{commit}: 8 files: policy 1, of round 0: the newest"
    assert repository.private
    pushed = repository.commits[commit]
    assert pushed["model.safetensors"] == (run / "policies" / "round=0000" / "model.safetensors").read_bytes()
    card = ModelCard(pushed["README.md"].decode())
    assert (card.data.base_model, card.data.base_model_relation) == ("acme/student", "finetune")
    assert (card.data.license, card.data.license_name) == ("other", "acme-1")
    assert card.data.datasets == ["acme/sums"]
    assert {result.dataset_revision for result in card.data.eval_results or ()} == {commits[SUMS]}
    assert f"from `acme/student` at commit `{commits[STUDENT]}`, by" in card.text
    assert f'Teacher: `external` with path `"acme/teacher@{commits[TEACHER]}"`.' in card.text
    assert 'model = LLM("acme/policy")' in card.text
    offline = user.mopd("export", run, tmp_path / "policy", "--round", "0", HF_ENDPOINT=NOWHERE)
    assert offline.stdout == f"{tmp_path}/policy\n", offline.stderr
    assert ModelCard.load(tmp_path / "policy" / "README.md").data.license_name == "acme-1"
