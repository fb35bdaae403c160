"""Probe: how much the student gains when it answers again with a peer context, and which context gains most.

The student under a context is its own teacher; the gap between it and the student alone, before any training, is what
training can pass on (arXiv 2605.30070 reports that the gain of training grows with it, linearly).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mopd.engines import Engine, Request, Sampling
from mopd.engines.stops import reply_text
from mopd.evaluate import outcomes_by_prompt, prompt_mean
from mopd.generate import rollout_seed
from mopd.measures.estimate import Estimate, estimate_mean
from mopd.models.chat_template import ChatTemplate
from mopd.settings import GenerateSettings

Row = dict[str, Any]
Rows = list[Row]
ANSWER_COLUMNS = (
    *("run", "round", "prompt_id", "sample", "variant", "policy_version", "context_digest"),
    *("token_ids", "text", "finish_reason", "seed"),
)


def answer(
    contexts: Rows,
    engine: Engine,
    template: ChatTemplate,
    settings: GenerateSettings,
    *,
    seed: int,
    policy_version: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Rows:
    """One reply to each row of `contexts`, sampled as the rollouts were: rows with ANSWER_COLUMNS, in their order.

    Each is sampled with the seed of its rollout, so that contexts are compared under the same randomness, and the
    prompt alone gives the rollouts themselves: no gap.
    """
    seeds = [rollout_seed(seed, row["round"], row["prompt_id"], row["sample"]) for row in contexts]
    sampling = Sampling.of(settings)
    requests = [
        Request(tuple(map(int, row["context_token_ids"])), sample_seed, sampling)
        for row, sample_seed in zip(contexts, seeds, strict=True)
    ]
    return [
        {
            **{name: row[name] for name in ("run", "round", "prompt_id", "sample", "variant", "context_digest")},
            "policy_version": policy_version,
            "token_ids": sample.token_ids,
            "text": reply_text(template.reply, sample),
            "finish_reason": sample.finish_reason,
            "seed": request.seed,
        }
        for row, request, sample in zip(contexts, requests, engine.generate(requests, progress), strict=True)
    ]


@dataclass(frozen=True)
class Gain:
    """What one context does for the student: shares of successes in [0, 1], means over prompts; None: undefined."""

    student: float | None
    self_teacher: float | None
    gap: Estimate
    """Self-teacher minus student, prompt by prompt, over those with verdicts on both sides; so are both means."""
    num_null: int
    """Answers without a verdict, left out."""


def gain_of(verdicts: Rows, answers: Rows, *, num_samples: int, seed: int) -> Gain:
    """The gain under one context, over the prompts of its answers.

    Rows have `prompt_id`, `sample` and `success`; a rollout counts beside the answer of its number, so that both means
    of a prompt are over as many.
    """
    answered = {(row["prompt_id"], row["sample"]) for row in answers}
    alone = _means([row for row in verdicts if (row["prompt_id"], row["sample"]) in answered])
    in_context = _means(answers)
    prompts = [prompt for prompt in in_context if prompt in alone]
    gaps = [in_context[prompt] - alone[prompt] for prompt in prompts]
    return Gain(
        student=_mean([alone[prompt] for prompt in prompts]),
        self_teacher=_mean([in_context[prompt] for prompt in prompts]),
        gap=estimate_mean(gaps, num_samples=num_samples, seed=seed),
        num_null=sum(row["success"] is None for row in answers),
    )


def choice_rows(
    tried: Mapping[str, tuple[Rows, Rows]],
    verdicts: Rows,
    *,
    conditions: Mapping[str, str],
    run: str,
    round: int,
    num_samples: int,
    seed: int,
) -> Rows:
    """Rows of `choices`, one a candidate: by its signals and answers in `tried`, its settings in `conditions`."""
    gains = {name: gain_of(verdicts, rows, num_samples=num_samples, seed=seed) for name, (_, rows) in tried.items()}
    aucs = {name: mean_signal(signals, "success_auc") for name, (signals, _) in tried.items()}
    best = best_context({name: gain.gap for name, gain in gains.items()}, aucs)
    return [
        {
            "run": run,
            "round": round,
            "candidate": name,
            "chosen": name == best,
            "condition": conditions[name],
            "num_prompts": gain.gap.num,
            "num_null": gain.num_null,
            "student": gain.student,
            "self_teacher": gain.self_teacher,
            "gap": gain.gap.value,
            "gap_low": gain.gap.low,
            "gap_high": gain.gap.high,
            "success_auc": aucs[name],
            "pairwise_accuracy": mean_signal(tried[name][0], "pairwise_accuracy"),
            "why": why_best(gain.gap) if name == best else None,
        }
        for name, gain in gains.items()
    ]


def best_context(gaps: Mapping[str, Estimate], aucs: Mapping[str, float | None]) -> str:
    """The context of the largest gap; of equal ones that of the higher AUC, then the one named first.

    Undefined ranks below everything.
    """

    def rank(name: str) -> tuple[float, float]:
        gap, auc = gaps[name].value, aucs[name]
        return (-np.inf if gap is None else gap, -np.inf if auc is None else auc)

    return max(gaps, key=rank)


def why_best(gap: Estimate) -> str:
    """Why the context of the largest gap was chosen, and whether it is sure to help."""
    if gap.value is None:
        return "no prompt has verdicts on both sides: the first candidate"
    low, high = gap.interval or (gap.value, gap.value)
    reason = f"largest gap: {100 * gap.value:+.1f} points [{100 * low:.1f}, {100 * high:.1f}]"
    if gap.interval is None:
        return f"{reason}, of one prompt alone"
    if low > 0:
        return f"{reason}, above zero"
    return f"{reason}, not surely above zero" if high > 0 else f"{reason}, not above zero: no context helps here"


def mean_signal(signals: Rows, metric: str) -> float | None:
    """The mean of a metric over the prompts that have it, of rows of `signals` (population `all`)."""
    values = [row[metric] for row in signals if row["population"] == "all"]
    return _mean([value for value in values if value is not None])


def _means(rows: Rows) -> dict[str, float]:
    means = {prompt: prompt_mean(outcomes) for prompt, outcomes in outcomes_by_prompt(rows).items()}
    return {prompt: value for prompt, value in means.items() if value is not None}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
