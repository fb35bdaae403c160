"""One table a stage in the Prefect UI: what each shard holds and how fast it was made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flows.plan.shard import Shard
from flows.plan.stage import STAGES, Stage
from flows.report.text import Cell, percent
from flows.runtime.console import makers_text
from storage.lookup import looking_once
from storage.runs import RunFolder
from storage.shards import Manifest

COLUMNS = ("shard", "rows", "seconds", "tokens", "tokens/s")


def write_artifact(stage: Stage, where: str, manifests: list[Manifest]) -> None:
    """Publish the table of a stage: one row a shard, then all of them."""
    from prefect.artifacts import create_table_artifact  # what counts rows of manifests needs no Prefect

    rows = [describe(str(manifest.shard), [manifest]) for manifest in manifests]
    if len(rows) > 1:
        rows.append(describe("all", manifests))
    create_table_artifact(key=f"mopd-{stage.name}", table=rows, description=f"{stage.name}, {where}")


def write_guards(rows: list[dict[str, Any]], where: str) -> None:
    """Publish what was asked of a policy, and what was answered."""
    from prefect.artifacts import create_table_artifact

    table = [{name: value for name, value in row.items() if name not in ("run", "round")} for row in rows]
    create_table_artifact(key="mopd-guard", table=table, description=f"guard, {where}")


def describe(name: str, manifests: list[Manifest]) -> dict[str, Cell]:
    """Sizes and rates of some shards of one table, and what is particular to it."""
    rows = sum(manifest.rows for manifest in manifests)
    seconds = total(manifests, "seconds")
    table: dict[str, Cell] = {"shard": name, "rows": rows, "seconds": round(seconds, 2)}
    if any("tokens" in manifest.info for manifest in manifests):
        tokens = int(total(manifests, "tokens"))
        table |= {"tokens": tokens, "tokens/s": round(tokens / seconds, 1) if seconds else None}
    return table | _particular(manifests, rows) | {"made by": _makers(manifests)}


def _makers(manifests: list[Manifest]) -> str | None:
    """Which replica on which host made a shard, or how many of them several ones."""
    infos = [manifest.info for manifest in manifests]
    if len(infos) == 1 and "host" in infos[0]:
        return f"{infos[0].get('replica', 'a process')} on {infos[0]['host']}"
    return makers_text(infos) or None


def find_manifests(folder: RunFolder, shards: Iterable[Shard]) -> list[Manifest]:
    """The manifests of those shards that are committed."""
    with looking_once():
        return [manifest for shard in shards if (manifest := shard.find(folder)) is not None]


def total(manifests: list[Manifest], name: str) -> float:
    """The sum of one number of the manifests' info, 0 where it is absent."""
    return sum(manifest.info.get(name) or 0 for manifest in manifests)


def _particular(manifests: list[Manifest], rows: int) -> dict[str, Cell]:
    """What only some stages count."""
    counted = manifests[0].info
    table: dict[str, Cell] = {}
    if "successes" in counted:
        nulls = int(total(manifests, "nulls"))
        table = {"pass rate": percent(int(total(manifests, "successes")), rows - nulls), "nulls": nulls}
    columns = STAGES[manifests[0].table].columns
    table |= {heading: int(total(manifests, name)) for heading, name in columns.items()}
    attempts = [int(manifest.info.get("attempts", 1)) for manifest in manifests]
    return table | {"failed attempts": sum(attempts) - len(attempts)}
