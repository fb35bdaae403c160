"""Engines and scorers that stay between stages make what those make that end with their stage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.report.profile import PROFILE_FILE
from tests.e2e.harness import FAKE, TINY, Prefect

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize(("keep", "several"), [("never", True), ("always", False)])
def test_what_stays_changes_nothing_but_who_makes_it(
    keep: str, several: bool, prefect: Prefect, finished_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = prefect.own_mopd("run", TINY, "--run", run, *FAKE, "--set", f"place.keep_resident={keep}", "--profile")
    assert done.returncode == 0, done.stdout + done.stderr
    assert prefect.mopd("digest", run).stdout == prefect.mopd("digest", finished_run).stdout
    assert {name: len(pids) > 1 for name, pids in processes_of(run).items() if name != "mopd run"} == {
        "cpu-0": False,
        "engine-0": several,
        "scorer-0": several,
        "trainer-0": True,
    }
    assert f"timeline: {run}/{PROFILE_FILE}" in done.stdout


def processes_of(run: Path) -> dict[str, set[int]]:
    """The processes of a profile by name."""
    named: dict[str, set[int]] = {}
    for event in json.loads((run / PROFILE_FILE).read_text())["traceEvents"]:
        if event["name"] == "process_name":
            named.setdefault(event["args"]["name"].split()[0].replace("mopd", "mopd run"), set()).add(event["pid"])
    return named
