"""How well a teacher's scores agree with the verifier, within one group.

Which numbers: the teacher-signal analysis of arXiv 2605.12652. A metric is one function of `METRICS`; adding one
touches no caller. What a group can't answer, such as the AUC of one outcome, is None, never 0. Shapes: N rollouts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, Any]
Metric = float | None


@dataclass(frozen=True)
class Scored:
    """The N rollouts of a group that have both a score and a verdict."""

    scores_N: Floats
    """Mean teacher log-probability of a rollout's tokens, in nats."""
    gains_N: Floats
    """Mean of teacher minus policy log-probability of its tokens, in nats: where training pushes it."""
    lengths_N: Floats
    """Its tokens."""
    rewards_N: Floats
    successes_N: Floats
    """Of bool."""


def spearman(a_N: Floats, b_N: Floats) -> Metric:
    """Spearman's rank correlation, ties by average ranks (scipy.stats.spearmanr); None where either is constant."""
    from scipy.stats import spearmanr  # type: ignore[import-untyped]

    return None if is_constant(a_N) or is_constant(b_N) else float(spearmanr(a_N, b_N).statistic)


def kendall_tau_b(scores_N: Floats, rewards_N: Floats) -> Metric:
    """Kendall's tau-b, which corrects for ties (scipy.stats.kendalltau); None where either is constant."""
    from scipy.stats import kendalltau

    constant = is_constant(scores_N) or is_constant(rewards_N)
    return None if constant else float(kendalltau(scores_N, rewards_N, variant="b").statistic)


def goodman_kruskal_gamma(scores_N: Floats, rewards_N: Floats) -> Metric:
    """(C - D) / (C + D) over pairs, C in the same order, D in opposite order, ties in neither; None without C and D."""
    concordant, discordant, _ = _pairs(scores_N, rewards_N)
    return (concordant - discordant) / (concordant + discordant) if concordant + discordant else None


def pairwise_accuracy(scores_N: Floats, rewards_N: Floats) -> Metric:
    """Share of pairs of unequal rewards whose higher reward has the higher score; None without such a pair.

    Equal scores don't tell the two apart and count as wrong.
    """
    concordant, _, unequal = _pairs(scores_N, rewards_N)
    return concordant / unequal if unequal else None


def success_auc(scores_N: Floats, successes_N: Floats) -> Metric:
    """Probability that a success outscores a failure, ties count half: Mann-Whitney's U over the number of pairs.

    None for one outcome. Of groups this small, sklearn.metrics.roc_auc_score says the same, a hundred times slower.
    """
    if is_constant(successes_N):
        return None
    margins = scores_N[successes_N][:, None] - scores_N[~successes_N]
    return float(((margins > 0) + 0.5 * (margins == 0)).mean())


def point_biserial(scores_N: Floats, successes_N: Floats) -> Metric:
    """Pearson correlation of score and success (scipy.stats.pointbiserialr); None where either is constant."""
    from scipy.stats import pointbiserialr

    constant = is_constant(scores_N) or is_constant(successes_N)
    return None if constant else float(pointbiserialr(successes_N, scores_N).statistic)


def brier_sigmoid(scores_N: Floats, successes_N: Floats) -> float:
    """Brier score (0 best) of sigmoid(score) as probability of success: the mean squared error.

    The score is a log-probability, hence at most 0, and its sigmoid at most 1/2: the number says more of the scale of
    scores than of their order.
    """
    from scipy.special import expit  # type: ignore[import-untyped]

    return _brier(expit(scores_N), successes_N)


def brier_minmax(scores_N: Floats, successes_N: Floats) -> Metric:
    """Brier score (0 best) of the score between the group's lowest (0) and highest (1); None for equal scores."""
    if is_constant(scores_N):
        return None
    low, high = scores_N.min(), scores_N.max()
    return _brier((scores_N - low) / (high - low), successes_N)


def top1_hit_rate(scores_N: Floats, rewards_N: Floats) -> float:
    """Whether the rollout of the highest score has the group's highest reward, 0 or 1.

    Where several share the highest score, the share of them that has it. Equal rewards always hit: read it over mixed
    groups.
    """
    top_N = scores_N == scores_N.max()
    return float((rewards_N[top_N] == rewards_N.max()).mean())


METRICS: dict[str, Callable[[Scored], Metric]] = {
    "spearman": lambda group: spearman(group.scores_N, group.rewards_N),
    "kendall_tau_b": lambda group: kendall_tau_b(group.scores_N, group.rewards_N),
    "goodman_kruskal_gamma": lambda group: goodman_kruskal_gamma(group.scores_N, group.rewards_N),
    "pairwise_accuracy": lambda group: pairwise_accuracy(group.scores_N, group.rewards_N),
    "success_auc": lambda group: success_auc(group.scores_N, group.successes_N),
    "point_biserial": lambda group: point_biserial(group.scores_N, group.successes_N),
    "brier_sigmoid": lambda group: brier_sigmoid(group.scores_N, group.successes_N),
    "brier_minmax": lambda group: brier_minmax(group.scores_N, group.successes_N),
    "top1_hit_rate": lambda group: top1_hit_rate(group.scores_N, group.rewards_N),
    "gain_auc": lambda group: success_auc(group.gains_N, group.successes_N),
    "length_auc": lambda group: success_auc(-group.lengths_N, group.successes_N),
    "length_spearman": lambda group: spearman(group.scores_N, group.lengths_N),
}
"""By column. `gain_auc`: the AUC of what training pushes towards; `length_auc`: the AUC that shortness alone would get;
`length_spearman`: how the score goes with length."""


def metrics_of(group: Scored) -> dict[str, Metric]:
    """All metrics of a group, in the order of METRICS; all None for fewer than two rollouts, which have no order."""
    if len(group.scores_N) < 2:
        return dict.fromkeys(METRICS)
    return {name: metric(group) for name, metric in METRICS.items()}


def reasons_of(group: Scored) -> list[str]:
    """Why metrics of a group are None; empty where none is."""
    if len(group.scores_N) < 2:
        return ["fewer than two scored rollouts"]
    constant = {
        "one outcome": group.successes_N,
        "one reward": group.rewards_N,
        "equal scores": group.scores_N,
        "equal lengths": group.lengths_N,
    }
    return [reason for reason, values_N in constant.items() if is_constant(values_N)]


def is_constant(values_N: Floats) -> bool:
    """Whether all values are the same."""
    return bool((values_N == values_N[0]).all())


def _pairs(scores_N: Floats, rewards_N: Floats) -> tuple[int, int, int]:
    """Pairs in the same order by score and by reward, in opposite order, and of unequal rewards."""
    first, second = np.triu_indices(len(scores_N), k=1)
    by_reward = np.sign(rewards_N[first] - rewards_N[second])
    agreement = np.sign(scores_N[first] - scores_N[second]) * by_reward
    return int((agreement > 0).sum()), int((agreement < 0).sum()), int((by_reward != 0).sum())


def _brier(probabilities_N: Floats, successes_N: Floats) -> float:
    return float(np.square(probabilities_N - successes_N).mean())
