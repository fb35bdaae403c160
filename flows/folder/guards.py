"""What the guards of a run say: which bounds its policies breached, and whether, and from where, it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flows.folder.replay.rerun import redo
from flows.folder.replay.rollbacks import ROLLED_BACK, rollbacks
from flows.plan.guards import needed_guards
from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from flows.runtime.exit_code import RunStopped
from flows.runtime.shell import shell_command
from mopd.measures.guards import STALENESS
from mopd.settings.guards import ACTIONS
from storage.lookup import looking_once
from storage.runs import RunFolder
from storage.shards import read_rows

Row = dict[str, Any]
Rows = list[Row]


def read_guards(folder: RunFolder, shards: Iterable[Shard]) -> Rows:
    """The rows of those shards of guards that are there."""
    with looking_once():
        there = [manifest for shard in shards if (manifest := shard.find(folder)) is not None]
    return [row for guards in there for row in read_rows(folder, guards)]


def breaches(folder: RunFolder, shards: Iterable[Shard]) -> Rows:
    """The breaches of the same, the strongest action first."""
    return sort_breaches(row for row in read_guards(folder, shards) if row["breached"])


def sort_breaches(rows: Iterable[Row]) -> Rows:
    """Breaches, the strongest action first."""
    return sorted(rows, key=lambda row: -ACTIONS.index(row["action"]))


def breach_line(row: Row) -> str:
    """A breach in words."""
    return f"{row['guard']} ({row['action']}): {row['why']}"


def standing_version(folder: RunFolder, plan: RunPlan) -> int:
    """The policy that the run stands at: the newest one. What earlier ones breached, it has gone on from."""
    with looking_once():
        versions = range(len(plan.rounds) + 1)
        return next(version for version in versions if _stands_at(folder, plan, version))


def holding_breach(folder: RunFolder, plan: RunPlan, version: int) -> Row | None:
    """Of a policy that the run stands at the breach for which it doesn't go on from there; None where it does."""
    with looking_once():
        shards = needed_guards(plan, folder, version) if _stands_at(folder, plan, version) else []
    return next((row for row in breaches(folder, shards) if row["action"] != "warn"), None)


def stopping_breach(folder: RunFolder, plan: RunPlan, version: int) -> Row | None:
    """The breach for which the run ends at that policy; None where it goes on, from there or from another one."""
    row = holding_breach(folder, plan, version)
    return None if row is None or _leads_back(folder, plan, row) else row


def raise_if_stopped(folder: RunFolder, plan: RunPlan, version: int) -> None:
    """Raises RunStopped where the run ends at that policy."""
    row = stopping_breach(folder, plan, version)
    if row is not None:
        raise RunStopped(_stop_line(folder, row))


def raise_if_ended(folder: RunFolder) -> None:
    """Raises RunStopped where the run ends at the policy that it stands at."""
    plan = RunPlan.of(folder)
    raise_if_stopped(folder, plan, standing_version(folder, plan))


def roll_back(folder: RunFolder, say: Callable[[str], None]) -> RunFolder | None:
    """The run as it goes on from its best policy, where a breach asks for that; None where nothing does.

    Whoever calls this holds the run. What it gives up is superseded, not removed. Raises RunStopped where the run ends.
    """
    plan = RunPlan.of(folder)
    version = standing_version(folder, plan)
    raise_if_stopped(folder, plan, version)
    row = holding_breach(folder, plan, version)
    if row is None:
        return None
    settings, best = plan.settings, row["reference_round"]
    rate = settings.train.learning_rate * settings.guards.rollback.learning_rate_factor
    why = f"{ROLLED_BACK}policy {version}: {row['guard']}: {row['why']}"
    after = redo(folder, best, "train", [f"train.learning_rate={rate!r}"], why=why)
    say(f"{f'policy {version}':<10} {'guard':<10} back to policy {best}, and on with train.learning_rate={rate!r}")
    return after


def _stands_at(folder: RunFolder, plan: RunPlan, version: int) -> bool:
    return version == len(plan.rounds) or plan.rounds[version].policy.find(folder) is None


def _leads_back(folder: RunFolder, plan: RunPlan, row: Row) -> bool:
    """Whether a breach leads to a rollback: it asks for that, and there is a policy to go back to, not too often."""
    is_back = row["action"] == "rollback" and row["reference_round"] is not None
    return is_back and len(rollbacks(folder)) < plan.settings.guards.rollback.most


def _stop_line(folder: RunFolder, row: Row) -> str:
    """Which guard ended the run, and what can be done."""
    name, before = row["guard"], ""
    if row["action"] == "rollback":
        before = f" after {len(rollbacks(folder))} rollbacks"
    loosened = f"train.max_staleness={row['value']:.0f}" if name == STALENESS else f"guards.on_breach_of.{name}=warn"
    best = row["reference_round"]
    exported = f", {shell_command('export', folder.address, 'DIR', round=best - 1)} has the best policy" if best else ""
    return (
        f"{folder.address}: stopped at policy {row['round']} by {name}{before}: {row['why']}; "
        f"{shell_command('run', folder.address, set=loosened)} goes on all the same{exported}"
    )
