"""The flow of `mopd reverify`: rollouts that are there are judged, contexts follow, and what changed is told."""

from __future__ import annotations

from prefect import flow

from flows.execute.session import Run
from flows.execute.stages import condition, rejudge, verify
from flows.measure.reverify.plan import Redo, begun_redo, open_reverification
from flows.measure.reverify.report import results_folder, reverify_report
from flows.measure.reverify.request import ReverifyRequest
from flows.measure.reverify.results import read_results
from flows.redo import rerun_flow
from flows.report.sql.knowledge import leave_catalog
from flows.run import in_charge
from flows.runtime.console import Console
from storage.runs import RunFolder

KEY = "mopd-reverify"


@flow(name=KEY, flow_run_name="reverify", persist_result=False)
def reverify_flow(
    run_dir: str,
    round: int | None = None,
    verifier: str | None = None,
    overrides: tuple[str, ...] = (),
    again: bool = False,
    apply: bool = False,
) -> str:
    """What would another `verifier` say of the rollouts in `run_dir`, and which contexts and advantages change by it?

    `round`: whose rollouts (none: every round's); `overrides` of settings `verify`; `again`: the same verifier, as a
    check; `apply`: then rerun the run from there on. Returns the name of the rows in the tables `rejudged` and `flips`.
    """
    request = ReverifyRequest(round, verifier, tuple(overrides), again, apply)
    folder = RunFolder.open(run_dir)
    redo = begun_redo(folder, request) or _judge(folder, request)
    if apply:
        rerun_flow(folder.address, redo.round, "verify", tuple(redo.overrides))
    return redo.name


def _judge(folder: RunFolder, request: ReverifyRequest) -> Redo:
    """Make what is missing, and publish what came of it. Raises InputError as `mopd reverify`."""
    with in_charge(folder):
        made = open_reverification(folder, request)
        with Run.open(folder, Console(), tried=list(made.parts.values()), overrides=request.overrides) as run:
            for number, part in made.parts.items():
                verify(run, number)
                if part.contexts:
                    condition(run, number, tried=True)
                rejudge(run, number)
        leave_catalog(folder)
    results = read_results(folder, made)
    report = reverify_report(results, command=request.command(folder.address))
    report.write(results_folder(folder, made.name))
    report.publish(KEY, f"{folder.run_id}, {made.name}")
    if request.apply:
        results.check_applies()
    return made.redo
