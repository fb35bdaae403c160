"""The page that a run leaves in its folder when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.runtime.exit_code import RunStopped
from flows.runtime.shell import shell_command
from flows.viewer.file import make_report
from storage.runs import RunFolder
from storage.stores.address import in_bucket

REPORT_FILE = "report.html"
KEY = "mopd-report"
"""Of the link to it in the Prefect UI."""

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
        report = make_report([RunFolder.open(folder.store)])
        folder.store.replace(REPORT_FILE, report.html)
    except Exception as error:
        again = shell_command("report", folder.address)
        say(f"{folder.address}: its page could not be written ({error}); {again} tries again")
        return
    try:
        _publish(folder, [*report.left_out, *report.damaged])
    except Exception as error:
        say(f"{folder.address}/{REPORT_FILE}: is written; Prefect could not be told of it ({error})")


def _publish(folder: RunFolder, problems: list[str]) -> None:
    """A link in the Prefect UI, with the path beside it: browsers open no file from a page of a server."""
    from prefect.artifacts import create_link_artifact

    place = f"{folder.address}/{REPORT_FILE}, or live: {shell_command('view', folder.address)}"
    about = "; ".join((place, *problems))
    create_link_artifact(key=KEY, link=report_link(folder), link_text=REPORT_FILE, description=about)


def report_link(folder: RunFolder) -> str:
    """Where the page of a run is, as a browser takes it, or an address in a bucket."""
    if in_bucket(folder.address):
        return f"{folder.address}/{REPORT_FILE}"
    return (Path(folder.address).absolute() / REPORT_FILE).as_uri()
