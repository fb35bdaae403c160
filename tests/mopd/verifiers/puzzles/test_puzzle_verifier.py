"""Reasoning Gym's tasks: its own answers score 1 after a way through JSON, and no reply is run as code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from mopd.verifiers import VERIFIERS, Problem
from mopd.verifiers.puzzles import verifier as puzzles

gym = pytest.importorskip("reasoning_gym", reason="reasoning-gym is not installed")
judge = VERIFIERS["reasoning_gym"].judge

SOME = ("chain_sum", "countdown", "simple_integration", "n_queens", "arc_agi", "game_of_life_halting", "spell_backward")
EVALUATING = ("countdown", "puzzle24", "simple_integration", "intermediate_integration", "polynomial_multiplication")
EVALUATING += ("string_insertion", "spiral_matrix", "binary_matrix", "n_queens")
WITHOUT_ANSWER = ("boxnet", "composite", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour")


@pytest.fixture(autouse=True, scope="module")
def _no_helper_is_left() -> Iterator[None]:
    yield
    puzzles.scores.close()


def problem(name: str, seed: int = 7) -> Problem:
    entry: dict[str, Any] = json.loads(json.dumps(gym.create_dataset(name, size=1, seed=seed)[0]))
    return Problem(str(entry["answer"]), None, {"dataset": name, "entry": entry})


@pytest.mark.parametrize("name", SOME)
def test_the_expected_answer_scores_one_and_others_less(name: str) -> None:
    task = problem(name)
    assert VERIFIERS["reasoning_gym"].check(task, "reasoning_gym") is None  # type: ignore[misc]
    assert judge(f"So <answer>{task.answer}</answer>.", task).reward == 1.0
    for text in ("<answer>no idea</answer>", "<answer>[1, 2</answer>", "\0", "", "<answer>" + "(" * 30_000):
        verdict = judge(text, task)
        assert verdict.reward is not None
        assert 0.0 <= verdict.reward < 1.0
        assert verdict.feedback
        assert task.answer not in verdict.feedback


@pytest.mark.parametrize(
    ("name", "metadata", "expected", "answer", "reward"),
    [
        ("puzzle24", {"numbers": [1, 7, 4, 4]}, "(7-1)*4+0", "4*(7-1)", 0.0),
        ("puzzle24", {"numbers": [1, 7, 4, 4]}, "1*(7*4 - 4)", "1*(7*4 - 4)", 1.0),
        ("puzzle24", {"numbers": [5, 10, 3, 6]}, "5 + 10 + 3 + 6", "1*(7*4 - 4)", 0.0),
        ("puzzle24", {"numbers": [1, 2, 8, 3]}, "8*3*(2-1)", "8*3+1/2", 0.0),
        ("game_of_life_halting", {}, "False", "True", 0.0),
        ("game_of_life_halting", {}, "False", "false", 1.0),
        ("puzzle24", {"numbers": [1, 2, 8, 3]}, "8*3*(2-1)", "1+2)", 0.0),
        ("countdown", {"numbers": [2, 3], "target": 6}, "2*3", "3 * 2", 1.0),
        ("countdown", {"numbers": [2, 3], "target": 9}, "?", "3**2", 0.0),
        ("coin_flip", {}, "0.171875", "0", 0.0),
        ("coin_flip", {}, "0.171875", "0.17", 0.0),
        ("coin_flip", {}, "0.171875", "11/64", 1.0),
        ("coin_flip", {}, "0.1208496094", "495/4096", 1.0),
        ("gsm_symbolic", {}, "279", "-279", 0.0),
        ("gsm_symbolic", {}, "279", "279 7", 0.0),
        ("gsm_symbolic", {}, "1279", "$1,279.00", 1.0),
        ("calendar_arithmetic", {"task": "count_days"}, "-3", "5", 0.0),
        ("complex_arithmetic", {"result": [4.0, 8.0]}, "4.0 + 8.0i", "nan", 0.0),
        ("complex_arithmetic", {"result": [4.0, 8.0]}, "4.0 + 8.0i", "4+8i", 1.0),
        ("decimal_arithmetic", {}, "2.2286", "2.22", 0.0),
        ("number_format", {}, "908378074.824", "908378074.82", 0.0),
        ("number_sorting", {"direction": "ascending"}, "['1.0', '2.5']", "['1.0', '2.0']", 0.0),
        ("number_sorting", {"direction": "ascending"}, "['1.0', '2.5']", "[1, 2.5]", 1.0),
        ("figlet_font", {}, "ABCDEFGHIJ", "ABCDEFGHIJKLM", 0.0),
        ("spell_backward", {}, "olleh", "ollehx", 0.0),
        ("game_of_life", {}, "[[1, 0]]", "[[1, 0], [1]]", 0.0),
        ("game_of_life", {}, "[[1, 0]]", "[[1,0]]", 1.0),
        ("polynomial_equations", {}, "", "no idea", 0.0),
        ("polynomial_equations", {}, "", '""', 1.0),
        ("polynomial_equations", {}, "", "<answer></answer>", 1.0),
        ("polynomial_equations", {}, "-0.5, 2.0", "2, -0.5", 1.0),
        ("knights_knaves", {}, "Ann is a knight, and Bob is a knave.", "Bob is a knave, Ann is a knight", 1.0),
        ("knights_knaves", {}, "Ann is a knight, and Bob is a knave.", "Ann is a knight, and Bob is a knight.", 0.0),
        ("simple_integration", {"variable": "X", "integrand": "2*X"}, "X**2 + C", "X**2 + K", 1.0),
        ("simple_integration", {"variable": "X", "integrand": "2*X"}, "X**2 + C", "X**2 + x", 0.0),
        ("time_intervals", {"task_type": "date"}, "27 days", "27 weeks", 0.0),
        ("composite", {"source_dataset": "coin_flip"}, "0.171875", "0", 0.0),
    ],
)
def test_scorers_that_take_wrong_answers_are_mended(
    name: str, metadata: dict[str, Any], expected: str, answer: str, reward: float
) -> None:
    entry = {"answer": expected, "metadata": metadata}
    assert judge(answer, Problem(expected, None, {"dataset": name, "entry": entry})).reward == reward


def junk(answer: str) -> list[str]:
    """Answers that are wrong whatever the question is, and those that a careless scorer takes for the expected one."""
    half = len(answer) // 2
    near = [f"-{answer}", answer[:1], answer[:half], answer[:-1], answer[1:], answer[:half] + answer[half + 1 :]]
    near += [f"{answer}0", f"{answer}x", f"x {answer}", f"{answer}\n7", f"{answer})"]
    blind = ["\n", "0", "1", "-1", "nan", "inf", "True", "False", "null", "[]", "{}", "1+2)", "((((", "9" * 500]
    blind += ["\u0664\u0662", "no idea", "__import__('os').getcwd()", "[[]]"]
    return [text for text in (*near, *blind) if text.strip() != answer.strip()]


def means_the_same(name: str, text: str, answer: str) -> bool:
    """Whether what looks like junk is the expected answer, written otherwise."""
    if _squeezed(text) == _squeezed(answer) or text == answer.rstrip("0"):
        return True  # white space; trailing zeros
    with suppress(ValueError, ZeroDivisionError):
        if Fraction(text) == Fraction(answer):  # .5 for 0.5
            return True
        if name == "power_function":  # which asks for three significant figures
            return f"{float(text):.2e}" == f"{float(answer):.2e}"
    numbers = [[_as_float(part) for part in other.replace(",", " ").split()] for other in (text, answer)]
    if name in ("pool_matrix", "polynomial_equations") and numbers[0] == numbers[1]:
        return True
    mark = UNMARKED.get(name)
    return name in FREE_FORM or (mark is not None and _unmarked(text, mark) == _unmarked(answer, mark))


UNMARKED = {"advanced_geometry": "°", "fraction_simplification": "$", "quantum_lock": "→"}
"""What may be missing: a degree sign, a delimiter, an arrow."""
FREE_FORM = ("knights_knaves", "time_intervals")
"""A full stop or the d of "and" may be missing, and the 0 of 03:10."""


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _unmarked(text: str, mark: str) -> str:
    return _squeezed(text).replace(mark, "")


def _as_float(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@pytest.mark.parametrize("name", SOME)
def test_junk_scores_nothing(name: str) -> None:
    task = problem(name)
    for text in junk(task.answer):
        if not means_the_same(name, text, task.answer):
            assert judge(f"<answer>{text}</answer>", task).reward == 0.0, text


@pytest.mark.slow
@pytest.mark.timeout(1200)  # all data sets, each reply in a process of its own
def test_junk_scores_nothing_in_any_other_dataset() -> None:
    wrong = []
    for name in sorted(set(gym.factory.DATASETS) - set(SOME) - {"composite"}):
        task = problem(name, seed=100)
        for text in junk(task.answer):
            reward = judge(f"<answer>{text}</answer>", task).reward
            if reward != 0.0 and not means_the_same(name, text, task.answer):
                wrong.append((name, task.answer, text, reward))
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(gym.factory.DATASETS) - set(SOME) - set(WITHOUT_ANSWER)))
def test_every_expected_answer_scores_one(name: str) -> None:
    task = problem(name)
    assert judge(f"<answer>{task.answer}</answer>", task).reward == 1.0


@pytest.mark.parametrize("name", EVALUATING)
@pytest.mark.parametrize(
    "attack",
    [
        "__import__('os').system('touch {}')",
        "open('{}', 'w')",
        "[c for c in ().__class__.__base__.__subclasses__()]",
        "exec(chr(111))",
    ],
)
def test_a_reply_is_never_run(name: str, attack: str, tmp_path: Path) -> None:
    target = tmp_path / "touched"
    verdict = judge(f"<answer>{attack.format(target)}</answer>", problem(name))
    assert verdict.reward is not None
    assert verdict.reward < 0.1
    assert not target.exists()


def test_an_answer_that_never_ends_scores_nothing() -> None:
    verdict = judge("<answer>9**9**9**9</answer>", problem("simple_integration"))
    assert verdict.reward == 0.0
    assert "can't be checked within the time limit" in str(verdict.feedback)


def test_a_scorer_that_fails_on_its_own_answer_is_an_error() -> None:
    task = problem("countdown")
    broken = Problem(task.answer, None, {"dataset": "no_such_dataset", "entry": task.metadata["entry"]})
    with pytest.raises(RuntimeError, match="'no_such_dataset' not registered"):
        judge("<answer>1</answer>", broken)


@pytest.mark.parametrize("metadata", [{}, {"dataset": "countdown"}, {"dataset": "countdown", "entry": {"answer": "1"}}])
def test_metadata_without_the_entry_is_refused(metadata: dict[str, Any]) -> None:
    check = VERIFIERS["reasoning_gym"].check
    assert check is not None
    assert str(check(Problem("1", None, metadata), "reasoning_gym")).startswith("metadata: reasoning_gym needs")
