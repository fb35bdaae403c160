"""Work in progress on a run folder: its plan, and the processes that work for it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Self

from pydantic import BaseModel, PrivateAttr

from flows.execute.workers import Workers
from flows.folder.progress_file import ProgressFile
from flows.folder.replay.fork import overridden
from flows.folder.replay.other_contexts import split_place
from flows.plan.guards import needed_guards
from flows.plan.run import RunPlan
from flows.plan.shard import ContextShards, RoundPlan, Shard
from flows.plan.stage import STAGES
from flows.runtime.console import Console
from flows.runtime.interrupts import raise_if_interrupted
from flows.runtime.places.open import check_place
from mopd.settings import Settings
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
        return {
            "holds": self._workers.devices.held(),
            "stages": [meter.state() for meter in list(self._console.meters)],
        }

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

    def wants(self, load: str, since: int) -> bool:
        """Whether anything that is not there yet, from round `since` on, is made with what `load` loads."""
        rounds = (shard for number in range(since, self.settings.rounds) for shard in self.round(number).all())
        versions = (number for number in self.plan.evaluations if number >= since)
        evaluated = (shard for number in versions for shard in self.plan.evaluations[number].all())
        return any(STAGES[one.table].load == load and not self.find(one) for one in chain(rounds, evaluated))

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
