"""rollouts -> verdicts: every rollout judged by its prompt's verifier."""

from __future__ import annotations

import math
import time
from typing import Any

from mopd.errors import InputError
from mopd.settings import VerifySettings
from mopd.verifiers import VERIFIERS, Verdict

Row = dict[str, Any]


def verify(prompts: list[Row], rollouts: list[Row], settings: VerifySettings) -> list[Row]:
    """One verdict row a rollout, in the order of `rollouts`; `prompts` holds the prompt of every rollout.

    A verifier that raises marks its one rollout: reward and success null, the error kept. Raises InputError when a
    prompt names a verifier that does not exist.
    """
    prompt_by_key = {_prompt_key(prompt): prompt for prompt in prompts}
    return [_verify_one(prompt_by_key[_prompt_key(rollout)], rollout, settings) for rollout in rollouts]


def _prompt_key(row: Row) -> tuple[str, int, str]:
    return row["run"], int(row["round"]), row["prompt_id"]


def _verify_one(prompt: Row, rollout: Row, settings: VerifySettings) -> Row:
    start = time.perf_counter()
    verdict, error = _judge(prompt, rollout["text"])
    return {
        "run": rollout["run"],
        "round": int(rollout["round"]),
        "prompt_id": rollout["prompt_id"],
        "sample": int(rollout["sample"]),
        "reward": verdict.reward if verdict else None,
        "success": verdict.reward >= settings.success_threshold if verdict else None,
        "prediction": verdict.prediction if verdict else None,
        "feedback": verdict.feedback if verdict else None,
        "error": error,
        "seconds": time.perf_counter() - start,
    }


def _judge(prompt: Row, text: str) -> tuple[Verdict | None, str | None]:
    """The verdict, or None and what went wrong: a broken verifier costs its rollout, not the run."""
    name = prompt["verifier"]
    if name not in VERIFIERS:
        raise InputError(
            f"prompt {prompt['prompt_id']}: verifier {name!r} is unknown; choose one of {', '.join(sorted(VERIFIERS))}"
        )
    try:
        verdict = VERIFIERS[name](text, prompt["answer"])
        reward = float(verdict.reward)
    except Exception as error:  # whatever a verifier raises is kept as the rollout's error
        return None, f"{type(error).__name__}: {' '.join(str(error).split())}"
    if not math.isfinite(reward):
        return (None, f"ValueError: the verifier {name} gave the reward {reward}, which is not a finite number")
    return verdict._replace(reward=reward), None
