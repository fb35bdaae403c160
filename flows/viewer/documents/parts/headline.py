"""What a run tells in a few sentences, each with what it may not hide: intervals, and how many prompts they are of."""

from __future__ import annotations

from collections.abc import Iterator

from flows.plan.run import RunPlan
from flows.report.status.state import best_evaluation, judged_rows
from flows.report.status.text import evaluation_table
from flows.runtime.console import clock
from flows.viewer.documents.parts.stage_times import stage_seconds
from flows.viewer.documents.viewed import Json, ViewedRun
from mopd.measures.comparison import outcome_of, paired_difference
from mopd.measures.estimate import Estimate, Values


def headline(run: ViewedRun) -> list[str]:
    """The sentences; none of what there isn't yet."""
    status = run.status
    if status is None:
        return []
    rounds = [entry for entry in status["rounds"] if entry["pass_rate"] is not None]
    return [
        *_heldout(run, evaluated_policies(run)),
        *_training(rounds),
        *_teacher([entry for entry in rounds if entry["signals"] and entry["signals"]["success_auc"] is not None]),
        *_guards(status),
        *_time(status),
    ]


def heldout_means(run: ViewedRun, policy: int) -> Values:
    """Of each prompt that a policy was asked, the share of its replies that were right; as `mopd status` reads them."""
    part = RunPlan.of(run.folder).shown_evaluations(run.folder)[policy]
    return outcome_of(judged_rows(run.folder, part), 1).metrics["mean"]


def evaluated_policies(run: ViewedRun) -> list[Json]:
    """What the status says of those that were evaluated to the end."""
    evaluations = run.status["evaluations"] if run.status else []
    return [entry for entry in evaluations if entry["mean_at_k"] is not None]


def _heldout(run: ViewedRun, evaluated: list[Json]) -> Iterator[str]:
    if not evaluated:
        return
    first, last = evaluated[0], evaluated[-1]
    name = f"Held-out mean@{first['k']}"
    if first is last:
        yield f"{name} of policy {first['policy']} {mean_text(first)}; no other policy has been evaluated."
        return
    rounds = f"{last['policy'] - first['policy']} rounds" if last["policy"] - first["policy"] > 1 else "1 round"
    before, after = ({0: heldout_means(run, entry["policy"])} for entry in (first, last))
    difference = paired_difference(after, before, **RunPlan.of(run.folder).settings.draws)
    told = difference.text("+.1f", 100, " points")
    told_apart = "" if first["k"] == last["k"] else f" (mean@{last['k']})"
    yield (
        f"{name} {mean_text(first)} → {mean_text(last)}{told_apart} over {rounds} of training: {told}, paired over "
        f"{difference.num} prompts."
    )
    best = best_evaluation(evaluated)
    if best is not None and best["mean_at_k"] > last["mean_at_k"] and best is not first:
        yield f"The best policy is {best['policy']}: {mean_text(best)}."


def mean_text(entry: Json) -> str:
    """12.5 % [7.3, 18.2], as the table of held-out results has it."""
    return str(evaluation_table([entry]).shown()[0][f"mean@{entry['k']}"])


def _training(rounds: list[Json]) -> Iterator[str]:
    if not rounds:
        return
    first, last = rounds[0], rounds[-1]
    if first is last:
        yield f"On training prompts {_rate(first)} of replies right; {_groups(first)} groups had both outcomes."
        return
    places = f"from round {first['round']} to {last['round']}"
    yield (
        f"On training prompts, {places}: {_rate(first)} → {_rate(last)} of replies right; "
        f"{_groups(first)} → {_groups(last)} groups with both outcomes."
    )


def _rate(entry: Json) -> str:
    return f"{100 * entry['pass_rate']:.1f} %"


def _groups(entry: Json) -> str:
    return f"{entry['mixed_groups']} of {entry['groups']}"


def _teacher(rounds: list[Json]) -> Iterator[str]:
    if not rounds:
        return
    last = rounds[-1]
    signals, control = last["signals"], last["signals"]["control"]
    auc = Estimate.of(signals["success_auc"], signals["interval"], signals["num_prompts"]).text(".2f")
    told = f"In round {last['round']} the teacher told right replies from wrong ones with an AUC of {auc} (0.5: chance)"
    if control and control["success_auc"] is not None and control["own_success_auc"] is not None:
        prompts = "prompt" if control["num_prompts"] == 1 else f"{control['num_prompts']} prompts"
        told += f"; on the {prompts} of its control ({control['variant']}) "
        told += f"{control['own_success_auc']:.2f}, the control {control['success_auc']:.2f}"
    yield f"{told}."


def _guards(status: Json) -> Iterator[str]:
    breaches = status["guards"]["breaches"]
    if breaches:
        what = "1 breach" if len(breaches) == 1 else f"{len(breaches)} breaches"
        yield f"{what} of guards, the last of {breaches[-1]['guard']}."


def _time(status: Json) -> Iterator[str]:
    """What took longest."""
    seconds = stage_seconds(status)
    if total := sum(seconds.values()):
        name, most = max(seconds.items(), key=lambda item: item[1])
        yield f"{clock(total)} of work, {100 * most / total:.0f} % of it {name}."
