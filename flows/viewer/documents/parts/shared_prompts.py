"""Prompts that several runs were asked, with how often each run was right: held-out ones, and those of training."""

from __future__ import annotations

from collections.abc import Mapping

from flows.viewer.documents.parts.headline import evaluated_policies, heldout_means
from flows.viewer.documents.viewed import SOLVED, Json, ViewedRun

MOST_PROMPTS = 1000
"""In a table: those whose numbers differ most."""

_QUESTIONS = """
SELECT prompt_id, [message.content FOR message IN messages IF message.role = 'user'][-1] AS prompt
FROM prompts WHERE split = 'heldout' AND round = $policy
"""
_TRAINED = """
SELECT prompt_id, prompt, arg_max(pass_rate, round) AS rate, max(round) AS round
FROM groups WHERE pass_rate IS NOT NULL GROUP BY prompt_id, prompt
"""

Key = tuple[str, str | None]
"""An id with what is asked under it: other tasks may have the same ids."""
Asked = dict[Key, Json]
"""`rate`, and the round or policy of it, by prompt."""


def heldout(run: ViewedRun) -> Asked:
    """Of the last policy that was evaluated."""
    evaluated = evaluated_policies(run)
    if not evaluated:
        return {}
    policy = evaluated[-1]["policy"]
    questions = {row["prompt_id"]: row["prompt"] for row in run.ask(_QUESTIONS, policy=policy)}
    means = heldout_means(run, policy)
    return {(prompt, questions.get(prompt)): {"rate": rate, "policy": policy} for prompt, rate in means.items()}


def trained(run: ViewedRun) -> Asked:
    """Of the last round that asked it."""
    return {
        (row["prompt_id"], row["prompt"]): {"rate": row["rate"], "round": row["round"]} for row in run.ask(_TRAINED)
    }


def shared_prompts(asked: Mapping[str, Asked]) -> Json:
    """Rows of the prompts that all runs were asked; `difference`: of the last run from the first.

    `num`: how many there are; rows that differ most come first, and there may be fewer of them. `learnt`, `lost`: how
    many crossed SOLVED on the way.
    """
    first, *others = asked.values()
    last = others[-1] if others else first
    shared = [key for key in first if all(key in rows for rows in others)]
    rows = [
        {
            "prompt": prompt,
            "question": question,
            "runs": {run: of_run[prompt, question] for run, of_run in asked.items()},
            "difference": last[prompt, question]["rate"] - first[prompt, question]["rate"],
        }
        for prompt, question in shared
    ]
    rows.sort(key=lambda row: (-abs(row["difference"]), row["prompt"]))
    solved = [(first[key]["rate"] >= SOLVED, last[key]["rate"] >= SOLVED) for key in shared]
    flips = {"learnt": solved.count((False, True)), "lost": solved.count((True, False))}
    return {"num": len(rows), **flips, "rows": rows[:MOST_PROMPTS]}
