"""Whether a run still goes well: each number of a policy, the bound it is held against, and what a breach leads to.

Gates look at a round's rollouts and contexts by themselves, before a teacher is paid for. Guards compare a policy with
the best one before it: the one with the highest held-out mean@k where all were evaluated, otherwise with the highest
pass rate of what it sampled; of equal ones the earlier. A row of the policy before has that one's number (`value`) and
the number that this was compared with (`reference`), so nothing earlier is read. What can't be computed is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any, Literal, NamedTuple

import numpy as np

from mopd.evaluate import EvaluationSummary
from mopd.groups import useful_groups
from mopd.measures.diversity import distinct, tokenize
from mopd.settings import Settings

Row = dict[str, Any]
Rows = list[Row]
Reference = tuple[float | None, int | None]
"""A number, and the policy that it is of."""

NOTHING: Reference = (None, None)
STALENESS = "staleness"
"""The gate whose bound is `train.max_staleness`: training refuses such a round."""


class Guard(NamedTuple):
    """What a number is of, and how it is held against its bound."""

    words: str
    kind: Literal["gate", "drop", "ratio"]
    """The number itself, how far it is below the reference, or what multiple of the reference it is."""
    at_least: bool = False
    """Whether the bound is a lower one."""


GUARDS = {
    "success_groups": Guard("groups with a success", "gate", at_least=True),
    "mixed_groups": Guard("groups with both outcomes", "gate", at_least=True),
    "contexts_cut": Guard("of the contexts are cut", "gate"),
    "verifier_errors": Guard("of the rollouts made their verifier fail", "gate"),
    STALENESS: Guard("rounds between sampling and training", "gate"),
    "accuracy": Guard("held-out mean@k", "drop"),
    "pass_rate": Guard("of the rollouts succeed", "drop"),
    "short_replies": Guard("tokens a reply", "ratio", at_least=True),
    "long_replies": Guard("tokens a reply", "ratio"),
    "entropy": Guard("nats a token", "ratio", at_least=True),
    "distinct_2": Guard("distinct-2 of a group", "ratio", at_least=True),
    "gradient_norm": Guard("gradient norm", "ratio"),
}


def trained_rows(
    settings: Settings,
    *,
    run: str,
    policy: int,
    evaluation: EvaluationSummary | None,
    gradient_norms: Sequence[Sequence[float | None]],
    before: tuple[Rows, Rows],
) -> Rows:
    """What training made of a policy: its held-out accuracy, and the gradients of the round that made it.

    `evaluation`: None where it isn't evaluated. `gradient_norms`: those of each round's updates, the latest last;
    empty for the initial policy. `before`: the rows of the policy before, of this function and of `sampled_rows`.
    """
    asked = _Asked(settings, run, policy)
    accuracy = _highest(before[0], "accuracy")
    norms = [_mean(round) for round in gradient_norms]
    earlier = [norm for norm in norms[:-1] if norm is not None]
    _, best = _best(*before)
    mean = evaluation.mean_at_k if evaluation else None
    return [
        asked.compare("accuracy", mean, accuracy, high=_high(evaluation)),
        asked.compare("gradient_norm", norms[-1] if norms else None, (median(earlier) if earlier else None, best)),
    ]


def sampled_rows(
    settings: Settings,
    *,
    run: str,
    policy: int,
    rollouts: Rows,
    verdicts: Rows,
    contexts: Rows,
    before: tuple[Rows, Rows],
) -> Rows:
    """What a policy samples in its round: the gates, then its replies against those of the best policy before it.

    Of `rollouts` `prompt_id`, `sample`, `policy_version`, `token_ids`, `behavior_logprobs` and `text` are read, of
    `verdicts` `prompt_id` and `success`, of `contexts` `truncated`. `before`: as of `trained_rows`.
    """
    asked = _Asked(settings, run, policy)
    pass_rate = _share([row["success"] for row in verdicts if row["success"] is not None])
    replies = _measure_replies(rollouts)
    return [
        asked.hold("success_groups", len(useful_groups(verdicts, "any_success"))),
        asked.hold("mixed_groups", len(useful_groups(verdicts, "mixed"))),
        asked.hold("contexts_cut", _share([row["truncated"] for row in contexts])),
        asked.hold("verifier_errors", _share([row["success"] is None for row in verdicts])),
        asked.hold(STALENESS, max((policy - int(row["policy_version"]) for row in rollouts), default=None)),
        asked.compare("pass_rate", pass_rate, _highest(before[1], "pass_rate")),
        *(asked.compare(name, value, _of_best(before, name)) for name, value in replies.items()),
    ]


def _measure_replies(rollouts: Rows) -> dict[str, float | None]:
    """Of a round's replies: their mean length; the mean of -log μ over the tokens that μ sampled, an unbiased estimate
    of its entropy; and the mean over groups of distinct-2."""
    length = _mean([len(row["token_ids"]) for row in rollouts])
    sampled = [np.asarray(row["behavior_logprobs"], dtype=np.float64) for row in rollouts]
    logprobs = np.concatenate(sampled) if sampled else np.zeros(0)
    groups: dict[str, Rows] = {}
    for row in sorted(rollouts, key=lambda row: (row["prompt_id"], int(row["sample"]))):
        groups.setdefault(row["prompt_id"], []).append(row)
    variety = [distinct([tokenize(str(row["text"])) for row in group], 2) for group in groups.values()]
    return {
        "short_replies": length,
        "long_replies": length,
        "entropy": float(-logprobs.mean()) if logprobs.size else None,
        "distinct_2": _mean(variety),
    }


class _Asked:
    """Makes the rows of one policy."""

    def __init__(self, settings: Settings, run: str, policy: int) -> None:
        self._settings, self._keys = settings, {"run": run, "round": policy}

    def hold(self, name: str, value: float | None) -> Row:
        """A gate: a number against its bound."""
        bound = self._settings.train.max_staleness if name == STALENESS else getattr(self._settings.guards, name)
        breached = value is not None and bound is not None and _is_beyond(name, value, bound)
        return self._row(name, value, NOTHING, bound, breached, _describe(name, value))

    def compare(self, name: str, value: float | None, reference: Reference, *, high: float | None = None) -> Row:
        """A guard: a number against that of the best policy before. `high`: an end of its interval, which must be
        below the reference too."""
        bound = getattr(self._settings.guards, name)
        why = _describe(name, value, reference)
        if value is None or reference[0] is None or bound is None:
            return self._row(name, value, reference, bound, False, why)
        if GUARDS[name].kind == "ratio":
            breached = reference[0] > 0 and _is_beyond(name, value, bound * reference[0])
        else:
            breached = reference[0] - value > bound and (value if high is None else high) < reference[0]
        return self._row(name, value, reference, bound, breached, why)

    def _row(
        self, name: str, value: float | None, reference: Reference, bound: float | None, breached: bool, why: str
    ) -> Row:
        action = "stop" if name == STALENESS else self._settings.guards.action(name)
        limit = "no bound" if bound is None else _describe_bound(name, bound)
        return {
            **self._keys,
            "guard": name,
            "value": None if value is None else float(value),
            "reference": reference[0],
            "reference_round": reference[1],
            "bound": None if bound is None else float(bound),
            "breached": breached,
            "action": action if breached else None,
            "why": f"{why}: {limit}",
        }


def _is_beyond(name: str, value: float, limit: float) -> bool:
    return value < limit if GUARDS[name].at_least else value > limit


def _describe(name: str, value: float | None, reference: Reference = NOTHING) -> str:
    """A number in words, beside what it is compared with."""
    guard = GUARDS[name]
    if value is None:
        return f"nothing to measure ({guard.words})"
    text = f"{_number(value)} {guard.words}"
    if guard.kind == "gate":
        return text
    if reference[0] is None:
        return f"{text}, and nothing to compare it with"
    whose = "the median before" if name == "gradient_norm" else f"policy {reference[1]}"
    if guard.kind == "drop":
        where = "below" if value <= reference[0] else "above"
        return f"{text}, {_number(abs(reference[0] - value))} {where} {_number(reference[0])} of {whose}"
    times = f"{_number(value / reference[0])} times " if reference[0] else ""
    return f"{text}, {times}{_number(reference[0])} of {whose}"


def _describe_bound(name: str, bound: float) -> str:
    of = {"gate": "", "drop": " below", "ratio": " times"}[GUARDS[name].kind]
    return f"at {'least' if GUARDS[name].at_least else 'most'} {_number(bound)}{of}"


def _number(value: float) -> str:
    return f"{value:.3g}"


def _best(trained: Rows, sampled: Rows) -> Reference:
    """The best policy up to that of these rows, by the number that decides it; none before the first."""
    accuracy = _find(trained, "accuracy")
    if accuracy is None or accuracy["value"] is None or (accuracy["round"] and accuracy["reference"] is None):
        return _highest(sampled, "pass_rate")  # not all were evaluated
    return _highest(trained, "accuracy")


def _highest(rows: Rows, name: str) -> Reference:
    """The highest number of a guard up to the policy of these rows; of equal ones the earlier."""
    row = _find(rows, name)
    if row is None or row["value"] is None:
        return NOTHING if row is None else (row["reference"], row["reference_round"])
    is_higher = row["reference"] is None or row["value"] > row["reference"]
    return (row["value"], row["round"]) if is_higher else (row["reference"], row["reference_round"])


def _of_best(before: tuple[Rows, Rows], name: str) -> Reference:
    """The number of the best policy: the one before, or the one that that one was compared with."""
    row = _find(before[1], name)
    if row is None:
        return NOTHING
    is_newest = row["reference"] is None or _best(*before)[1] == row["round"]
    return (row["value"], row["round"]) if is_newest else (row["reference"], row["reference_round"])


def _find(rows: Rows, name: str) -> Row | None:
    return next((row for row in rows if row["guard"] == name), None)


def _high(evaluation: EvaluationSummary | None) -> float | None:
    return evaluation.mean_interval[1] if evaluation and evaluation.mean_interval else None


def _share(flags: Sequence[bool]) -> float | None:
    return _mean([float(flag) for flag in flags])


def _mean(values: Sequence[float | None]) -> float | None:
    """Over those that there are; None of none."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
