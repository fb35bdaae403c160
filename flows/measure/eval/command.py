"""`mopd eval`: models and runs beside each other on the same tasks."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from flows.measure.eval.prepare import is_finished, open_evaluation, prepare
from flows.measure.eval.request import EvalRequest, pin_request, resolve
from flows.measure.eval.results import eval_report, read_results, write_results
from flows.runtime.launch import command_session, launch
from flows.runtime.worker import warm_up
from storage.runs import RUN_FILE


def eval_command(request: EvalRequest, out: Path | None) -> int:
    """Evaluate what is missing, write the results, print their table. Returns the exit code."""
    out = out or Path("runs") / f"eval-{datetime.now():%Y%m%d-%H%M%S}"
    with command_session():
        target = out.resolve()
        resolve(pin_request(request, target)[0])  # what is wrong with the request is said before anything is started
        warm_up()
        if (out / RUN_FILE).exists() and _is_finished(request, target):
            print(f"{out}: finished already, nothing to do", flush=True)
            report = write_results(out)
        else:
            _run_flow(request, out)
            report = eval_report(read_results(out))
    print(f"\n{report.terminal()}\n\nresults: {out / 'results.md'}, results.csv, results.json, plot.png")
    return 0


def _is_finished(request: EvalRequest, out: Path) -> bool:
    prepared = prepare(request, out)
    return is_finished(open_evaluation(prepared, out), prepared)


def _run_flow(request: EvalRequest, out: Path) -> None:
    """The flow, on the user's Prefect server or on one of its own; models are looked at while that one starts."""

    def prepare_folder() -> None:
        folder = open_evaluation(prepare(request, out.resolve()), out)
        models, num_tasks = ", ".join(request.models), folder.document["num_tasks"]
        print(f"{folder.address}: {models}; {num_tasks} prompts x {request.k} samples", flush=True)

    launch("flows.measure.eval.flow:eval_flow", prepare_folder, **asdict(request), out=str(out.resolve()))
