"""Promise: the public CI runs targets of the Makefile, so that what it does can be done, and seen to fail, anywhere."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
OF_THE_HOST = ("sudo sysctl ", "gh release create ")
"""What else a step may run: what the machine of the CI lacks, and what its host alone can do."""


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    """Those of a workflow by their names, with those of workflows that it calls."""
    own: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["jobs"]
    called = {name: jobs(ROOT / job["uses"]) for name, job in own.items() if "uses" in job}
    return {
        **{name: job for name, job in own.items() if name not in called},
        **{f"{name}/{part}": job for name, parts in called.items() for part, job in parts.items()},
    }


def commands(path: Path) -> list[str]:
    """What the steps of a workflow run, once for each target of a matrix."""
    return [
        step["run"].replace("${{ matrix.target }}", target)
        for job in jobs(path).values()
        for step in job["steps"]
        for target in job.get("strategy", {"matrix": {"target": [""]}})["matrix"]["target"]
        if "run" in step
    ]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_steps_are_targets_of_the_makefile(path: Path) -> None:
    ours = [command for command in commands(path) if not command.startswith(OF_THE_HOST)]
    named = [re.fullmatch(r"([A-Z]+=\S+ )?make (?P<target>[a-z-]+)( [A-Z]+=\S+)?", command) for command in ours]
    assert all(named), ours
    assert {match["target"] for match in named if match} <= targets()


def test_ci_runs_readmes_commands_lint_and_the_site() -> None:
    readme = re.findall(r"^make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    ci = {command.split()[1] for command in commands(ROOT / ".github/workflows/ci.yml") if command.startswith("make ")}
    assert set(readme[:2]) == {"demo", "test"}
    assert ci == {"demo", "test", "lint", "site"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_the_hosts_own_and_have_a_version(path: Path) -> None:
    uses = [step["uses"] for job in jobs(path).values() for step in job["steps"] if "uses" in step]
    assert uses and all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in uses)
    assert all("timeout-minutes" in job for job in jobs(path).values() if any("run" in step for step in job["steps"]))


def test_a_release_passes_the_checks_and_one_job_alone_may_write() -> None:
    release = jobs(ROOT / ".github/workflows/release.yml")
    assert set(release) == {"check/make", "build", "publish"}
    assert release["publish"]["needs"] == ["check", "build"]
    writing = {name for name, job in release.items() if "write" in job.get("permissions", {}).values()}
    assert writing == {"publish"}
    assert [step["run"].split()[0] for step in release["publish"]["steps"] if "run" in step] == ["gh"]


def test_a_version_is_no_text_of_a_shell_or_of_make(tmp_path: Path) -> None:
    """A tag may be called anything."""
    mark = tmp_path / "mark"
    version = f"0.0;>{mark};$(shell touch {mark})"
    makefile = (ROOT / "Makefile").read_text().replace("release: environment", "release:").replace(".venv/bin", "true;")
    (tmp_path / "Makefile").write_text(makefile.replace("rm -rf dist", "true"))
    subprocess.run(["make", "release"], cwd=tmp_path, env={**os.environ, "VERSION": version}, capture_output=True)
    assert not mark.exists()
