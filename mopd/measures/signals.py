"""Does the teacher see what the verifier sees? Scores of rollouts against their verdicts, prompt by prompt.

A rollout's score is the mean log-probability that the teacher, under its context, gives the rollout's tokens. Each
group has two rows: of all its rollouts, and of those alone whose context had every section that the variant asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mopd.errors import InputError
from mopd.evaluate import prompt_mean
from mopd.measures.signal_metrics import Scored, metrics_of, reasons_of
from mopd.settings.condition import VariantSettings
from mopd.settings.variants import ControlVariant

Row = dict[str, Any]
Rows = list[Row]

ROW_POPULATIONS = ("all", "sections")
"""All rollouts of a group, and those whose context had all sections asked for."""

SECTIONS_ASKED: dict[str, frozenset[str]] = {
    "none": frozenset(),
    "success": frozenset({"first_success"}),
    "positive": frozenset({"first_success", "second_success"}),
    "contrastive": frozenset({"first_success", "second_success", "failure"}),
    "failure": frozenset({"failure"}),
    "feedback": frozenset({"feedback"}),
    "reference": frozenset({"reference"}),
    "summary": frozenset({"summary"}),
}
"""Roles that a full context shows, by the variant's kind. A control shows as many peers as what it imitates has."""


def signal_rows(verdicts: Rows, contexts: Rows, scores: Rows, variant: VariantSettings) -> Rows:
    """A row for each group that has contexts, and each of ROW_POPULATIONS, in the order of `contexts`.

    The rows of the three tables are of one shard, with whole groups; a context has a verdict and a score. Rollouts
    without a score (an empty reply) or without a verdict (its verifier crashed) stay out of the metrics; `num_scored`
    counts the others. Read are the keys and: of verdicts `reward`, `success`; of contexts `peers`, `num_tokens`,
    `truncated`; of scores `teacher`, `teacher_version`, `mean_teacher_logprob`, `teacher_logprobs`,
    `proximal_logprobs`. Raises InputError for a score that is not a finite number.
    """
    judged, contexts_by_prompt = _by_prompt(verdicts), _by_prompt(contexts)
    score_of = {(row["prompt_id"], row["sample"]): row for row in scores}
    rows = []
    for prompt_id, group in contexts_by_prompt.items():
        verdict_of = {verdict["sample"]: verdict for verdict in judged.get(prompt_id, [])}
        missing = [row["sample"] for row in group if (prompt_id, row["sample"]) not in score_of]
        assert len(group) == len(verdict_of) and not missing, f"the group of prompt {prompt_id} is not whole"
        rollouts = [
            _Rollout(verdict_of[row["sample"]], row, score_of[prompt_id, row["sample"]], has_all_sections(row, variant))
            for row in group
        ]
        rows += [_row(rollouts, population, variant) for population in ROW_POPULATIONS]
    return rows


def has_all_sections(context: Row, variant: VariantSettings) -> bool:
    """Whether a row of contexts shows every section that its variant asks for: in its `peers`, not dropped.

    Of summaries, one is enough. Feedback is asked for where it is `always` shown. A control is complete with as many
    peers as a full context of the imitated variant, whether they match its blocks or its tokens; a cut peer counts.
    """
    roles = [peer["role"] for peer in context["peers"]]
    if isinstance(variant, ControlVariant):
        return len(roles) >= len(SECTIONS_ASKED[variant.imitates])
    feedback = {"feedback"} if variant.feedback_when == "always" else set()
    return SECTIONS_ASKED[variant.kind] | feedback <= set(roles)


@dataclass(frozen=True)
class _Rollout:
    """What the tables say of one rollout."""

    verdict: Row
    context: Row
    score: Row
    complete: bool
    """Whether its context has all sections."""

    @property
    def is_scored(self) -> bool:
        """Whether it has both a score and a verdict."""
        known = (self.score["mean_teacher_logprob"], self.verdict["success"], self.verdict["reward"])
        return None not in known

    @property
    def num_tokens(self) -> int:
        """Tokens of the reply."""
        return len(self.score["teacher_logprobs"])

    def gain(self) -> float:
        """Mean of teacher minus policy log-probability of the reply's tokens, in nats."""
        teacher_T, policy_T = (
            np.asarray(self.score[name], dtype=np.float64) for name in ("teacher_logprobs", "proximal_logprobs")
        )
        return float((teacher_T - policy_T).mean())


def _row(group: Sequence[_Rollout], population: str, variant: VariantSettings) -> Row:
    """The row of one population of a group; `success_share` and `sections_share` are of the whole group."""
    chosen = [rollout for rollout in group if rollout.complete or population == "all"]
    scored = _scored([rollout for rollout in chosen if rollout.is_scored])
    reasons = reasons_of(scored) if chosen else ["no rollout with the sections"]
    first = group[0]
    return {
        **{key: first.context[key] for key in ("run", "round", "prompt_id")},
        "population": population,
        "variant": variant.kind,
        **{key: first.score[key] for key in ("teacher", "teacher_version")},
        "num_rollouts": len(group),
        "num_scored": len(scored.scores_N),
        "num_successes": int(scored.successes_N.sum()),
        "success_share": prompt_mean([rollout.verdict["success"] for rollout in group]),
        **metrics_of(scored),
        "context_tokens": _mean([rollout.context["num_tokens"] for rollout in chosen]),
        "response_tokens": _mean([rollout.num_tokens for rollout in chosen]),
        "cut_share": _mean([rollout.context["truncated"] for rollout in chosen]),
        "sections_share": _mean([rollout.complete for rollout in group]),
        "undefined": "; ".join(reasons) or None,
    }


def _scored(rollouts: Sequence[_Rollout]) -> Scored:
    """The numbers of rollouts that have a score and a verdict."""
    group = Scored(
        scores_N=np.asarray([rollout.score["mean_teacher_logprob"] for rollout in rollouts], dtype=np.float64),
        gains_N=np.asarray([rollout.gain() for rollout in rollouts], dtype=np.float64),
        lengths_N=np.asarray([rollout.num_tokens for rollout in rollouts], dtype=np.float64),
        rewards_N=np.asarray([rollout.verdict["reward"] for rollout in rollouts], dtype=np.float64),
        successes_N=np.asarray([rollout.verdict["success"] for rollout in rollouts], dtype=bool),
    )
    for rollout, score, gain in zip(rollouts, group.scores_N, group.gains_N, strict=True):
        if not np.isfinite([score, gain]).all():
            raise InputError(
                f"scores, prompt {rollout.score['prompt_id']}, sample {rollout.score['sample']}: mean_teacher_logprob "
                f"{score}, above the policy's by {gain}: not finite; look at the teacher's weights, or score it in fp32"
            )
    return group


def _by_prompt(rows: Rows) -> dict[str, Rows]:
    groups: dict[str, Rows] = {}
    for row in rows:
        groups.setdefault(row["prompt_id"], []).append(row)
    return groups


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
