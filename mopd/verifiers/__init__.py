"""Verifiers: functions that judge one reply against the expected answer."""

from mopd.verifiers import numbers
from mopd.verifiers.registry import ANSWER_CHECKS, VERIFIERS, AnswerCheck, Verdict, Verifier, checks_answer, verifier

__all__ = [
    "ANSWER_CHECKS",
    "VERIFIERS",
    "AnswerCheck",
    "Verdict",
    "Verifier",
    "checks_answer",
    "numbers",
    "verifier",
]
