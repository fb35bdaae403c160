"""One table a stage in the Prefect UI: what each shard holds and how fast it was made."""

from __future__ import annotations

from typing import Any

from flows.text import Cell, percent
from storage.schemas import base_table
from storage.shards import Manifest

COLUMNS = ("shard", "rows", "seconds", "tokens", "tokens/s")


def write_artifact(stage: str, where: str, manifests: list[Manifest]) -> None:
    """Publish the table of a stage: one row a shard, then all of them."""
    from prefect.artifacts import create_table_artifact  # what counts rows of manifests needs no Prefect

    rows = [describe(str(manifest.shard), [manifest]) for manifest in manifests]
    if len(rows) > 1:
        rows.append(describe("all", manifests))
    create_table_artifact(key=f"mopd-{stage}", table=rows, description=f"{stage}, {where}")


def describe(name: str, manifests: list[Manifest]) -> dict[str, Cell]:
    """Sizes and rates of some shards of one table, and what is particular to it."""
    rows = sum(manifest.rows for manifest in manifests)
    seconds = total(manifests, "seconds")
    table: dict[str, Cell] = {"shard": name, "rows": rows, "seconds": round(seconds, 2)}
    if any("tokens" in manifest.info for manifest in manifests):
        tokens = int(total(manifests, "tokens"))
        table |= {"tokens": tokens, "tokens/s": round(tokens / seconds, 1) if seconds else None}
    return table | _particular(manifests, rows)


def total(manifests: list[Manifest], name: str) -> float:
    """The sum of one number of the manifests' info, 0 where it is absent."""
    return sum(manifest.info.get(name) or 0 for manifest in manifests)


def _particular(manifests: list[Manifest], rows: int) -> dict[str, Cell]:
    def count(name: str) -> int:
        return int(total(manifests, name))

    judged = {"pass rate": percent(count("successes"), rows - count("nulls")), "nulls": count("nulls")}
    columns: dict[str, dict[str, Any]] = {
        "rollouts": {"cut at the longest response": count("cut")},
        "verdicts": {
            **judged,
            "groups": count("groups"),
            "groups with both outcomes": count("mixed"),
        },
        "contexts": {"with peer sections": count("with_sections"), "cut contexts": count("cut")},
        "scores": {"with distillation loss": count("distilled")},
        "policies": {"steps": count("steps")},
        **dict.fromkeys(("evaluations", "answers"), judged),
    }
    return columns.get(base_table(manifests[0].table), {})
