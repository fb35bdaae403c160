"""What `mopd track` does: a run's numbers are sent to trackers now, whenever it ran."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TypeGuard

from flows.folder.open import hold_run
from flows.folder.tracker_libraries import LIBRARIES, require_installed
from flows.plan.conditions import settings_of
from flows.runtime.exit_code import FAILURE
from flows.runtime.worker import in_own_process
from flows.trackers.beside import SILENCE_SECONDS, failure_text
from flows.trackers.send import send_missing
from mopd.errors import InputError
from mopd.settings.report import TrackerName
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.stores.address import Address


def track_command(address: Address, to: Sequence[str]) -> int:
    """Send what is missing, tracker by tracker. Returns the exit code: 1 where one could not be sent it.

    Raises InputError for trackers that there are not, and for a run that is at work, which sends by itself.
    """
    folder = RunFolder.open(address)
    names = named_trackers(folder, to)
    require_installed(names, "--to" if to else "report.trackers")
    with hold_run(folder):
        went_well = [_track(folder, name) for name in names]
    return 0 if all(went_well) else FAILURE


def named_trackers(folder: RunFolder, to: Sequence[str]) -> list[TrackerName]:
    """Those of the command, or those of the run. Raises InputError."""
    choice = ", ".join(LIBRARIES)
    names: Sequence[str] = to or settings_of(folder).report.trackers
    if not names:
        raise InputError(f"{folder.address}: report.trackers names none; say --to with some of {choice}")
    for name in names:
        if not _is_tracker(name):
            raise InputError(f"--to {name}: is no tracker; choose of {choice}")
    return [name for name in dict.fromkeys(names) if _is_tracker(name)]


def _is_tracker(name: str) -> TypeGuard[TrackerName]:
    return name in LIBRARIES


def _track(folder: RunFolder, name: TrackerName) -> bool:
    """Whether that went well; says so."""
    try:
        count = in_own_process(send_missing, folder.store, name, silence_seconds=SILENCE_SECONDS)
    except (InputError, StorageError):
        raise
    except Exception as error:  # of a library, which may raise anything
        print(f"mopd: tracker {name}: {failure_text(error)}", file=sys.stderr)
        return False
    print(f"{name}: {f'{count} parts sent' if count else 'has it all'}", flush=True)
    return True
