"""Runs the programs of abuse/ and controls/ on a backend, several at once beside an honest neighbour."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event

from sandbox_host import Household, Scene
from sandbox_samples import Sample, read_samples

from mopd.sandbox import Sandbox, open_sandbox
from mopd.settings.verify import VerifySettings
from mopd.verifiers import Problem, Verdict
from mopd.verifiers.code.verifier import code

NUM_AT_ONCE = 4
"""Abusive programs; most of those that take long sleep."""

NEIGHBOUR = Sample(
    name="neighbour",
    tries="works as programs may: a child, threads, a file",
    verdict=("passed",),
    must_not=None,
    backends=("bubblewrap", "unsafe_subprocess"),
    tests='{"testtype": "functional", "fn_name": "solve", "inputs": ["3"], "outputs": ["7"], "time_limit": 5}',
    source="""
import os, tempfile, threading, time

def solve(x):
    child = os.fork()
    if child == 0:
        time.sleep(0.02)
        os._exit(x)
    threads = [threading.Thread(target=time.sleep, args=(0.02,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    with tempfile.TemporaryFile() as file:
        file.write(bytes(1 << 20))
    for thread in threads:
        thread.join()
    return x + os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) + 1
""",
)
"""Runs in another slot all the time, and must pass whatever the others do."""

OBSERVER = Sample(
    name="observer",
    tries="looks for traces of whatever ran in its place before",
    verdict=("passed",),
    must_not=None,
    backends=("bubblewrap",),
    tests='{"testtype": "functional", "fn_name": "solve", "inputs": ["3"], "outputs": ["[]"], "time_limit": 5}',
    source="""
import json, os, tempfile, time

def solve(x):
    time.sleep(0.05)
    found = os.listdir("/tmp") + os.listdir(".")
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x" * (1 << 20))
    try:
        os.kill(-1, 0)
        found.append("other processes")
    except ProcessLookupError:
        pass
    if json.loads("[7]") != [7]:
        found.append("another json")
    return sorted(set(found))
""",
)
"""Finds nothing of an earlier program."""


@dataclass(frozen=True)
class Result:
    """What became of a program."""

    sample: Sample
    verdict: Verdict
    breaches: tuple[str, ...]
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether the verdict is one of those expected and the host is as it was."""
        return self.verdict.kind in self.sample.verdict and not self.breaches


def settings_of(backend: str, num_slots: int) -> VerifySettings:
    """The settings that a suite runs with: the limits are those of every run."""
    return VerifySettings.model_validate({"sandbox": backend, "sandbox_slots": num_slots})


def open_named(settings: VerifySettings) -> Sandbox:
    """The sandbox of that name and no other: most programs must not run where nothing is isolated."""
    sandbox = open_sandbox(settings)
    assert sandbox.backend == settings.sandbox, f"{settings.sandbox} was asked for, {sandbox.backend} came"
    return sandbox


def judge(sample: Sample, sandbox: Sandbox, settings: VerifySettings) -> Result:
    """Runs a program as a reply of a model, and looks at the host after it."""
    with Scene() as scene:
        reply = f"Here is my program.\n```python\n{scene.fill(sample.source)}```\n"
        start = time.perf_counter()
        verdict = code(reply, Problem(tests=sample.tests), sandbox, settings)
        seconds = time.perf_counter() - start
        said = f"{verdict.feedback} {verdict.error}"
        return Result(sample, verdict, tuple(scene.breaches(said)), seconds)


class Suite:
    """Programs on one backend, all started at once; results are waited for. Raises InputError where it can't work."""

    def __init__(self, backend: str, samples: Iterable[Sample]) -> None:
        self.settings = settings_of(backend, NUM_AT_ONCE + 1)
        self.neighbours: list[Result] = []
        self.left: list[str] | None = None
        with ExitStack() as opened:
            self.household = opened.enter_context(Household())
            self.sandbox = opened.enter_context(open_named(self.settings))
            self.ended = Event()
            self.threads = opened.enter_context(ThreadPoolExecutor(NUM_AT_ONCE + 1))
            self.neighbour = self.threads.submit(self._be_neighbour)
            self.results: dict[str, Future[Result]] = {
                sample.name: self.threads.submit(judge, sample, self.sandbox, self.settings) for sample in samples
            }
            self.opened = opened.pop_all()

    def _be_neighbour(self) -> None:
        while not self.ended.wait(0.05):
            self.neighbours.append(judge(NEIGHBOUR, self.sandbox, self.settings))

    def result(self, name: str) -> Result:
        """What became of a program; waits for it."""
        return self.results[name].result()

    def finish(self) -> list[str]:
        """Waits for all, runs the honest neighbour once more, closes the sandbox; what is left of them on the host."""
        if self.left is None:
            with self.opened:
                wait(self.results.values())
                self.ended.set()
                self.neighbour.result()
                self.neighbours.append(judge(NEIGHBOUR, self.sandbox, self.settings))
                self.threads.shutdown()
                self.sandbox.close()
                self.left = self.household.left()
        return self.left


def all_samples(backend: str) -> list[Sample]:
    """Every program for a backend: the abusive ones, then the controls."""
    return read_samples("abuse", backend) + read_samples("controls", backend)
