"""What end-to-end tests share: a Prefect server's API, and `mopd` as a user calls it."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from flows.viewer.leave import REPORT_FILE
from storage.aside import DAMAGED
from storage.failures import FAILURES
from storage.index import INDEX
from storage.lookup import manifest_names, scan
from storage.manifests import TABLES
from storage.runs import RUN_FILE, RunFolder
from storage.shards import manifests
from storage.sql.script import CATALOG_FILE
from storage.stores.files import LOCKS, TEMPORARY
from storage.stores.local import LOCK_FILE
from tests.e2e.commands import ROOT, Commands

FAKE_ENGINE = ("--set", "generate.engine=fake")
FAKE = (*FAKE_ENGINE, "--set", "report.page=false")
"""Of runs that no real engine samples for, and that nobody looks at."""
DATA = Path(os.environ.get("MOPD_DATA", ROOT / "../shared/data")).resolve()
TINY = ROOT / "examples" / "tiny.yaml"


BUSY, BUSY_ATTEMPTS = 503, 10
"""What Prefect's server answers while its database is locked by another request, and how often to ask again."""


@dataclass(frozen=True)
class Prefect:
    """A running server and the environment that leads to it."""

    url: str
    env: dict[str, str]
    commands: Commands

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call its API."""
        request = urllib.request.Request(
            f"{self.url}/{path}", json.dumps(body or {}).encode(), {"Content-Type": "application/json"}
        )
        for attempt in range(BUSY_ATTEMPTS):
            try:
                with urllib.request.urlopen(request, timeout=30) as reply:
                    return json.loads(reply.read() or "null")
            except urllib.error.HTTPError as error:
                if error.code != BUSY or attempt == BUSY_ATTEMPTS - 1:
                    raise
                time.sleep(1.0)
        raise AssertionError("not reached")

    def flow_runs(self, run: Path) -> list[Any]:
        """All flow runs for a run folder, by the tag that they carry; newest first."""
        mine = {"tags": {"all_": [run_tag_of(run)]}}
        found: list[Any] = self.post("flow_runs/filter", {"sort": "START_TIME_DESC", "flow_runs": mine})
        return found

    def task_runs(self, run: Path) -> list[Any]:
        """All task runs for a run folder."""
        mine = {"tags": {"all_": [run_tag_of(run)]}}
        found: list[Any] = self.post("task_runs/filter", {"limit": 200, "flow_runs": mine})
        return found

    def command(self, *arguments: str, cwd: Path = ROOT, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Run `python -m ARGUMENTS` to its end."""
        return subprocess.run(
            [sys.executable, "-m", *arguments], env=self.env, cwd=cwd, capture_output=True, text=True, timeout=seconds
        )

    def mopd(self, *arguments: str | Path, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Run `mopd ARGUMENTS` to its end, in an interpreter that has run others."""
        return self.commands.run([str(argument) for argument in arguments], seconds)

    def own_mopd(self, *arguments: str | Path, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Run `mopd ARGUMENTS` to its end, as a process of its own."""
        return self.command("flows.cli", *map(str, arguments), seconds=seconds)

    def start_mopd(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start `mopd ARGUMENTS`, in a process group of its own as a shell would."""
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *map(str, arguments)],
            env=self.env,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def unnamed_files(run: Path) -> set[str]:
    """What lies in a run's folder that no manifest names and no run has at its end: nothing, where nothing was left."""
    folder = RunFolder.open(run)
    files = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    named = {file for table in TABLES for one in scan(folder, table, name=None)[0] for file, *_ in one.list_files()}
    named |= {name for table in TABLES for name in manifest_names(folder, table)}
    kept = {RUN_FILE, LOCK_FILE, CATALOG_FILE, REPORT_FILE, *(f"{TEMPORARY}/{lock}" for lock in LOCKS)}
    return {file for file in files - named - kept if file.partition("/")[0] not in ("logs", INDEX, FAILURES, DAMAGED)}


def run_tag_of(run: Path) -> str:
    """What all Prefect runs for a run folder carry; the server answers with 200 rows at most, so it has to filter."""
    return f"mopd-run:{platform.node()}:{run}"


def committed(run: Path, table: str, round: int) -> bool:
    """Whether a shard of the table's round has been published."""
    return (run / "run.json").exists() and bool(manifests(RunFolder.open(run), table, round))


def leaders(pid: int) -> list[psutil.Process]:
    """The worker processes of a run: each leads a session of its own."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if os.getsid(child.pid) == child.pid]


def is_alive(process: psutil.Process) -> bool:
    """It may end while it is looked at."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
