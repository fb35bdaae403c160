"""rollouts -> verdicts: every rollout judged by its prompt's verifier."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mopd.contexts.summaries import without_summary
from mopd.engines.stops import LENGTH
from mopd.errors import InputError
from mopd.pulse import beat
from mopd.sandbox import Sandbox, open_sandbox
from mopd.settings.verify import VerifySettings
from mopd.verifiers import Problem, Verdict, Verifier, find_verifier
from mopd.verifiers.code.proof import Prover

Row = dict[str, Any]

CUT_OFF = "The reply was cut off at the length limit before it was finished: answer in fewer words."


def verify(
    prompts: list[Row],
    rollouts: list[Row],
    settings: VerifySettings,
    progress: Callable[[int], None] = lambda done: None,
    *,
    summarized: bool = False,
) -> list[Row]:
    """One verdict row a rollout, in the order of `rollouts`; `prompts` holds the prompt of every rollout.

    `summarized`: the replies were asked for a summary (`mopd.contexts.summaries`), a note for the teacher, not judged.
    A verifier that raises marks its one rollout: reward and success null, the error kept. Code runs in a sandbox that
    lives as long as this call. Raises InputError when a prompt names a verifier that does not exist, or there is no
    sandbox for code.
    """
    if summarized:
        rollouts = [{**rollout, "text": without_summary(rollout["text"])} for rollout in rollouts]
    judges = {_prompt_key(prompt): _Judge(prompt, settings) for prompt in prompts}
    pairs = [(judges[_prompt_key(rollout)], rollout) for rollout in rollouts]
    if any(judge.verifier.sandboxed for judge, _ in pairs):
        with open_sandbox(settings) as sandbox:
            return _counted(_verify_at_once(sandbox.num_slots, pairs, settings, sandbox), progress)
    if all(judge.verifier.guarded for judge, _ in pairs):
        return _counted(_verify_at_once(len(os.sched_getaffinity(0)), pairs, settings, None), progress)
    return _counted((_verify_one(judge, rollout, settings, None) for judge, rollout in pairs), progress)


def _verify_at_once(
    num_threads: int, pairs: list[tuple[_Judge, Row]], settings: VerifySettings, sandbox: Sandbox | None
) -> Iterator[Row]:
    with ThreadPoolExecutor(num_threads) as threads:
        yield from threads.map(lambda pair: _verify_one(pair[0], pair[1], settings, sandbox), pairs)


def problem_of(prompt: Row) -> Problem:
    """What replies to a prompt are judged against."""
    return Problem(prompt["answer"] or "", prompt.get("tests"), json.loads(prompt.get("metadata") or "{}"))


def check_problems(problems: Iterable[tuple[str, Problem]], settings: VerifySettings) -> None:
    """Whether `verify.verifier`, where there is one, can judge these problems, each behind its prompt's id.

    Raises InputError naming the first that it can't, and the field; or that there is no such verifier.
    """
    if settings.verifier is None:
        return
    try:
        verifier = find_verifier(settings.verifier)
    except InputError as error:
        raise InputError(f"verify.verifier: {error}") from error
    with Prover(settings) as prover:
        for prompt_id, problem in problems:
            wrong = verifier.find_problem(problem, prover)
            if wrong:
                raise InputError(f"verify.verifier: {verifier.name} can't judge prompt {prompt_id}: {wrong}")


def _counted(verdicts: Iterable[Row], progress: Callable[[int], None]) -> list[Row]:
    """The verdicts, as they come; `progress` is told how many there are."""
    rows = []
    for row in verdicts:
        rows.append(row)
        beat()
        progress(len(rows))
    return rows


class _Judge:
    """A prompt's verifier and problem, read once for its whole group."""

    def __init__(self, prompt: Row, settings: VerifySettings) -> None:
        try:
            self.verifier: Verifier = find_verifier(settings.judge_of(prompt["verifier"]))
        except InputError as error:
            raise InputError(f"prompt {prompt['prompt_id']}: verifier {error}") from error
        self.problem = problem_of(prompt)

    def judge(self, text: str, settings: VerifySettings, sandbox: Sandbox | None) -> Verdict:
        """The verdict; a broken verifier costs its rollout, not the run."""
        extra = (sandbox, settings) if self.verifier.sandboxed else ()
        try:
            verdict = self.verifier.judge(text, self.problem, *extra)
            if verdict.reward is None:
                return verdict._replace(error=verdict.error or "the verifier gave no reward and no reason")
            reward = float(verdict.reward)
        except Exception as error:  # whatever a verifier raises is kept as the rollout's error
            return Verdict(None, error=f"{type(error).__name__}: {' '.join(str(error).split())}")
        if not math.isfinite(reward):
            problem = f"the verifier {self.verifier.name} gave the reward {reward}, which is not a finite number"
            return Verdict(None, error=f"ValueError: {problem}")
        return verdict._replace(reward=reward)


def _prompt_key(row: Row) -> tuple[str, int, str]:
    return row["run"], int(row["round"]), row["prompt_id"]


def _verify_one(judge: _Judge, rollout: Row, settings: VerifySettings, sandbox: Sandbox | None) -> Row:
    start = time.perf_counter()
    verdict = judge.judge(rollout["text"], settings, sandbox)
    success = verdict.reward >= settings.success_threshold if verdict.reward is not None else None
    isolated = sandbox if judge.verifier.sandboxed else None
    return {
        "run": rollout["run"],
        "round": int(rollout["round"]),
        "prompt_id": rollout["prompt_id"],
        "sample": int(rollout["sample"]),
        "reward": verdict.reward,
        "success": success,
        "prediction": verdict.prediction,
        "feedback": _feedback(verdict, cut=rollout["finish_reason"] == LENGTH and success is False),
        "kind": verdict.kind,
        "sandbox": isolated.backend if isolated else None,
        "sandbox_policy": isolated.policy_digest if isolated else None,
        "error": verdict.error,
        "seconds": time.perf_counter() - start,
    }


def _feedback(verdict: Verdict, *, cut: bool) -> str | None:
    """The verifier's feedback; of a reply that was cut off, that comes first."""
    parts = [CUT_OFF] if cut else []
    return "\n".join(parts + ([verdict.feedback] if verdict.feedback else [])) or None
