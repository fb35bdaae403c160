"""Prompts that several runs were asked, with how often each run was right: held-out ones, and those of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from flows.viewer.documents.parts.headline import evaluated_policies, heldout_means
from flows.viewer.documents.parts.prompt_counts import prompt_counts
from flows.viewer.documents.parts.questions import QUESTION, TRAINED, ask_questions
from flows.viewer.documents.round_answers import RoundQuery
from flows.viewer.documents.viewed import SOLVED, Json, ViewedRun

MOST_PROMPTS = 200
"""In a table: those whose numbers differ most. Each may lie in another shard."""

_HELDOUT = f"SELECT prompt_id, {QUESTION} AS question FROM prompts WHERE split = 'heldout' AND round = $policy"
_QUESTIONS = RoundQuery(
    "questions",
    f"SELECT round, prompt_id, hash({QUESTION}) AS question FROM prompts WHERE {{where}} AND {TRAINED}",
    ("prompts",),
)
_TRAINED = "SELECT prompt_id, pass_rate AS rate, judged_round AS round FROM counts WHERE pass_rate IS NOT NULL"

Key = tuple[str, Any]
"""An id with what is asked under it, or its hash, where other tasks may have the same ids."""
Asked = dict[Key, Json]
"""`rate`, and the round or policy of it, by prompt."""


def heldout(run: ViewedRun) -> Asked:
    """Of the last policy that was evaluated."""
    evaluated = evaluated_policies(run)
    if not evaluated:
        return {}
    policy = evaluated[-1]["policy"]
    questions = {row["prompt_id"]: row["question"] for row in run.ask(_HELDOUT, policy=policy)}
    means = heldout_means(run, policy)
    return {(prompt, questions.get(prompt)): {"rate": rate, "policy": policy} for prompt, rate in means.items()}


def shared_heldout(asked: Mapping[str, Asked]) -> Json:
    """As `shared_prompts`, of what `heldout` says of each run."""
    return shared_prompts(asked, lambda keys: {key[0]: key[1] for key in keys})


def shared_trained(runs: Sequence[ViewedRun]) -> Json:
    """As `shared_prompts`, of the last round that asked each prompt of training and was judged."""
    digests = {run.folder.document.get("tasks_digest") for run in runs}
    have_same_tasks = len(digests) == 1 and None not in digests
    asked = {run.id: _trained(run, with_questions=not have_same_tasks) for run in runs}
    first = asked[runs[0].id]
    return shared_prompts(asked, lambda keys: _ask_texts(runs[0], {key[0]: first[key]["round"] for key in keys}))


def _trained(run: ViewedRun, *, with_questions: bool) -> Asked:
    """`with_questions`: the runs' tasks are not the same, and one id may mean two of them."""
    given: dict[str, pa.Table] = {"counts": run.make_once(prompt_counts)}
    if not with_questions:
        rows = run.ask(f"SELECT *, NULL AS question FROM ({_TRAINED})", given=given)
    else:
        given["questions"] = run.ask_rounds(_QUESTIONS)
        rows = run.ask(f"SELECT * FROM ({_TRAINED}) LEFT JOIN questions USING (round, prompt_id)", given=given)
    return {(row["prompt_id"], row["question"]): {"rate": row["rate"], "round": row["round"]} for row in rows}


def _ask_texts(run: ViewedRun, rounds: Mapping[str, int]) -> dict[str, str | None]:
    return {prompt: row["question"] for prompt, row in ask_questions(run, rounds).items()}


def shared_prompts(asked: Mapping[str, Asked], ask_texts: Callable[[Sequence[Key]], Mapping[str, str | None]]) -> Json:
    """Rows of the prompts that all runs were asked; `difference`: of the last run from the first.

    `num`: how many there are; rows that differ most come first, and there may be fewer of them, whose questions
    `ask_texts` gives. `learnt`, `lost`: how many crossed SOLVED on the way.
    """
    first, *others = asked.values()
    last = others[-1] if others else first
    shared = [key for key in first if all(key in rows for rows in others)]
    differences = {key: last[key]["rate"] - first[key]["rate"] for key in shared}
    shown = sorted(shared, key=lambda key: (-abs(differences[key]), key[0]))[:MOST_PROMPTS]
    texts = ask_texts(shown)
    rows = [
        {
            "prompt": key[0],
            "question": texts.get(key[0]),
            "runs": {run: of_run[key] for run, of_run in asked.items()},
            "difference": differences[key],
        }
        for key in shown
    ]
    solved = [(first[key]["rate"] >= SOLVED, last[key]["rate"] >= SOLVED) for key in shared]
    flips = {"learnt": solved.count((False, True)), "lost": solved.count((True, False))}
    return {"num": len(shared), **flips, "rows": rows}
