"""The command `mopd status --watch`: looks, shows, waits, until the run ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.folder.guards import raise_if_ended
from flows.folder.open import may_live
from flows.report.watch.bars import screen
from flows.report.watch.changes import changes
from flows.report.watch.look import Look, Looker
from flows.runtime.exit_code import FAILURE, INTERRUPTED
from flows.runtime.shell import shell_command
from storage.errors import StorageError
from storage.runs import RunFolder

if TYPE_CHECKING:
    from rich.text import Text

Show = Callable[[Look], None]
EVERY_SECONDS = 2.0
"""Between two looks, where nobody asks for another time."""
START_SECONDS = 30.0
"""So long nobody may hold a run that is watched from then on: `mopd run` starts Prefect's server first."""
MOST_MISSED = 3
"""Looks one after the other that may fail: files come and go beside a live run."""


def watch(folder: RunFolder, every: float | None = None, *, start_seconds: float = START_SECONDS) -> int:
    """Show the run until it ends. The exit code: 0 finished, 1 left unfinished by who ran it, 130 on Ctrl-C.

    Raises RunStopped, as the run does, where a guard ended it.
    """
    try:
        with _shown() as show:
            last = _follow(Looker(folder), show, every or EVERY_SECONDS, start_seconds)
    except KeyboardInterrupt:
        return INTERRUPTED
    raise_if_ended(RunFolder.open(folder.store))  # with the settings that it had last
    if last.finished:
        return 0
    who = f" ({last.holder.text})" if last.holder.text else ""
    goes_on = shell_command("run", folder.address)
    print(
        f"mopd: {folder.address}: not finished, and who ran it has gone{who}; {goes_on} goes on with it",
        file=sys.stderr,
    )
    return FAILURE


def _follow(looker: Looker, show: Show, every: float, start_seconds: float) -> Look:
    """Look until the run is finished, or nobody holds it any more; the last look."""
    began, was_held = time.monotonic(), False
    while True:
        look = _look(looker, every)
        show(look)
        was_held = was_held or (look.holder.held and may_live(look.holder.text))  # else somebody only looks into it
        waits = not was_held and time.monotonic() - began < start_seconds
        if look.finished or not (look.holder.held or waits):
            return look
        time.sleep(every)


def _look(looker: Looker, every: float) -> Look:
    """A look that came through. Raises StorageError where several ones don't."""
    for _ in range(MOST_MISSED):
        try:
            return looker.look()
        except StorageError:
            time.sleep(every)
    return looker.look()


def painted(look: Look) -> Text:
    """The screen. A line that is too wide loses its end: folded, the columns of its table would come apart."""
    from rich.text import Text

    return Text(screen(look), no_wrap=True, overflow="ellipsis")


@contextmanager
def _shown() -> Iterator[Show]:
    """On a terminal one screen that is painted again; else a line a change."""
    if sys.stdout.isatty():
        from rich.live import Live

        with Live(auto_refresh=False) as live:
            yield lambda look: live.update(painted(look), refresh=True)
        return
    seen: list[Look] = []

    def tell(look: Look) -> None:
        for line in changes(seen[-1] if seen else None, look):
            print(line, flush=True)
        seen[:] = [look]

    yield tell
