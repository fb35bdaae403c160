"""What the environment of a run's own server, and of those who ask it, is made of."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.request import proxy_bypass_environment

import pytest

from flows.runtime.server.prefect_server import leave_proxies_out, server_environment


@pytest.mark.parametrize(
    ("variables", "kept"),
    [
        ({}, ()),
        ({"NO_PROXY": "example.org"}, ("example.org",)),
        ({"no_proxy": "example.org"}, ("example.org",)),
        ({"no_proxy": "example.org", "NO_PROXY": "other.org"}, ("example.org",)),
        ({"NO_PROXY": "*"}, ("example.org", "other.org")),
        ({"no_proxy": "*, a"}, ("example.org", "other.org")),
        ({"NO_PROXY": "127.0.0.1 , example.org"}, ("example.org",)),
    ],
    ids=str,
)
def test_loopback_is_left_out_beside_what_the_user_leaves_out(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], kept: tuple[str, ...]
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    leave_proxies_out()
    leave_proxies_out()  # a second time changes nothing
    assert all(proxy_bypass_environment(host) for host in ("127.0.0.1", "localhost", *kept))
    assert proxy_bypass_environment("elsewhere.org") == any("*" in value for value in variables.values())
    assert all(
        value.count("localhost") <= 1 for value in (os.environ.get("NO_PROXY", ""), os.environ.get("no_proxy", ""))
    )


def test_none_of_the_users_prefect_reaches_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "admin:pass")
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://u:p@127.0.0.1:9/db")
    environment = server_environment(tmp_path)
    assert environment["PREFECT_HOME"] == str(tmp_path)
    assert not {"PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_DATABASE_CONNECTION_URL"} & environment.keys()
