"""The place that the settings name."""

from __future__ import annotations

from pathlib import Path

from flows.runtime.places.base import Place
from flows.runtime.places.this_host import ThisHost
from mopd.settings import Settings
from mopd.settings.place import LocalPlace


def open_place(settings: Settings, logs: Path | None = None) -> Place:
    """The place of `settings.place`, nothing started yet; its processes write into `logs`, if there is such a folder."""
    if isinstance(settings.place, LocalPlace):
        return ThisHost(settings, logs)
    from flows.runtime.places.ray_cluster import RayCluster

    return RayCluster(settings, logs)
