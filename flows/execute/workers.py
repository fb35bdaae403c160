"""The processes of a run: those that hold devices, and those on the CPUs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import Any

from prefect.task_runners import ThreadPoolTaskRunner

from flows.execute.attempts import Attempts
from flows.execute.out_of_memory import explain_out_of_memory
from flows.execute.work import judge_shard, load_device, make_shard, sample_shard
from flows.folder.commits import commits_of, pinned
from flows.plan.shard import Shard
from flows.plan.stage import Stage
from flows.runtime.messages import Report, silent
from flows.runtime.out_of_memory import OutOfMemory
from flows.runtime.places.base import Pool
from flows.runtime.places.open import open_place
from flows.runtime.profile import collecting
from flows.runtime.server.slots import device_slots
from flows.runtime.worker import in_own_process, load_nothing
from mopd.errors import InputError
from mopd.settings import Settings
from mopd.timeline import span
from storage.runs import RunFolder
from storage.shards import Manifest


class Workers:
    """The processes of a run: one pool at a time holds devices, another one works on the CPUs."""

    def __init__(self, folder: RunFolder, settings: Settings) -> None:
        self._folder, self._settings = folder, settings
        self._place = open_place(settings, folder.path / "logs")
        self._device: Pool | None = None
        self._limit: int | None = None
        self._attempts = Attempts(folder)
        self._slots = ExitStack()

    @cached_property
    def cpu(self) -> Pool:
        """The pool on the CPUs."""
        return self._place.pool("cpu", load_nothing, devices=0, replicas=self._settings.place.limit("verify"))

    @property
    def device(self) -> Pool:
        """The pool that holds devices, as the stage asked for it."""
        assert self._device is not None, "a stage asks for the device before its steps use it"
        return self._device

    def task_runner(self) -> ThreadPoolTaskRunner[Any]:
        """Of the steps: for each replica one at work and one that waits for it or for what it makes."""
        return ThreadPoolTaskRunner(max_workers=2 * (self._place.room(1) + self.cpu.size))

    def make(self, stage: Stage, shard: Shard, report: Report) -> Manifest:
        """One shard of a stage, made by the pools that its jobs want.

        Raises InputError where that takes more memory than there is: the same again would end the same way.
        """
        with self._attempts.at(stage, shard) as attempt:
            try:
                return self._make(stage, attempt, report)
            except OutOfMemory as error:
                shard = replace(shard, settings=pinned(shard.settings, commits_of(self._folder)))
                raise InputError(in_own_process(explain_out_of_memory, stage.name, shard, error)) from error

    def _make(self, stage: Stage, shard: Shard, report: Report) -> Manifest:
        report = collecting(report)
        if stage.judge:
            sampled = self.device.run(sample_shard, stage.job, self._folder, shard, report=report)
            made = self.cpu.run(judge_shard, stage.judge, self._folder, shard, sampled, report=collecting(silent))
        else:
            pool = self.device if stage.load else self.cpu
            made = pool.run(make_shard, stage.job, self._folder, shard, report=report)
        assert isinstance(made, Manifest)
        return made

    def hold_for(self, stage: Stage, shard: Shard, num_shards: int = 1) -> Pool:
        """Devices, with what a stage needs for its shards of this one's policy and settings."""
        name = f"{stage.load.partition(':load_')[2]} of policy {shard.round}"
        if ranks := stage.ranks(self._settings):
            return self._hold(name, lambda: self._place.group(name, ranks))
        return self.hold(stage, name, num_shards, load_device, stage.load, self._folder, shard.settings, shard.round)

    def hold(self, stage: Stage, name: str, num_shards: int, load: Callable[..., Any], *args: Any) -> Pool:
        """The pool of that name, with a replica for each of so many shards, as far as there is room."""
        devices, limit = stage.devices(self._settings), self._settings.place.limit(stage.name)
        replicas = min(num_shards, limit or num_shards)
        return self._hold(name, lambda: self._place.pool(name, load, *args, devices=devices, replicas=replicas), limit)

    def _hold(self, name: str, start: Callable[[], Pool], limit: int | None = None) -> Pool:
        """The pool of that name and limit of replicas; another one that holds devices is closed first."""
        if self._device is None or (self._device.name, self._limit) != (name, limit):
            self.release()
            pool = start()
            self._slots.enter_context(device_slots(pool.devices, self._folder.path))
            self._device, self._limit = pool, limit
        return self._device

    def held(self) -> dict[str, Any] | None:
        """The pool that holds devices, in words."""
        device = self._device
        return None if device is None else {"pool": device.name, "devices": device.devices}

    def release(self) -> None:
        """Free the devices."""
        if self._device is not None:
            with span(f"end {self._device.name.split()[0]}", "start"):
                self._device.close()
            self._device = None
        self._slots.close()

    def close(self) -> None:
        """End all processes; what they hold closes itself."""
        self.release()
        if "cpu" in vars(self):
            self.cpu.close()

    def kill(self) -> None:
        """End all processes now; jobs that run raise WorkerStopped."""
        for pool in (self._device, vars(self).get("cpu")):
            if pool is not None:
                pool.kill()
        self._slots.close()
