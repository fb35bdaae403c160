"""The Prefect server that `mopd run` starts for itself, whatever the user's environment says of other servers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import prefect
import pytest

from tests.e2e.commands import ROOT
from tests.e2e.harness import FAKE, TINY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
DEAD = "http://127.0.0.1:9"
"""Nothing listens there."""
SHORT = ("--set", "rounds=1", "--set", "evaluate.when=never")


def run(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`mopd run` as a process of its own, without a server of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-m", "flows.cli", "run", str(TINY), "--run", str(folder), *FAKE, *SHORT]
    return subprocess.run(
        command, env={**kept, **variables}, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )


def test_it_starts_whatever_is_set_for_other_servers_and_proxies(tmp_path: Path) -> None:
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"), DEAD)
    proxies |= {"all_proxy": "socks5://127.0.0.1:9", "https_proxy": "nonsense://x"}
    database = "postgresql+asyncpg://user:word@127.0.0.1:9/nothing"
    (tmp_path / "profiles.toml").write_text(
        f'active = "mine"\n[profiles.mine]\nPREFECT_SERVER_API_AUTH_STRING = "a:b"\n'
        f'PREFECT_API_DATABASE_CONNECTION_URL = "{database}"\n'
    )
    theirs = {
        "PREFECT_PROFILES_PATH": str(tmp_path / "profiles.toml"),
        "PREFECT_HOME": "/proc/nowhere",
        "PREFECT_SERVER_API_AUTH_STRING": "admin:pass",
        "PREFECT_API_AUTH_STRING": "other:word",
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_API_BASE_PATH": "/elsewhere",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
    }
    done = run(tmp_path / "run", **proxies, **theirs, NO_PROXY="example.org")
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_last_words_are_told_when_it_does_not_start(tmp_path: Path) -> None:
    home = tmp_path / "cache" / f"prefect-{prefect.__version__}"
    home.mkdir(parents=True)
    (home / "prefect.db").write_bytes(b"no database" * 1000)
    done = run(tmp_path / "run", MOPD_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("mopd: Prefect's server ended while it started: ")
    assert "file is not a database" in line
    assert "set PREFECT_API_URL" in line
