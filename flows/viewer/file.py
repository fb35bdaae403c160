"""`mopd report`: the page as one file, with the documents of its runs inside."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from flows.viewer.documents.directory import directory
from flows.viewer.documents.measures import analyses, measures
from flows.viewer.documents.pairs import pairs
from flows.viewer.documents.viewed import Json, ViewedRun, viewed_runs
from flows.viewer.packing.contents import OF_RUN, document_key
from flows.viewer.packing.packed_run import pack_run
from flows.viewer.packing.packer import Packer
from flows.viewer.page.html import MARK, page
from flows.viewer.words import find_runs, split_words
from mopd.byte_text import byte_text
from mopd.errors import InputError
from storage.logger import silenced
from storage.runs import RunFolder
from storage.stores.files import write_files

MAX_MEGABYTES = 30.0
"""Of data, by default: 10,000 short rollouts."""
QUIET_SECONDS = 5.0
"""Between two lines that say how far it is."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class ReportFile:
    """A page, and what isn't in it: a line each, which names runs by where they lie."""

    html: bytes
    left_out: list[str]
    damaged: list[str]


def report_command(words: Sequence[str], out: Path, max_megabytes: float) -> bool:
    """Write the page of what the words name, and say so; whether no shard had to be left out."""
    check_target(out)
    names, reports = split_words(words)
    runs, measured = find_runs(names)
    with silenced():
        report = make_report(runs, [*measured, *reports], max_megabytes=max_megabytes, say=_say)
    save_report(report, out)
    print(f"{out}: {byte_text(len(report.html))}")
    for line in (*report.left_out, *report.damaged):
        _say(f"mopd: {line}")
    return not report.damaged


def write_report(folders: Sequence[RunFolder], out: Path) -> Path:
    """Write the page of some runs, whole or not at all; returns the file.

    Raises InputError where `out` is there and is no report.
    """
    check_target(out)
    save_report(make_report(folders), out)
    return out


def make_report(
    folders: Sequence[RunFolder],
    reports: Sequence[Json] = (),
    *,
    max_megabytes: float = MAX_MEGABYTES,
    memory_gigabytes: float | None = None,
    say: Say = lambda line: None,
) -> ReportFile:
    """The page of some runs and of what was measured, with at most so many megabytes of data.

    `memory_gigabytes`: that SQL may take. `say` is told how far it is, now and then.
    """
    runs = viewed_runs(list(folders), in_file=True, memory_gigabytes=memory_gigabytes)
    packer = Packer(max_bytes=0)
    reports = [*(report for run in runs for report in analyses(run)), *reports]
    _pack_firsts(runs, reports, packer)
    left_out = []
    for number, run in enumerate(runs):
        room = max(max_megabytes * 1e6 - packer.size, 0) / (len(runs) - number)
        left_out += pack_run(run, packer, room, _Progress(run, say).tell)
    if packer.size > max_megabytes * 1e6:
        left_out.append(f"--max-megabytes {max_megabytes:g}: what a page must have takes {packer.size / 1e6:.2g} MB")
    damaged = [f"{run.id}: {line}" if len(runs) > 1 else line for run in runs for line in run.problems]
    shown = [_without_places(runs, line) for line in (*left_out, *damaged)]
    known = {**directory(runs, shown), "measures": len(reports)}
    return ReportFile(page(packer.scripts(known)).encode(), left_out, damaged)


def _without_places(runs: Sequence[ViewedRun], line: str) -> str:
    """As a file may have it."""
    return reduce(lambda text, run: run.without_places(text), runs, line)


def _pack_firsts(runs: Sequence[ViewedRun], reports: Sequence[Json], packer: Packer) -> None:
    """What a file has, however many groups there are."""
    for run in runs:
        for name, make in OF_RUN.items():
            packer.add(document_key(run, name), make(run))
    packer.add("measures", measures(reports))
    if len(runs) > 1:
        packer.add("pairs", pairs(runs))


def check_target(out: Path) -> None:
    """Raises InputError where writing the report would lose something, or can't be."""
    if out.is_dir():
        raise InputError(f"-o {out}: is a folder; name a file")
    if not out.parent.is_dir():
        raise InputError(f"-o {out}: there is no folder {out.parent}; make it, or name another file")
    if not os.access(out.parent, os.W_OK):
        raise InputError(f"-o {out}: nothing can be written there; name another file")
    if out.exists() and MARK not in _beginning(out):
        raise InputError(f"-o {out}: is there and is no report; name another file")


def save_report(report: ReportFile, out: Path) -> None:
    """Write the file, over the report that is there."""
    write_files(out.parent, {out.name: report.html})


class _Progress:
    """Lines about how far it is, where it takes long."""

    def __init__(self, run: ViewedRun, say: Say) -> None:
        self._run, self._say = run, say
        self._last = time.monotonic()

    def tell(self, done: int, total: int) -> None:
        if time.monotonic() - self._last >= QUIET_SECONDS:
            self._last = time.monotonic()
            self._say(f"{self._run.id}: {done:,} of {total:,} groups")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _beginning(path: Path, length: int = 4096) -> str:
    with path.open("rb") as file:
        return file.read(length).decode(errors="replace")
