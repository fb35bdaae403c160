"""Work in progress on a run folder: its plan, and the processes that work for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import BaseModel, PrivateAttr

from flows.execute.attempts import Attempts
from flows.execute.out_of_memory import explain_out_of_memory
from flows.execute.work import judge_shard, load_device, make_shard, sample_shard
from flows.folder.commits import commits_of, pinned
from flows.folder.progress_file import ProgressFile
from flows.folder.replay.fork import overridden
from flows.folder.replay.other_contexts import split_place
from flows.plan.guards import needed_guards
from flows.plan.run import RunPlan
from flows.plan.shard import ContextShards, RoundPlan, Shard
from flows.plan.stage import Stage
from flows.runtime.console import Console
from flows.runtime.interrupts import raise_if_interrupted
from flows.runtime.messages import Report, silent
from flows.runtime.out_of_memory import OutOfMemory
from flows.runtime.places.base import Pool
from flows.runtime.places.open import check_place, open_place
from flows.runtime.profile import collecting
from flows.runtime.server.slots import device_slots
from flows.runtime.worker import in_own_process, load_nothing
from mopd.errors import InputError
from mopd.settings import Settings
from mopd.timeline import span
from storage.runs import RunFolder
from storage.shards import Manifest

WITHOUT_RANKS = ("train.ranks=1", "train.shard=none")
"""For whoever makes other contexts, or analyses, of a run: nothing is trained then."""


class Session(BaseModel):
    """A run folder that is worked on. Prefect stores the public fields as parameters of what is given one."""

    path: str
    _folder: RunFolder = PrivateAttr()
    _workers: Workers = PrivateAttr()
    _console: Console = PrivateAttr()
    _progress: ProgressFile = PrivateAttr()

    @property
    def folder(self) -> RunFolder:
        """The run on disk."""
        return self._folder

    @property
    def workers(self) -> Workers:
        """The processes that work for the run."""
        return self._workers

    @property
    def console(self) -> Console:
        """Where progress is shown."""
        return self._console

    @property
    def settings(self) -> Settings:
        """The run's settings."""
        raise NotImplementedError

    def find(self, shard: Shard) -> Manifest | None:
        """The shard's manifest, if it is done."""
        return shard.find(self._folder)

    def missing(self, shards: list[Shard]) -> list[Shard]:
        """Those that are still to be made."""
        return [shard for shard in shards if self.find(shard) is None]

    def __enter__(self) -> Self:
        self._progress = ProgressFile(self._folder, self._describe)
        self._progress.begin()
        return self

    def _describe(self) -> dict[str, Any]:
        """What is worked on, and with which devices, for `mopd status --watch`."""
        return {"holds": self._workers.held(), "stages": [meter.state() for meter in list(self._console.meters)]}

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        try:
            if kind is None:
                self._workers.close()
            else:
                self._workers.kill()
        finally:
            self._progress.end()
        if kind is not None:
            raise_if_interrupted()  # where Ctrl-C comes while Prefect prepares a step, it raises an error of its own


class Run(Session):
    """What the flows and steps of `mopd run` are given."""

    _plan: RunPlan = PrivateAttr()
    _tried: list[ContextShards] = PrivateAttr()

    @classmethod
    def open(
        cls,
        folder: RunFolder,
        console: Console,
        *,
        tried: Sequence[ContextShards] = (),
        overrides: Sequence[str] = (),
    ) -> Run:
        """The session of an opened run folder; processes start when they are needed.

        `tried`: contexts of rounds in place of those that their probes try; `overrides`: what they are made by, of
        which those of the place hold for the session. Raises InputError where the place can't do that.
        """
        run = cls(path=folder.address)
        run._folder, run._plan, run._console = folder, RunPlan.of(folder), console
        settings, (_, place) = run._plan.settings, split_place(overrides)
        if place:
            settings = overridden(folder, settings, [*place, *WITHOUT_RANKS])
            check_place(settings, folder.store)
        run._workers, run._tried = Workers(folder, settings), list(tried)
        return run

    @property
    def plan(self) -> RunPlan:
        """What the run will have."""
        return self._plan

    @property
    def settings(self) -> Settings:
        """The run's settings."""
        return self._plan.settings

    def missing(self, shards: list[Shard]) -> list[Shard]:
        """Those that are still to be made."""
        return self._plan.missing_of(self._folder, shards)

    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return not self._plan.missing(self._folder)

    def round(self, number: int) -> RoundPlan:
        """The shards that a round is known to need by now."""
        return self._plan.rounds[number].needed(self._folder)

    def pending(self, round: int) -> bool:
        """Whether anything of the round is left to do, but for its guards."""
        return bool(self.missing(self.round(round).all()))

    def guards(self, version: int) -> list[Shard]:
        """The guards of a policy version."""
        return needed_guards(self._plan, self._folder, version)

    def shown(self, table: str, round: int, *, tried: bool) -> list[Shard]:
        """A table's shards of the round: its own and its control's, or those of what is tried, shard by shard."""
        part = self.round(round)
        if not tried:
            return part.with_control(table)
        shards = {shard.key: shard for contexts in self._tried or part.probes for shard in getattr(contexts, table)}
        return sorted((one for one in shards.values() if one.round == round), key=lambda shard: shard.shard)


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
