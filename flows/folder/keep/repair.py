"""Setting aside what is damaged in a run, so that the next start makes it again, after a look at whether it can."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from flows.folder.keep.soundness import Problem, Soundness, place_of, shard_of
from flows.folder.open import check_inputs_unchanged
from flows.plan.run import DIGESTS, RunPlan
from mopd.models.teachers import has_weights
from storage.aside import set_aside
from storage.lookup import data_name, scan
from storage.manifests import POLICIES, Manifest
from storage.policies import has_trainer_state
from storage.runs import RunFolder

ASK_POLICY = frozenset(("rollouts", "scores", "answers", "evaluations", POLICIES))
"""Tables that are made by the policy that their round begins with."""


@dataclass(frozen=True)
class Repair:
    """What is done about the problems of a run."""

    aside: list[Problem]
    """What is set aside, with the data that it names."""
    trained_again: list[Problem]
    """Whole policies that are set aside too: what is made again begins with what was removed beside, or of, them."""
    left: list[Problem]
    """What can't be mended here; the reason says why."""
    is_made_again: bool
    """Whether the next start has something to make."""


def plan_repair(folder: RunFolder, soundness: Soundness) -> Repair:
    """What can be done. Nothing is touched.

    Raises InputError where model or tasks of the run changed since: then no shard of it can be made again.
    """
    aside = [problem for problem in soundness.damaged if problem.aside]
    left = [problem for problem in soundness.damaged if not problem.aside]
    bad = {problem.aside for problem in aside}
    again: dict[str, Problem] = {}
    for problem in [*aside, *soundness.lost]:
        policies = _find_forgotten(folder, problem, bad)
        taken = [policy for policy in policies if policy.home]
        if taken:
            reason = (
                f"{problem.reason}; {data_name(folder, taken[0])} would have to be trained again for it: fork again"
            )
            left.append(Problem(problem.file, reason))
            aside = [one for one in aside if one != problem]
        else:
            again |= {one.aside: one for one in (_trained_again(folder, policy, problem) for policy in policies)}
    is_made_again = bool(soundness.lost or any(problem.again for problem in aside))
    if is_made_again and folder.document.keys() >= set(DIGESTS):
        plan = RunPlan.of(folder)
        check_inputs_unchanged(folder, plan, plan.settings)
    return Repair(aside, list(again.values()), left, is_made_again)


def mend(folder: RunFolder, repair: Repair) -> str:
    """Set aside what a repair is about; returns the folder that has it, "" where it is nothing. The caller holds the
    run."""
    reasons: dict[str, list[str]] = {}
    for problem in [*repair.aside, *repair.trained_again]:
        reasons.setdefault(problem.aside, []).append(f"{problem.file}: {problem.reason}")
    return set_aside(folder, reasons) if reasons else ""


def _find_forgotten(folder: RunFolder, problem: Problem, bad: Collection[str]) -> list[Manifest]:
    """Whole policies without which a shard can't be made again as they are now: their trainer state, or weights, were
    removed. Newest first; those before whose own are there aren't trained again, nor those that are damaged anyway.
    None for what isn't made again."""
    place = shard_of(problem.aside or problem.file) if problem.again else None
    if place is None or place[0] not in ASK_POLICY or not folder.document.keys() >= set(DIGESTS):
        return []
    table, version, _ = place
    teacher = RunPlan.of(folder).at(version).settings.train.teacher
    wants_state = table == POLICIES or (table == "scores" and has_weights(teacher))
    forgotten: list[Manifest] = []
    while version and (policy := _find_policy(folder, version, bad)) is not None:
        if not policy.removed and not (wants_state and not has_trainer_state(folder, policy)):
            break
        forgotten.append(policy)
        wants_state, version = True, version - 1
    return forgotten


def _find_policy(folder: RunFolder, version: int, bad: Collection[str]) -> Manifest | None:
    policies, _ = scan(folder, POLICIES, version - 1)
    return next((policy for policy in policies if policy.name_in(folder) not in bad), None)


def _trained_again(folder: RunFolder, policy: Manifest, problem: Problem) -> Problem:
    wanted = problem.again or problem.file
    reason = f"whole, but what {wanted} begins with was removed (train.keep_trainer_states, or mopd gc)"
    return Problem(policy.file, reason, policy.name_in(folder), place_of(POLICIES, policy.round, 0))
