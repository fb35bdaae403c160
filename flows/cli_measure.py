"""The part of the command line that measures: `mopd analyze`, `mopd probe` and `mopd eval`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from flows.diversity import add_diversity_parser
from flows.eval_parser import add_eval_parser

VARIANTS = "e.g. none,success,contrastive/turns/first"


def add_measures(commands: Any) -> None:
    """Hang the commands under the command line's own."""
    analyze = commands.add_parser("analyze", help="what a run's rollouts say: teacher signals, diversity")
    kinds = analyze.add_subparsers(required=True, metavar="COMMAND")
    _add_signal(kinds)
    add_diversity_parser(kinds)
    help = "which context does the student gain most from, before anything is trained?"
    _add_probe(commands.add_parser("probe", parents=[_contexts()], help=help))
    add_eval_parser(commands)


def _contexts() -> argparse.ArgumentParser:
    """Arguments of what compares contexts."""
    base = argparse.ArgumentParser(add_help=False)
    base.add_argument("--variants", type=_listed, metavar="A,B", help=f"contexts to compare, {VARIANTS}")
    base.add_argument(
        "--renderings", type=_listed, default=[], metavar="A,B", help="sections,turns: each variant by both"
    )
    base.add_argument(
        "--orders", type=_listed, default=[], metavar="A,B", help="last,first: where the failed peer stands"
    )
    base.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for all contexts")
    base.add_argument("--out", type=Path, metavar="DIR", help="for table, page, CSV and plot (default: in the run)")
    return base


def _add_signal(commands: Any) -> None:
    help = "does the teacher see what the verifier sees, under which context?"
    signal = commands.add_parser("signal", parents=[_contexts()], help=help)
    signal.add_argument("run", type=Path)
    signal.add_argument("--round", type=int, required=True)
    signal.add_argument("--reference", metavar="NAME", help="what differences are taken from (default: none)")
    signal.set_defaults(command=_signal)


def _add_probe(probe: argparse.ArgumentParser) -> None:
    probe.add_argument("config", type=Path, help="a YAML file of settings, or a run's folder")
    probe.add_argument("--run", type=Path, metavar="DIR", help="the run's folder (default: a new one under runs/)")
    probe.add_argument("--round", type=int, default=0, help="whose rollouts (default: 0)")
    probe.set_defaults(command=_probe)


def _probe(arguments: argparse.Namespace) -> int:
    from flows.probe_command import probe_command

    return probe_command(
        arguments.config,
        arguments.run,
        arguments.round,
        variants=arguments.variants or (),
        renderings=arguments.renderings,
        orders=arguments.orders,
        overrides=arguments.set,
        out=arguments.out,
    )


def _signal(arguments: argparse.Namespace) -> int:
    from flows.analyze_signal import DEFAULT_VARIANTS
    from flows.signal_command import signal_command

    return signal_command(
        arguments.run,
        arguments.round,
        variants=arguments.variants or DEFAULT_VARIANTS,
        renderings=arguments.renderings,
        orders=arguments.orders,
        reference=arguments.reference,
        overrides=arguments.set,
        out=arguments.out,
    )


def _listed(text: str) -> list[str]:
    """The parts between commas, but for those within brackets. None may be empty."""
    from flows.arms import split_values

    parts = [part.strip() for part in split_values(text)]
    if not all(parts) or not parts or ",," in text or text.strip(" ").startswith(",") or text.strip(" ").endswith(","):
        raise argparse.ArgumentTypeError(f"{text!r}: a name is missing; write them as A,B")
    return parts
