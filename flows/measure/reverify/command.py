"""`mopd reverify`: judge what is there by another verifier, and say what that changes."""

from __future__ import annotations

import json
import sys

from flows.folder.open import require_free
from flows.measure.reverify.plan import Redo, begun_redo, open_reverification
from flows.measure.reverify.report import results_folder, reverify_report
from flows.measure.reverify.request import ReverifyRequest
from flows.measure.reverify.results import ReverifyResults, read_results
from flows.runtime.console import Console
from flows.runtime.launch import command_session, launch
from flows.runtime.shell import shell_command
from storage.runs import RunFolder
from storage.stores.address import Address


def reverify_command(run_dir: Address, request: ReverifyRequest, *, as_json: bool) -> Redo:
    """Make what is missing, and print what came of it; returns what would make it the run's.

    Where that has begun, there is nothing else to do. Raises InputError as `open_reverification`, and where the request
    is to be applied and changes nothing.
    """
    folder = RunFolder.open(run_dir)
    begun = begun_redo(folder, request)
    if begun is not None:
        return begun
    with command_session():
        Console.terminal = sys.stderr if as_json else sys.stdout
        made = open_reverification(folder, request)
        if made.missing(folder):
            require_free(folder)
            launch(
                "flows.measure.reverify.flow:reverify_flow",
                run_dir=folder.address,
                round=request.round,
                verifier=request.verifier,
                overrides=request.overrides,
                again=request.again,
            )
            folder = RunFolder.open(run_dir)  # it may have got further rounds while this one waited for it
            made = open_reverification(folder, request)
        results = read_results(folder, made)
        print(json.dumps(results.as_json(), indent=2) if as_json else _text(folder, request, results), flush=True)
    if request.apply:
        results.check_applies()
    return made.redo


def _text(folder: RunFolder, request: ReverifyRequest, results: ReverifyResults) -> str:
    """What a terminal shows of the results, which are written beside the others of the run."""
    command = request.command(folder.address)
    query = shell_command("sql", folder.address, f"FROM flips WHERE condition = '{results.name}'")
    steps = [f"to look at them: {query}"]
    if not (request.again or request.apply or results.changes_nothing):
        steps.append(f"to make it the run's: {command} --apply")
    report = reverify_report(results, command=command, next_steps="\n".join(steps))
    target = results_folder(folder, results.name)
    files = report.write(target)
    return f"\n{report.terminal()}\n\nresults: {target}: {files}"
