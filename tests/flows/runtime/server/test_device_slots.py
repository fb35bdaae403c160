"""Slots that a dead process held are given back once, and never those of others."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from flows.runtime.server.slots import DEVICE_LIMIT, NOTE, SERVER_SECONDS, Held, give_slots_back

SERVER = "http://127.0.0.1:4200/api/"
LEASE, WITNESS = str(UUID(int=1)), str(UUID(int=2))


@dataclass
class FakeServer:
    """What Prefect's server answers about leases; `taken` are the limit's slots, of all who hold some."""

    leases: dict[str, int]
    taken: int
    api_url: str = SERVER
    asked: list[str] = field(default_factory=list)

    def renew_concurrency_lease(self, lease: UUID, seconds: float) -> None:
        if str(lease) not in self.leases:
            request = httpx.Request("POST", SERVER)
            raise httpx.HTTPStatusError("gone", request=request, response=httpx.Response(410, request=request))

    def release_concurrency_slots_with_lease(self, lease: UUID) -> None:
        self.taken -= self.leases.pop(str(lease), 0)

    def release_concurrency_slots(self, names: list[str], slots: int, seconds: float) -> None:
        assert names == [DEVICE_LIMIT]
        self.taken -= slots


def give_back(fake: FakeServer, folder: Path, monkeypatch: pytest.MonkeyPatch, **other: Any) -> None:
    """As the next start does, where two slots were noted."""

    @contextmanager
    def get_client(*, sync_client: bool) -> Iterator[FakeServer]:
        yield fake

    monkeypatch.setattr("prefect.client.orchestration.get_client", get_client)
    held = Held(str(folder), SERVER, LEASE, 2, WITNESS, time.time())
    (folder / NOTE).write_text(json.dumps({**asdict(held), **other}))
    give_slots_back(folder)
    assert not (folder / NOTE).exists()


@pytest.mark.parametrize(
    ("leases", "taken"),
    [
        ({LEASE: 2, WITNESS: 0, "another": 1}, 3),  # killed a moment ago
        ({WITNESS: 0, "another": 1}, 1),  # killed long ago: the server has taken the slots back
        ({"another": 1}, 3),  # the server was started again: nobody else can take them back
    ],
)
def test_what_a_killed_process_held_comes_free(
    leases: dict[str, int], taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeServer(dict(leases), taken)
    give_back(server, tmp_path, monkeypatch)
    assert (server.taken, set(server.leases)) == (1, {"another"})


def test_another_server_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer({}, 2)
    give_back(server, tmp_path, monkeypatch, server="http://elsewhere/api/")
    assert server.taken == 2


def test_a_copy_of_a_run_gives_back_nothing_that_the_run_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer({LEASE: 2, WITNESS: 0}, 2)
    give_back(server, tmp_path, monkeypatch, folder="/runs/the_other")
    assert server.taken == 2


def test_a_damaged_note_and_none_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer({}, 2)
    give_back(server, tmp_path, monkeypatch, unknown=1)
    give_slots_back(tmp_path)
    assert server.taken == 2


def test_where_nobody_can_tell_any_more_others_keep_their_slots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days after a kill the server has forgotten the witness too, and taken back the slots long ago."""
    server = FakeServer({"another": 1}, 1)
    give_back(server, tmp_path, monkeypatch, since=time.time() - SERVER_SECONDS)
    assert server.taken == 1


@pytest.mark.parametrize("answer", ["release_concurrency_slots_with_lease", "unlink"])
def test_whoever_is_killed_while_giving_back_gives_back_once(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeServer({LEASE: 2, WITNESS: 0, "another": 1}, 3)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FakeServer if answer != "unlink" else Path, answer, killed)
        give_back(server, tmp_path, monkeypatch)
    give_back(server, tmp_path, monkeypatch)
    assert (server.taken, set(server.leases)) == (1, {"another"})
