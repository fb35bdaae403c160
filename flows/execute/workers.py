"""The processes of a run: those that hold devices, and those on the CPUs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

from prefect.task_runners import ThreadPoolTaskRunner

from flows.execute.attempts import Attempts
from flows.execute.device_pools import DevicePools
from flows.execute.out_of_memory import explain_out_of_memory
from flows.execute.work import judge_shard, load_device, make_shard, sample_shard
from flows.folder.commits import commits_of, pinned
from flows.folder.policies import base_version
from flows.plan.shard import Shard
from flows.plan.stage import Stage
from flows.runtime.messages import Report, silent
from flows.runtime.out_of_memory import OutOfMemory
from flows.runtime.places.base import Pool
from flows.runtime.places.open import open_place
from flows.runtime.profile import collecting
from flows.runtime.worker import in_own_process, load_nothing
from mopd.errors import InputError
from mopd.settings import Settings
from storage.runs import RunFolder
from storage.shards import Manifest


class Workers:
    """The processes of a run: pools that hold devices, and one that works on the CPUs."""

    def __init__(self, folder: RunFolder, settings: Settings) -> None:
        self._folder, self._settings = folder, settings
        self._place = open_place(settings, folder.path / "logs")
        self._attempts = Attempts(folder)
        self.devices = DevicePools(settings, folder)

    @cached_property
    def cpu(self) -> Pool:
        """The pool on the CPUs."""
        return self._place.pool("cpu", load_nothing, devices=0, replicas=self._settings.place.limit("verify"))

    def task_runner(self) -> ThreadPoolTaskRunner[Any]:
        """Of the steps: for each replica one at work and one that waits for it or for what it makes."""
        return ThreadPoolTaskRunner(max_workers=2 * (self._place.room(1) + self.cpu.size))

    def make(self, stage: Stage, shard: Shard, report: Report) -> Manifest:
        """One shard of a stage, made by the pools that its jobs want.

        Where that takes more memory than there is beside what is kept, nothing is kept any more, and it is tried again.
        Raises InputError where that is too much also then: the same again would end the same way.
        """
        with self._attempts.at(stage, shard) as attempt:
            try:
                return self._make_with_room(stage, attempt, report)
            except OutOfMemory as error:
                shard = replace(shard, settings=pinned(shard.settings, commits_of(self._folder)))
                raise InputError(in_own_process(explain_out_of_memory, stage.name, shard, error)) from error

    def _make_with_room(self, stage: Stage, shard: Shard, report: Report) -> Manifest:
        try:
            return self._make(stage, shard, report)
        except OutOfMemory:
            if not self.devices.end_others():
                raise
            return self._make(stage, shard, report)

    def _make(self, stage: Stage, shard: Shard, report: Report) -> Manifest:
        report = collecting(report)
        if stage.judge:
            sampled = self.devices.at_work.run(sample_shard, stage.job, self._folder, shard, report=report)
            made = self.cpu.run(judge_shard, stage.judge, self._folder, shard, sampled, report=collecting(silent))
        else:
            pool = self.devices.at_work if stage.load else self.cpu
            made = pool.run(make_shard, stage.job, self._folder, shard, report=report)
        assert isinstance(made, Manifest)
        return made

    def hold_for(self, stage: Stage, shard: Shard, num_shards: int = 1) -> Pool:
        """Devices, with what a stage needs for its shards of this one's policy and settings."""
        kind, version, ranks = stage.load.partition(":load_")[2], shard.round, stage.ranks(self._settings)
        if ranks:
            name = f"{kind} of policy {version}"
            return self.devices.hold(name, ranks, lambda: self._place.group(name, ranks), is_kept=False)
        load = (load_device, stage.load, self._folder)
        if not (self.devices.keeps and takes_policies(stage, shard.settings)):
            return self.hold(stage, f"{kind} of policy {version}", num_shards, *load)
        adapters = " of adapters" if base_version(self._folder, version) < version else ""
        return self.hold(stage, f"{kind}{adapters}", None, *load, asked=shard.settings)

    def hold(
        self, stage: Stage, name: str, num_shards: int | None, load: Callable[..., Any], *args: Any, asked: Any = None
    ) -> Pool:
        """The pool of that name, with a replica for each of so many shards, as far as there is room.

        Without `num_shards` it is kept for all that is asked by the same settings, `asked`.
        """
        devices, limit = stage.devices(self._settings), self._settings.place.limit(stage.name)
        replicas = limit if num_shards is None else min(num_shards, limit or num_shards)

        def start() -> Pool:
            return self._place.pool(name, load, *args, devices=devices, replicas=replicas)

        return self.devices.hold(name, (limit, asked), start, is_kept=num_shards is None)

    def release(self, *, is_wanted: bool = True) -> None:
        """A stage is over: free its devices, unless what they have loaded is kept for one that still wants it."""
        self.devices.release(is_wanted=is_wanted)

    def close(self) -> None:
        """End all processes; what they hold closes itself."""
        self.devices.close()
        if "cpu" in vars(self):
            self.cpu.close()

    def kill(self) -> None:
        """End all processes now; jobs that run raise WorkerStopped."""
        self.devices.kill()
        if "cpu" in vars(self):
            self.cpu.kill()


def takes_policies(stage: Stage, settings: Settings) -> bool:
    """Whether a process of the stage can go on with another policy: not an engine that the user has changed."""
    return not (stage.samples and settings.generate.engine_arguments)
