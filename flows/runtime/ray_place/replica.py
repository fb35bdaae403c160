"""A replica on some host of a Ray cluster, as the run's process sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from flows.runtime.messages import Message, Report, naming_worker, outcome, silent
from flows.runtime.ray_place.keeper import Keeper, Order
from flows.runtime.worker import PATIENCE_SECONDS, TELL_SECONDS, WorkerDied, WorkerStopped

POLL_SECONDS = 0.5
ANSWER_SECONDS = 60.0
"""An actor that has nothing to do has so long to say that it is there; of one that has died Ray knows sooner."""


class RayReplica:
    """One actor. It begins to start when it is made; after its death another one has to be made."""

    def __init__(self, order: Order, options: dict[str, Any]) -> None:
        """`options`: of the actor, what it takes of a host and which one."""
        import ray

        self.name, self.is_dead = order.name, False
        self._log, self._silence_seconds = order.log, order.silence_seconds + 2 * TELL_SECONDS
        self._stopped = False
        actor: Any = ray.remote(max_restarts=0, max_task_retries=0, **{"num_cpus": 0, **options})(Keeper)
        self._actor = actor.remote(order)
        self._ready = self._actor.ready.remote()

    def is_ready(self) -> bool:
        """Whether the actor has found its place on a host. Raises as `run`, where that can't be."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        if not ray.wait([self._ready], timeout=0)[0]:
            return False
        try:
            ray.get(self._ready)
        except RayTaskError as error:
            self.kill()
            raise error.cause from error
        except RayError as error:
            raise self._death(str(error)) from error
        return True

    def answers(self) -> bool:
        """Whether the actor is still there, before it is given a job; one that isn't is given up."""
        import ray
        from ray.exceptions import RayError

        try:
            ray.get(self._actor.ready.remote(), timeout=ANSWER_SECONDS)
        except RayError:
            self.kill()
        return not self.is_dead

    def run(self, job: Callable[..., Any], *args: Any, report: Report = silent) -> Any:
        """The job's result; its exceptions are raised here. One job at a time.

        Raises WorkerDied, WorkerStopped, or OutOfMemory.
        """
        with naming_worker(self.name, self._log):
            stream = self._actor.run.remote(job, args)
            return outcome(self._messages(stream), report)

    def close(self) -> None:
        """Let what is loaded close itself, then give the devices back."""
        import ray
        from ray.exceptions import RayError

        self._stopped = True
        if not self.is_dead:
            with suppress(RayError):
                if ray.wait([self._ready], timeout=0)[0]:
                    ray.get(self._actor.close.remote(), timeout=PATIENCE_SECONDS)
            self.kill()

    def kill(self) -> None:
        """End the actor now, from any thread; a job that runs raises WorkerStopped in its own."""
        import ray

        self._stopped = self.is_dead = True
        ray.kill(self._actor)

    def _messages(self, stream: Any) -> Iterator[Message]:
        while True:
            yield self._receive(stream)

    def _receive(self, stream: Any) -> Message:
        """The next message. Raises as `run` where none will come.

        The keeper says every few seconds that the job goes on: without that, its host is not heard.
        """
        import ray
        from ray.exceptions import RayError

        began = time.monotonic()
        try:
            while not ray.wait([stream], timeout=POLL_SECONDS)[0]:
                if self._stopped or time.monotonic() - began > self._silence_seconds:
                    raise self._death(f"not heard for {self._silence_seconds:.0f} s")
            message: Message = ray.get(next(stream))
        except (RayError, StopIteration) as error:
            raise self._death(str(error)) from error
        return message

    def _death(self, why: str) -> Exception:
        """What the end of the actor is called; the devices of what is silent or out of reach are taken from it."""
        was_stopped = self._stopped
        self.kill()
        if was_stopped:
            return WorkerStopped(f"{self.name}: stopped")
        how = next(iter(why.splitlines()), "") or "it ended without an answer"
        where = f"; see {self._log}" if self._log else ""
        return WorkerDied(f"{self.name}: its actor is gone ({how}){where}")
