"""Which policy of a run somebody means who asks for the best, or the last, one."""

from __future__ import annotations

from flows.folder.export import find_policy
from flows.plan.run import RunPlan
from flows.report.status.state import best_evaluation, run_status
from flows.runtime.shell import shell_command
from mopd.errors import InputError
from storage.lookup import looking_once
from storage.runs import RunFolder


def best_round(folder: RunFolder) -> tuple[int, str]:
    """The round that trained the policy with the highest held-out mean@k, the earliest of equal ones, and why it.

    Raises InputError where no policy was evaluated, or the initial one is the best.
    """
    best = best_evaluation(run_status(folder)["evaluations"])
    if best is None:
        evaluated = shell_command("run", folder.address, set="evaluate.when=every_round")
        raise InputError(f"--round best: {folder.address} has no evaluation; {evaluated} makes some, or name the round")
    measured = f"held-out mean@{best['k']} of {100 * best['mean_at_k']:.1f} %, the highest"
    if best["policy"] == 0:
        raise InputError(f"--round best: the initial model has a {measured}; --round last, or the number of a round")
    return best["policy"] - 1, f"policy {best['policy']}, of round {best['policy'] - 1}: {measured}"


def last_round(folder: RunFolder) -> tuple[int, str]:
    """The newest round that has a policy. Raises InputError where none has, StorageError where that is damaged."""
    with looking_once():
        parts = reversed(RunPlan.of(folder).rounds)
        last = next((part.policy.round for part in parts if find_policy(folder, part)), None)
    if last is None:
        raise InputError(f"--round last: {folder.address} has no policy yet; run it first")
    return last, f"policy {last + 1}, of round {last}: the newest"
