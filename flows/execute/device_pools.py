"""Which pools of a run hold devices: the one at work and, where there is room for all, those that wait for their next
stage with what they have loaded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from threading import Thread
from typing import Any

from flows.folder.commits import commits_of, pinned
from flows.runtime.messages import Report
from flows.runtime.places.base import Pool
from flows.runtime.server.slots import device_slots
from flows.runtime.worker import in_own_process
from mopd.errors import InputError
from mopd.memory.available import available_memory
from mopd.settings import Settings
from mopd.timeline import span
from storage.runs import RunFolder


@dataclass(frozen=True)
class Held:
    """A pool, and what it was asked for: for anything else another one is made."""

    pool: Pool
    asked: Any
    is_kept: bool


class DevicePools:
    """Pools by what they have loaded. Without room for several (`place.keep_resident`) one ends before the next."""

    def __init__(self, settings: Settings, folder: RunFolder) -> None:
        self._settings, self._folder = settings, folder
        self._keep = settings.place.keep_resident if settings.place.kind == "local" else "never"
        self._pools: dict[str, Held] = {}
        self._at_work = ""
        self._ending: list[tuple[Pool, Thread]] = []
        self._slots = ExitStack()
        self._num_slots, self._is_limited = 0, False

    @property
    def at_work(self) -> Pool:
        """The pool that the stage asked for."""
        assert self._at_work, "a stage asks for devices before its steps use them"
        return self._pools[self._at_work].pool

    @property
    def keeps(self) -> bool:
        """Whether pools wait for their next stage, and take its policy in place of the last one."""
        return self._keep == "always" or (self._keep == "auto" and self._fits)

    @cached_property
    def _fits(self) -> bool:
        return bool(in_own_process(fit_together, pinned(self._settings, commits_of(self._folder))))

    def hold(self, name: str, asked: Any, start: Callable[[], Pool], *, is_kept: bool) -> Pool:
        """The pool of that name that was asked for the same; it begins to be used for a stage.

        `is_kept`: it may wait for another stage when that is over.
        """
        held = self._pools.get(name)
        if held is None or held.asked != asked:
            self._end(name)
            if not self.keeps:
                self.close()
            pool = start()
            self._take_slots(pool)
            self._pools[name] = Held(pool, asked, is_kept and self.keeps)
        self._at_work = name
        return self._pools[name].pool

    def release(self, *, is_wanted: bool = True) -> None:
        """The stage is over: its devices are free, unless what they have loaded is kept for a stage that wants it."""
        if self._at_work and not (is_wanted and self._pools[self._at_work].is_kept):
            self._end(self._at_work, beside=self.keeps)
        self._at_work = ""
        self._give_slots_back()

    def end_others(self) -> bool:
        """Memory has run out: nothing is kept any more. Whether anything was, beside the pool at work."""
        others = [name for name in self._pools if name != self._at_work]
        is_any = bool(others or self._ending)
        for name in others:
            self._end(name)
        self._wait_for_ends()
        self._keep = "never"
        return is_any

    def held(self) -> dict[str, Any] | None:
        """The pool at work, in words; asked by another thread, while it may end."""
        held = self._pools.get(self._at_work)
        return None if held is None else {"pool": held.pool.name, "devices": held.pool.devices}

    def close(self) -> None:
        """End all of them, at once; what they hold closes itself."""
        for name in list(self._pools):
            self._end(name, beside=True)
        self._at_work = ""
        self._wait_for_ends()
        self._give_slots_back()

    def kill(self) -> None:
        """End all of them now; jobs that run raise WorkerStopped."""
        pools = [held.pool for held in self._pools.values()]  # a step whose memory ran out may end some meanwhile
        for pool in [*pools, *(pool for pool, _ in list(self._ending))]:
            pool.kill()
        self._slots.close()

    def _end(self, name: str, *, beside: bool = False) -> None:
        """`beside`: while the next stage begins; a trainer takes a while to give its memory back."""
        held = self._pools.pop(name, None)
        if held is None:
            return
        ending = Thread(target=_close, args=(name, held.pool), name=f"end {name}")
        self._ending.append((held.pool, ending))
        ending.start()
        if not beside:
            self._wait_for_ends()

    def _wait_for_ends(self) -> None:
        for _, ending in self._ending:
            ending.join()
        self._ending.clear()

    def _take_slots(self, pool: Pool) -> None:
        """Those of the server's limit for what the pool holds; pools that are kept share them.

        Where there is such a limit other runs wait for devices: unless it is asked for, nothing is kept then.
        """
        if pool.devices <= self._num_slots:
            return
        self.close()
        self._is_limited = bool(self._slots.enter_context(device_slots(pool.devices, self._folder.path)))
        self._num_slots = pool.devices
        if self._is_limited and self._keep == "auto":
            self._keep = "never"

    def _give_slots_back(self) -> None:
        if not self._pools:
            if self._is_limited:  # another run may begin on these devices
                self._wait_for_ends()
            self._slots.close()
            self._num_slots = 0


def _close(name: str, pool: Pool) -> None:
    with span(f"end {name.split()[0]}", "start"):
        pool.close()


def fit_together(_: None, report: Report, settings: Settings) -> bool:
    """Whether what every stage of a run takes fits beside each other; no where nobody can tell."""
    from mopd.memory.plan import fits_together, plan_memory

    if not settings.model.check_memory:
        return False
    try:
        plan = plan_memory(settings)
    except InputError:
        return False
    return fits_together(plan, settings, plan.device.capacity if plan.device.kind == "cuda" else available_memory())
