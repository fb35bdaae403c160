"""Promise: the public CI runs targets of the Makefile, so that what it does can be done, and seen to fail, anywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
OF_THE_HOST = ("sudo sysctl ", "gh release create ")
"""What else a step may run: what the machine of the CI lacks, and what its host alone can do."""


def jobs(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(path.read_text())["jobs"].values())


def commands(path: Path) -> list[str]:
    """What the steps of a workflow run, once for each target of a matrix."""
    return [
        step["run"].replace("${{ matrix.target }}", target)
        for job in jobs(path)
        for step in job["steps"]
        for target in job.get("strategy", {"matrix": {"target": [""]}})["matrix"]["target"]
        if "run" in step
    ]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_steps_are_targets_of_the_makefile(path: Path) -> None:
    ours = [command for command in commands(path) if not command.startswith(OF_THE_HOST)]
    named = [re.fullmatch(r"make ([a-z-]+)( [A-Z]+=\S+)?", command) for command in ours]
    assert all(named), ours
    assert {match[1] for match in named if match} <= targets()


def test_ci_runs_readmes_commands_lint_and_the_site() -> None:
    readme = re.findall(r"^make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    ci = {command.split()[1] for command in commands(ROOT / ".github/workflows/ci.yml") if command.startswith("make ")}
    assert set(readme[:2]) == {"demo", "test"}
    assert ci == {"demo", "test", "lint", "site"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_the_hosts_own_and_have_a_version(path: Path) -> None:
    uses = [step["uses"] for job in jobs(path) for step in job["steps"] if "uses" in step]
    assert uses and all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in uses)
    assert all("timeout-minutes" in job for job in jobs(path) if any("run" in step for step in job["steps"]))
