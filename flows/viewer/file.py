"""`mopd report`: the page as one file, with the documents of its runs inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.viewer.documents.overview import overview
from flows.viewer.documents.viewed import ViewedRun, viewed_runs
from flows.viewer.page.html import MARK, Block, data_scripts, page
from mopd.errors import InputError
from storage.runs import RunFolder
from storage.stores.files import write_files


def write_report(folders: Sequence[RunFolder], out: Path) -> Path:
    """Write the page of some runs, whole or not at all; returns the file.

    Raises InputError where `out` is there and is no report.
    """
    check_target(out)
    runs = viewed_runs(list(folders))
    blocks = [block for run in runs for block in run_blocks(run)]
    html = page(data_scripts(directory(runs), blocks))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_files(out.parent, {out.name: html.encode()})
    return out


def run_blocks(run: ViewedRun) -> Iterator[Block]:
    """The documents of a run: its first screen apart, then what is asked for later."""
    yield Block({f"{run.id}/overview": overview(run)})


def directory(runs: Sequence[ViewedRun]) -> dict[str, Any]:
    """What the page knows before it asks for anything."""
    return {
        "version": version("mopd"),
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "runs": [{"id": run.id, "name": run.id, "address": run.folder.address} for run in runs],
        "left_out": [line for run in runs for line in run.problems],
    }


def check_target(out: Path) -> None:
    """Raises InputError where writing the report would lose something."""
    if out.is_dir():
        raise InputError(f"-o {out}: is a folder; name a file")
    if out.exists() and MARK not in _beginning(out):
        raise InputError(f"-o {out}: is there and is no report; name another file")


def _beginning(path: Path, length: int = 4096) -> str:
    with path.open("rb") as file:
        return file.read(length).decode(errors="replace")
