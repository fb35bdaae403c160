"""Rows of verdicts, contexts and scores of made-up groups."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
Tables = tuple[list[Row], list[Row], list[Row]]

SUCCESS = {"+": True, "-": False, "?": None}


def group(
    outcomes: str,
    scores: list[float | None],
    *,
    prompt_id: str = "p",
    rewards: list[float] | None = None,
    lengths: list[int] | None = None,
    policy: list[float] | None = None,
    roles: list[str] | None = None,
    **context: Any,
) -> Tables:
    """One group: + success, - failure, ? no verdict; a score of None is that of an empty reply.

    `policy`: the mean log-probability that the policy gave each reply. `roles`: the sections shown to each, by initial:
    f(irst success), s(econd success), w(rong), "" nothing.
    """
    names = {"f": "first_success", "s": "second_success", "w": "failure"}
    verdicts, contexts, said = [], [], []
    for sample, (mark, score) in enumerate(zip(outcomes, scores, strict=True)):
        keys = {"run": "r", "round": 3, "prompt_id": prompt_id, "sample": sample}
        success = SUCCESS[mark]
        reward = None if success is None else (rewards[sample] if rewards else float(success))
        verdicts.append({**keys, "reward": reward, "success": success})
        peers = [{"role": names[initial]} for initial in (roles[sample] if roles else "")]
        contexts.append({**keys, "peers": peers, "num_tokens": 10 + sample, "truncated": False, **context})
        length = 0 if score is None else lengths[sample] if lengths else 2
        said.append(
            {
                **keys,
                "teacher": "ema",
                "teacher_version": 3,
                "mean_teacher_logprob": score,
                "teacher_logprobs": [score] * length,
                "proximal_logprobs": [policy[sample] if policy else -1.0] * length,
            }
        )
    return verdicts, contexts, said


def joined(*groups: Tables) -> Tables:
    """The tables of several groups, one after another."""
    verdicts, contexts, said = ([row for tables in groups for row in tables[index]] for index in range(3))
    return verdicts, contexts, said
