"""The page that a run leaves in its folder when it ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from flows.runtime.exit_code import RunStopped
from flows.runtime.messages import Report
from flows.runtime.shell import shell_command
from flows.runtime.worker import in_own_process
from storage.runs import RunFolder
from storage.stores.address import in_bucket
from storage.stores.base import Store

REPORT_FILE = "report.html"
KEY = "mopd-report"
"""What keys of the links to it in the Prefect UI begin with."""
MEMORY_GIGABYTES = 4.0
"""That SQL may take for it."""

Say = Callable[[str], None]


@contextmanager
def leaving_report(folder: RunFolder, say: Say, *, wanted: bool = True) -> Iterator[None]:
    """Leave the page when what is done here ends, also where a guard ends it; not where an error does."""
    try:
        yield
    except RunStopped:
        if wanted:
            leave_report(folder, say)
        raise
    if wanted:
        leave_report(folder, say)


def leave_report(folder: RunFolder, say: Say) -> None:
    """Write the run's page into its folder, over the last one, and tell of it in the Prefect UI.

    Whatever goes wrong with it costs a line: what the run has made is there without it.
    """
    try:
        problems = in_own_process(write_page, folder.store, report=lambda message: say(message["line"]))
    except Exception as error:
        again = shell_command("report", folder.address)
        say(f"{folder.address}: its page could not be written ({error}); {again} tries again")
        return
    try:
        _publish(folder, problems)
    except Exception as error:
        say(f"{folder.address}/{REPORT_FILE}: is written; Prefect could not be told of it ({error})")


def write_page(_: None, report: Report, store: Store) -> list[str]:
    """Write the page of a run into its folder; a line for what isn't in it.

    A job of a worker process. Where memory runs out this is the process to go: the run that waits for it is finished.
    """
    # The run itself, which only links to the page, need not take the 0.16 s of this import.
    from flows.viewer.file import make_report

    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    page = make_report(
        [RunFolder.open(store)], memory_gigabytes=MEMORY_GIGABYTES, say=lambda line: report({"line": line})
    )
    store.replace(REPORT_FILE, page.html)
    return [*page.left_out, *page.damaged]


def _publish(folder: RunFolder, problems: list[str]) -> None:
    """A link in the Prefect UI, with the path beside it: browsers open no file from a page of a server."""
    from prefect.artifacts import create_link_artifact

    place = f"{folder.address}/{REPORT_FILE}, or live: {shell_command('view', folder.address)}"
    about = "; ".join((place, *problems))
    key = artifact_key(folder.run_id)
    create_link_artifact(key=key, link=report_link(folder), link_text=REPORT_FILE, description=about)


def artifact_key(run_id: str) -> str:
    """What the link is called, of each run otherwise: Prefect shows the last one of a key."""
    return f"{KEY}-{re.sub('[^a-z0-9]+', '-', run_id.lower()).strip('-')}".rstrip("-")


def report_link(folder: RunFolder) -> str:
    """Where the page of a run is, as a browser takes it, or an address in a bucket."""
    if in_bucket(folder.address):
        return quote(f"{folder.address}/{REPORT_FILE}", safe=":/")
    return (Path(folder.address).absolute() / REPORT_FILE).as_uri()
