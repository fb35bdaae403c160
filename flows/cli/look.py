"""What a run holds, and what the machine has: `mopd status`, `sql`, `show`, `report` and others; `mopd doctor`."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.cli.options import License, Name, Names, NewFolder, Repository, Round, Run, WholeNumber
from flows.runtime.exit_code import FAILURE
from mopd.errors import InputError

Seconds = Parameter(metavar="SECONDS")


def status(
    run: Run, /, *, json: bool = False, watch: bool = False, every: Annotated[float | None, Seconds] = None
) -> int:
    """Show rounds, stages, rates and results of a run.

    With --watch, exit code 0 when it is finished, 1 when who ran it has gone before that, 3 when a guard ended it.

    Args:
        run: the run's folder
        json: for programs
        watch: show it again and again, until the run ends
        every: seconds between two looks (default: 2)
    """
    from json import dumps

    from flows.report.status.state import run_status
    from flows.report.status.text import status_text
    from flows.report.watch.look import state_of
    from storage.runs import RunFolder

    if watch or every is not None:
        _check_watch(watch, every, json)
        from flows.report.watch.loop import watch as watch_run

        return watch_run(RunFolder.open(run), every)
    folder = RunFolder.open(run)
    holder = folder.store.holder()
    found = run_status(folder)
    print(dumps(found, indent=2) if json else status_text(found, state_of(found, holder, is_watched=False).text))
    return 0


def _check_watch(watch: bool, every: float | None, json: bool) -> None:
    if not watch:
        raise InputError("--every: goes with --watch")
    if json:
        raise InputError("--json: one state is for programs; leave --watch out")
    if every is not None and not (math.isfinite(every) and every > 0):
        raise InputError(f"--every {every:g}: give more than 0 seconds")


def sql(
    *asked: Annotated[str, Parameter(name="RUN… SELECT", allow_leading_hyphen=True)],
    all: bool = False,
    list: bool = False,
    named: Name | None = None,
    parameters: Annotated[tuple[str, ...], Parameter(name="--param", metavar="KEY=VALUE")] = (),
    format: Literal["table", "csv", "json"] = "table",
) -> int:
    """Query a run's tables, read-only.

    Args:
        asked: the run's folder, and one statement that reads, in quotes
        all: of several runs, in every table one below the other: name them, a folder of runs, or a pattern in quotes
        list: show the queries that have a name
        named: one of these, or FILE.sql, in place of the statement
        parameters: what a named query is told; may be repeated
        format: of what is printed
    """
    from flows.report.sql.answer import list_text, sql_command

    if list:
        print(list_text(format))
        return 0
    words = [os.fsencode(word).decode(errors="replace") for word in asked]  # UTF-8, whatever the locale takes them for
    text, is_whole = sql_command(words, named, parameters, together=all, form=format)
    print(text)
    return 0 if is_whole else FAILURE


def show(
    run: Run,
    /,
    *,
    round: WholeNumber,
    prompt: Annotated[str, Parameter(metavar="ID")],
    sample: WholeNumber | None = None,
) -> int:
    """Show a group of rollouts; with --sample, what the teacher was shown and said.

    Args:
        run: the run's folder
        round: from 0 on
        prompt: the id of the group's prompt
        sample: a rollout of the group, from 0 on
    """
    from flows.report.show import show_group, show_sample
    from storage.runs import RunFolder

    if sample is None:
        show_group(RunFolder.open(run), round, prompt)
    else:
        show_sample(RunFolder.open(run), round, prompt, sample)
    return 0


def report(
    runs: Annotated[list[str], Parameter(name="RUN…")],
    /,
    *,
    out: Annotated[Path, Parameter(name=("--out", "-o"), metavar="FILE")] = Path("report.html"),
    max_megabytes: Annotated[float | None, Parameter(metavar="NUMBER")] = None,
) -> int:
    """Write a page of a run, or of several: one HTML file that opens without a network.

    Args:
        runs: the runs' folders, folders of runs, or patterns in quotes; and folders of what was measured
        out: the page; one that is there is replaced
        max_megabytes: of data in it, beside 2 MB of scripts; groups that are too many for it are left out (default: 30)
    """
    from flows.viewer.file import MAX_MEGABYTES, report_command

    megabytes = MAX_MEGABYTES if max_megabytes is None else max_megabytes
    if not (math.isfinite(megabytes) and megabytes > 0):
        raise InputError(f"--max-megabytes {megabytes:g}: give a number above 0")
    return 0 if report_command(runs, out, megabytes) else FAILURE


def view(
    runs: Annotated[list[str], Parameter(name="RUN…")],
    /,
    *,
    port: WholeNumber | None = None,
    memory: Annotated[float | None, Parameter(metavar="GIGABYTES")] = None,
    open: bool = False,
) -> int:
    """Serve the same page on loopback, of runs that may go on meanwhile; Ctrl-C ends it.

    Args:
        runs: the runs' folders, folders of runs, or patterns in quotes; and folders of what was measured
        port: of 127.0.0.1 (default: 8707); 0: any that is free
        memory: that what is asked of a run by SQL may take; larger answers fail (default: 4)
        open: show it in the browser of this host
    """
    from flows.viewer.server.serve import MEMORY_GIGABYTES, PORT, view_command

    gigabytes = MEMORY_GIGABYTES if memory is None else memory
    if not (math.isfinite(gigabytes) and gigabytes > 0):
        raise InputError(f"--memory {gigabytes:g}: give a number above 0")
    return view_command(runs, PORT if port is None else port, gigabytes, opens_browser=open)


def trace(
    run: Run,
    /,
    *,
    round: WholeNumber,
    prompt: Annotated[str, Parameter(metavar="ID")],
    sample: WholeNumber,
    settings: bool = False,
    json: bool = False,
) -> int:
    """Show the lineage of a rollout, from its task to the updates that trained on it.

    Args:
        run: the run's folder
        round: from 0 on
        prompt: the id of the rollout's prompt
        sample: the rollout's number in its group, from 0 on
        settings: show the settings that each step's key holds
        json: for programs
    """
    from json import dumps

    from flows.report.trace.lineage import trace
    from flows.report.trace.text import trace_text
    from storage.runs import RunFolder

    traced = trace(RunFolder.open(run), round, prompt, sample, with_settings=settings)
    print(dumps(traced, indent=2, ensure_ascii=False) if json else trace_text(traced))
    return 0


def digest(run: Run, /) -> int:
    """Print one hash a table, without timings.

    Args:
        run: the run's folder
    """
    from flows.report.status.state import asked_evaluations, is_unfinished, unasked_keys
    from storage.digest import digest_tables
    from storage.runs import RunFolder

    folder = RunFolder.open(run)
    digests = digest_tables(folder, asked_evaluations(folder), unneeded=unasked_keys(folder))
    for table, table_digest in digests.items():
        print(f"{table_digest}  {table}")
    if is_unfinished(folder):
        print(f"mopd: {folder.address}: not finished; this is the digest of what is there by now", file=sys.stderr)
    return 0


def export(
    run: Run,
    folder: NewFolder | None = None,
    /,
    *,
    round: Round,
    license: License | None = None,
    push: Repository | None = None,
    private: bool = False,
) -> int:
    """Copy the policy that a round trained to a folder, with a model card, or put it on the hub.

    Args:
        run: the run's folder
        folder: a new one for the policy
        round: from 0 on; best: by its held-out mean@k; last: the newest
        license: of the policy, for its card: apache-2.0 (default: what its base model's card says)
        push: a repository of the hub, made where there is none: one commit
        private: make the repository a private one
    """
    from flows.cli.actions.export import export_policy
    from storage.runs import RunFolder

    opened = RunFolder.open(run)
    for line in export_policy(opened, round, target=folder, license=license, push=push, private=private):
        print(line, flush=True)
    return 0


def track(run: Run, /, *, to: Annotated[Names, Parameter(metavar="NAME,NAME")] = ()) -> int:
    """Send to trackers what they have not of a run.

    Args:
        run: the run's folder
        to: tensorboard, wandb, trackio, mlflow (default: those of its setting report.trackers)
    """
    from flows.cli.actions.track import track_command

    return track_command(run, to)


def doctor() -> int:
    """Show what was found on this machine, and what would stop a run."""
    from flows.cli.actions import doctor

    return doctor.doctor()
