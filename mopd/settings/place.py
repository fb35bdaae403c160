"""Settings of where a run's processes are: on the devices of this host, or of all hosts of a Ray cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mopd.settings.base import Frozen, Positive, PositiveInt, choice

PooledStage = Literal["generate", "answer", "evaluate", "score", "verify"]
"""Stages whose shards several processes may make at once; `verify` are the processes on the CPUs, of all its stages."""


class AnyPlace(Frozen):
    """What all places have."""

    replicas: dict[PooledStage, PositiveInt] = Field(default={})
    """Most replicas of a stage, e.g. `{generate: 4, verify: 2}`. Without it: as many as the devices are for; never more
    than there are shards to make."""
    silence_seconds: Positive = 3600.0
    """A process from which nothing is heard for so long is ended, and its shard is tried again. Whatever works says so
    pass by pass; loading a model and saving one do not (docs/places.md)."""

    def limit(self, stage: str) -> int | None:
        """Most replicas of a stage; None where `replicas` does not name it."""
        return next((number for name, number in self.replicas.items() if name == stage), None)


class LocalPlace(AnyPlace):
    """The devices of this host."""

    kind: Literal["local"] = "local"
    """A process a device."""
    devices: Literal["auto"] | PositiveInt = "auto"
    """`auto`: every GPU that is visible; on a CPU all cores, as one device. A number: that many GPUs, or that many
    sets of cores of equal size."""
    keep_resident: Literal["auto", "always", "never"] = "auto"
    """Whether engines and scorers stay between stages, and read the next policy in place of the last one, until nothing
    of the run is left for them. `auto`: where what all stages take fits beside each other (`mopd plan` says so); an
    engine with `generate.engine_arguments` is started anew for each policy all the same."""


class RayPlace(AnyPlace):
    """The devices of all hosts of a Ray cluster."""

    kind: Literal["ray"]
    """An actor a replica; takes the extra `ray`."""
    address: str = "auto"
    """Where the cluster answers, e.g. `10.0.0.1:6379`; `auto`: the one that this host is part of."""
    join_seconds: Positive = 300.0
    """How long a run waits for hosts, while those that are there have no room for a replica, or not for all ranks."""


PlaceSettings = Annotated[LocalPlace | RayPlace, Field(discriminator="kind"), choice(LocalPlace, RayPlace)]
