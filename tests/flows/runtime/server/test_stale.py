"""Prefect runs that a kill left unfinished: all of them are found, however many there are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self
from uuid import UUID

import pytest

from flows.runtime.server import stale_runs as stale
from storage.runs import RunFolder
from storage.stores.local import LocalStore

PAGE = 200


class Server:
    """Answers as Prefect's does: a page at a time."""

    def __init__(self, num_flow_runs: int, num_task_runs: int) -> None:
        self.flow_runs = [SimpleNamespace(id=UUID(int=number)) for number in range(num_flow_runs)]
        self.task_runs = [SimpleNamespace(id=UUID(int=number)) for number in range(num_task_runs)]
        self.crashed: list[tuple[str, UUID]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def read_flow_runs(self, *, offset: int = 0, **_: Any) -> list[Any]:
        return self.flow_runs[offset : offset + PAGE]

    def read_task_runs(self, *, offset: int = 0, **_: Any) -> list[Any]:
        return self.task_runs[offset : offset + PAGE]

    def set_flow_run_state(self, run_id: UUID, *_: Any, force: bool) -> None:
        self.crashed.append(("flow", run_id))

    def set_task_run_state(self, run_id: UUID, *_: Any, force: bool) -> None:
        self.crashed.append(("task", run_id))


def test_all_stale_runs_are_found_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(1, 3 * PAGE - 1)
    monkeypatch.setattr(stale, "get_client", lambda **_: server)
    assert stale.crash_stale_runs(RunFolder(LocalStore(tmp_path), {})) == 3 * PAGE
    assert len(set(server.crashed)) == 3 * PAGE
