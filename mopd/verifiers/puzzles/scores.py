"""Whether Reasoning Gym's answers are right, by its own scorers and, where those take wrong answers, by `puzzle_rules`.
Imported in a helper process only: it takes long to load, and some of it may hang.

Some of its scorers evaluate the reply as Python. Here they evaluate literals and plain formulas alone.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import Any

import sympy  # type: ignore[import-untyped]
from reasoning_gym import get_score_answer_fn  # type: ignore[import-untyped]
from reasoning_gym.algorithmic import binary_matrix, spiral_matrix, string_insertion  # type: ignore[import-untyped]
from reasoning_gym.games import countdown, n_queens, puzzle24  # type: ignore[import-untyped]

from mopd.verifiers.puzzles.rules import FORMS, MENDED, plain_formula

_GRIDS = ("arc_agi", "rearc")

for _module in (binary_matrix, n_queens, spiral_matrix, string_insertion):
    _module.eval = ast.literal_eval
for _module in (sympy, countdown, puzzle24):
    _module.parse_expr = plain_formula


def score(name: str, answer: str, entry: dict[str, Any]) -> float | None:
    """1.0 for a right answer, 0.0 for a wrong one; None for one that it can't read, though it can read the entry's own.

    What the package scores below 1, for likeness with the answer, for parsing or for a longer way, is 0.0 here.
    Raises what the scorer raises where it fails on both: then the entry is broken.
    """
    if name == "composite":
        return score(entry["metadata"]["source_dataset"], answer, entry)
    if answer == entry["answer"]:
        return 1.0
    if name in FORMS and not FORMS[name].fullmatch(answer.strip()):
        return 0.0
    scorer, entry = MENDED.get(name) or _scorer(name), _as_generated(name, entry)
    try:
        return float(scorer(answer, entry) == 1.0)
    except Exception:
        scorer(entry["answer"], entry)
        return None


@cache
def _scorer(name: str) -> Any:
    return get_score_answer_fn(name)


def _as_generated(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with what JSON doesn't keep: grids that are tuples."""
    if name not in _GRIDS:
        return entry
    metadata = {key: _tuples(value) for key, value in entry["metadata"].items()}
    return entry | {"metadata": metadata}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
