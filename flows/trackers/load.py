"""A tracker's class, and with it its library."""

from __future__ import annotations

import os
from importlib import import_module
from typing import cast

from flows.folder.tracker_libraries import LIBRARIES
from flows.trackers.tracker import OpenTracker
from mopd.settings.report import TrackerName


def load_tracker(name: TrackerName) -> OpenTracker:
    """What opens a run in that tracker. Imports its library, in a process that does nothing else."""
    library = LIBRARIES[name]
    os.environ.update({key: value for key, value in library.environment.items() if key not in os.environ})
    module, _, opens = library.opens.partition(":")
    return cast(OpenTracker, getattr(import_module(module), opens))
