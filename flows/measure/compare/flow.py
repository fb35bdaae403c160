"""The flow of a comparison: `mopd compare`, scheduled or triggered, its table in the Prefect UI."""

from __future__ import annotations

from pathlib import Path

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.measure.compare.command import compare, plan_comparison

ARTIFACT = "mopd-compare"


def _name() -> str:
    out, config = (flow_run.parameters.get(name) for name in ("out", "config"))
    return f"compare-{Path(out).name if out else Path(config).stem}"


@flow(name="mopd-compare", flow_run_name=_name, persist_result=False)
def compare_flow(
    config: str,
    vary: list[str],
    seeds: int = 1,
    overrides: list[str] | None = None,
    out: str | None = None,
    jobs: int = 1,
) -> str:
    """Run a config in several ways and say which does better: `mopd compare CONFIG`, its arguments as parameters.

    `vary`: settings with their values, `train.objective=mopd,grpo`; several make a grid. `overrides`: for all arms, as
    `--set` takes them. `out`: the comparison's folder, continued if it is there; null is `runs/compare-CONFIG`.
    `jobs`: runs at once. Returns the folder. Fails, behind the results, where a run did.
    """
    folder, sets = Path(out) if out else None, overrides or []
    comparison = plan_comparison(Path(config), vary=vary, num_seeds=seeds, overrides=sets, out=folder, workers=jobs)
    results, report = compare(comparison, get_run_logger().info)
    where = f"`{comparison.out.resolve()}`: results.md, results.csv, results.json, plot.png"
    report.publish(ARTIFACT, comparison.command, [*report.brief[:2], where])
    if results.unfinished:
        raise RuntimeError("; ".join(f"{run.job.name}: {run.state}" for run in results.unfinished))
    return str(comparison.out)
