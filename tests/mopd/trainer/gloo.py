"""Ranks for tests: processes that stay for a file of tests, and do one job after the other, all the same one."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

PATIENCE_SECONDS = 240.0


class Group:
    """Ranks that wait for jobs `job(ranks, *args)`."""

    def __init__(self, connections: list[Connection]) -> None:
        self._connections = connections

    def run(self, job: Callable[..., Any], *args: Any) -> list[Any]:
        """What each rank makes of a job, in their order."""
        for connection in self._connections:
            connection.send((job, args))
        return [self._receive(connection) for connection in self._connections]

    def _receive(self, connection: Connection) -> Any:
        assert connection.poll(PATIENCE_SECONDS), "a rank hangs"
        is_done, value = connection.recv()
        assert is_done, value
        return value


@contextmanager
def started_ranks(size: int) -> Iterator[Group]:
    """Starts them; they end with the block."""
    context, port = multiprocessing.get_context("spawn"), _free_port()
    pairs = [context.Pipe() for _ in range(size)]
    processes = [
        context.Process(target=_serve, args=(theirs, rank, size, port), daemon=True)
        for rank, (_, theirs) in enumerate(pairs)
    ]
    for process in processes:
        process.start()
    try:
        yield Group([ours for ours, _ in pairs])
    finally:
        for process in processes:
            process.kill()
            process.join()


def _serve(connection: Connection, rank: int, size: int, port: int) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    import torch

    from mopd.trainer.ranks import join_ranks

    torch.set_num_threads(1)
    with join_ranks() as ranks:
        while True:
            job, args = connection.recv()
            try:
                connection.send((True, job(ranks, *args)))
            except Exception:
                connection.send((False, traceback.format_exc()))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
