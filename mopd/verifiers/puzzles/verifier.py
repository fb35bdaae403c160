"""The verifier of Reasoning Gym's tasks: their own scoring, in a helper process."""

from __future__ import annotations

from importlib.util import find_spec

from mopd.verifiers.base import Problem, Verdict, verifier
from mopd.verifiers.guard import Guarded, UndecidedError
from mopd.verifiers.reply import tagged_answer, without_thinking

FORMAT = "Write the final answer alone between <answer> and </answer>, in the form that the question asks for."
MAX_LENGTH = 20_000

scores = Guarded("mopd.verifiers.puzzles.scores:score")
"""Started with the first reply."""


def gym_entry(problem: Problem, name: str) -> str | None:
    """The metadata must hold the dataset's name and the entry that it generated."""
    dataset, entry = problem.metadata.get("dataset"), problem.metadata.get("entry")
    if not isinstance(dataset, str) or not isinstance(entry, dict) or not {"answer", "metadata"} <= entry.keys():
        return (
            f'metadata: {name} needs {{"dataset": its name in Reasoning Gym, "entry": what it generated, with its '
            'question, answer and metadata}; read the tasks as "reasoning-gym:NAME"'
        )
    if find_spec("reasoning_gym") is None:
        return f"verifier: {name} needs the package reasoning-gym; pip install 'mopd[tasks]'"
    return None


@verifier(check=gym_entry, packages=("reasoning-gym",), guarded=True)
def reasoning_gym(text: str, problem: Problem) -> Verdict:
    """Whether what stands in the last <answer>, or else the whole reply, is right: 1 or 0, by the dataset's own scorer
    where that can tell. What it scores below 1, for being like the answer, gets 0.

    Raises RuntimeError when the scorer fails on the expected answer too. An answer that can't be scored in time, or on
    which the scorer fails, gets 0.
    """
    reply = without_thinking(text)
    answer = tagged_answer(reply)
    form = "" if answer is not None else f" {FORMAT}"
    tagged = answer is not None
    answer = reply.strip() if answer is None else answer
    if not answer and tagged and problem.metadata["entry"]["answer"] == "":
        return Verdict(1.0, answer)
    if not answer:
        return Verdict(0.0, None, f"The reply has no answer. {FORMAT}")
    if len(answer) > MAX_LENGTH:
        return Verdict(0.0, None, f"The answer is longer than {MAX_LENGTH} characters. {FORMAT}")
    try:
        score = scores(problem.metadata["dataset"], answer, problem.metadata["entry"])
    except UndecidedError:
        return Verdict(0.0, answer, f"The answer can't be checked within the time limit; write it more simply.{form}")
    if score is None:
        return Verdict(0.0, answer, f"The answer can't be read. {FORMAT}")
    if score == 1.0:
        return Verdict(1.0, answer)
    return Verdict(0.0, answer, f"The answer is wrong.{form}")
