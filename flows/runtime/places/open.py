"""The place that the settings name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from flows.runtime.places.base import Place
from flows.runtime.places.this_host import ThisHost
from mopd.settings import Settings
from mopd.settings.place import LocalPlace
from storage.stores.base import Store


@lru_cache(maxsize=32)
def check_place(settings: Settings, store: Store) -> None:
    """Whether the place can do what the settings ask of it, for a run that lies there; asked once a process.

    Raises InputError.
    """
    open_place(settings).check(store)


def open_place(settings: Settings, logs: Path | None = None) -> Place:
    """The place of `settings.place`, nothing started yet; its processes write into `logs`, where there is one."""
    if isinstance(settings.place, LocalPlace):
        return ThisHost(settings, logs)
    from flows.runtime.ray_place.cluster import RayCluster

    return RayCluster(settings, logs)
