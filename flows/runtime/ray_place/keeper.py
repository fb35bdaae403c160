"""What is on a replica's host: an actor that keeps its worker process, with what Ray gave the actor of the host.

The work itself is done in a process like those of `place: local`, one that knows nothing of Ray. The actor passes on
what it says, and takes it along when it dies.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from flows.runtime.messages import Message, Report
from flows.runtime.places.group import Meeting, meeting_at
from flows.runtime.places.share import Share
from flows.runtime.ray_place.hosts import Facts, difference, facts_here, name_of
from flows.runtime.worker import Worker
from mopd.errors import InputError
from mopd.memory.available import SHARING

GPU, CORES, CPU = "GPU", "device", "CPU"
"""Resources that Ray counts: a GPU; a set of cores, of a host that was started with `--resources '{"device": N}'`; a
core."""
THREADS = "OMP_NUM_THREADS"
"""Ray sets it to 1 for an actor that takes no CPUs; a share of a host decides otherwise."""
ADDRESS = "MOPD_ADDRESS"
"""In the environment of a worker: where the other hosts reach its own."""
FREE_SECONDS = 30.0
"""A process whose devices Ray has given to another one has so long to end."""
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Order:
    """A replica as it is asked for."""

    name: str
    load: Callable[..., Any]
    args: tuple[Any, ...]
    resource: str
    """GPU or CORES; CPU for a replica without devices."""
    devices: int
    environment: dict[str, str]
    folder: Path
    """Where relative paths of the settings begin."""
    log: Path | None
    silence_seconds: float
    facts: Facts
    """Of who asks: a host that joined later may have another mopd."""


class Keeper:
    """An actor that keeps one worker."""

    def __init__(self, order: Order) -> None:
        if order.folder.is_dir():
            os.chdir(order.folder)
        os.environ[THREADS] = order.environment.get(THREADS) or str(len(os.sched_getaffinity(0)))
        self._held: dict[int, int] = {}
        node = _own_node()
        share = self._share_of_host(node, order)
        problem = difference(order.facts, facts_here(order.facts))
        self._refusal = problem and f"{name_of(node)} {problem}"
        self._worker = Worker(
            f"{order.name} on {node['NodeManagerHostname']}",
            order.load,
            *order.args,
            log=order.log,
            share=share,
            silence_seconds=order.silence_seconds,
        )

    def ready(self) -> None:
        """Returns when the actor is there. Raises InputError where its host isn't as the one that asks."""
        if self._refusal:
            raise InputError(self._refusal)

    def run(self, job: Callable[..., Any], args: tuple[Any, ...]) -> Iterator[Message]:
        """Reports while the job works, then its result or its error."""
        messages: SimpleQueue[Message] = SimpleQueue()
        threading.Thread(target=self._work, args=(job, args, messages.put), daemon=True).start()
        kind = "report"
        while kind == "report":
            kind, value = messages.get()
            yield kind, value

    def close(self) -> None:
        """Let what is loaded close itself."""
        self._worker.close()

    def _work(self, job: Callable[..., Any], args: tuple[Any, ...], put: Callable[[Message], None]) -> None:
        try:
            self.ready()  # nobody asks for it before the first job of a rank
            put(("result", self._worker.run(job, *args, report=lambda report: put(("report", report)))))
        except Exception as error:
            put(("error", error))

    def _share_of_host(self, node: dict[str, Any], order: Order) -> Share:
        """GPUs as Ray set them in this process's environment, which workers inherit; or sets of the host's cores."""
        import ray

        resources = node["Resources"]
        there = int(resources.get(GPU, 0) or resources.get(CORES, 0)) or 1
        sharing = there // (order.devices or 1)
        environment = {**order.environment, SHARING: str(sharing), ADDRESS: ray.util.get_node_ip_address()}
        if order.resource != CORES or sharing == 1:
            return Share(environment)
        folder = Path(tempfile.gettempdir()) / f"mopd-{os.getuid()}-{node['NodeID'][:12]}"
        sets = self._take_numbers(folder, there, order.devices)
        return Share(environment, cores_of(sets, there, sorted(os.sched_getaffinity(0))))

    def _take_numbers(self, folder: Path, most: int, wanted: int) -> list[int]:
        """The lowest numbers below `most` that no other process of this host holds; held until this one ends.

        Ray may give what a process had to the next one a moment before it has ended. Raises RuntimeError where that
        takes long: with all cores the digits could be others.
        """
        folder.mkdir(exist_ok=True)
        deadline = time.monotonic() + FREE_SECONDS
        while time.monotonic() < deadline:
            for number in range(most):
                if len(self._held) < wanted and number not in self._held:
                    self._take_number(folder, number)
            if len(self._held) == wanted:
                return sorted(self._held)
            time.sleep(POLL_SECONDS)
        raise RuntimeError(f"{folder}: other processes hold the devices that Ray has given to this one")

    def _take_number(self, folder: Path, number: int) -> None:
        """Hold it, if no other process does."""
        descriptor = os.open(folder / str(number), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            self._held[number] = descriptor


def _own_node() -> dict[str, Any]:
    """This process's host, as Ray lists it."""
    import ray

    own = ray.get_runtime_context().get_node_id()
    return next(node for node in ray.nodes() if node["NodeID"] == own)


def cores_of(numbers: Sequence[int], most: int, cores: Sequence[int]) -> tuple[int, ...]:
    """The cores of those of `most` devices; devices beyond the number of cores share them."""
    size = max(1, len(cores) // most)
    return tuple(core for number in numbers for core in cores[number * size % len(cores) :][:size])


def find_meeting(_: None, report: Report) -> Meeting:
    """Of ranks that are on several hosts."""
    return meeting_at(os.environ[ADDRESS])
