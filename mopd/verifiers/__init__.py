"""Verifiers: functions that judge one reply against the expected answer."""

from mopd.verifiers import numbers
from mopd.verifiers.registry import VERIFIERS, Verdict, Verifier, verifier

__all__ = ["VERIFIERS", "Verdict", "Verifier", "numbers", "verifier"]
