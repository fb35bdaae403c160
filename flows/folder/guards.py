"""What the guards of a run say: which bounds its policies breached, and whether it may go on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from flows.runtime.exit_code import RunStopped
from flows.runtime.shell import shell_command
from mopd.measures.guards import STALENESS
from mopd.settings.guards import ACTIONS
from storage.manifests import looking_once
from storage.runs import RunFolder
from storage.shards import read_rows

Rows = list[dict[str, Any]]


def read_guards(folder: RunFolder, shards: Iterable[Shard]) -> Rows:
    """The rows of those shards of guards that are there."""
    with looking_once():
        there = [manifest for shard in shards if (manifest := shard.find(folder)) is not None]
    return [row for manifest in there for row in read_rows(folder, manifest)]


def breaches(rows: Rows) -> Rows:
    """Those that were breached, the strongest action first."""
    breached = [row for row in rows if row["breached"]]
    return sorted(breached, key=lambda row: -ACTIONS.index(row["action"]))


def stops(row: dict[str, Any]) -> bool:
    """Whether a breach ends the run."""
    return bool(row["action"] == "stop")


def breach_line(row: dict[str, Any]) -> str:
    """A breach in words."""
    return f"{row['guard']} ({row['action']}): {row['why']}"


def standing_version(folder: RunFolder, plan: RunPlan) -> int:
    """The policy that the run stands at: the newest one. What earlier ones breached, it has gone on from."""
    with looking_once():
        return next(
            (number for number in range(len(plan.rounds)) if _stands_at(folder, plan, number)), len(plan.rounds)
        )


def raise_if_stopped(folder: RunFolder, plan: RunPlan, version: int) -> None:
    """Raises RunStopped where the run stands at that policy, and a breach of it asks for an end."""
    with looking_once():
        rows = read_guards(folder, plan.guards_needed(folder, version)) if _stands_at(folder, plan, version) else []
    standing = breaches(rows)
    if standing and stops(standing[0]):
        raise RunStopped(stop_line(folder, standing[0]))


def _stands_at(folder: RunFolder, plan: RunPlan, version: int) -> bool:
    return version == len(plan.rounds) or plan.rounds[version].policy.find(folder) is None


def stop_line(folder: RunFolder, row: dict[str, Any]) -> str:
    """Which guard ended the run, and what can be done."""
    name = row["guard"]
    loosened = f"train.max_staleness={row['value']:.0f}" if name == STALENESS else f"guards.on_breach_of.{name}=warn"
    return (
        f"{folder.address}: stopped at policy {row['round']} by {name}: {row['why']}; "
        f"{shell_command('run', folder.address, set=loosened)} goes on all the same, "
        f"{shell_command('export', folder.address, 'DIR', round='best')} has the best policy"
    )
