"""What the cases of verifier_cases.json don't show of the mathematics verifier."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mopd.verifiers import VERIFIERS, Problem
from mopd.verifiers.guard import Guarded, UndecidedError
from mopd.verifiers.math import verifier as mathematics
from mopd.verifiers.math.text import read_number
from mopd.verifiers.reply import boxed_answer, without_thinking

math = VERIFIERS["math"].judge

PLAIN_REPLIES = """
import sys
from mopd.verifiers import VERIFIERS, Problem
from mopd.verifiers.math import verifier as mathematics
forms = ("{}", "{}.0", "x = {}", "\\\\text{{no}}", "{}\\\\%", "\\\\frac{{{}}}{{1}}", "{}\\\\text{{ cm}}", "")
replies = [f"\\\\boxed{{{form.format(number)}}}" for form in forms for number in range(12)]
assert len(replies) == 96
rewards = [VERIFIERS["math"].judge(reply, Problem("7")).reward for reply in replies]
print(sum(rewards), mathematics.algebra.running, "sympy" in sys.modules)
"""


NUMBERS = st.integers(-999, 999)
TINY = st.integers(20, 900).map(lambda power: rf"10^{{-{power}}}")
EXACT = st.sampled_from(
    [r"\sqrt{2}", r"\pi", r"\ln 2", "7^{90}", "30!", r"\frac{1}{3}", "x", r"\sqrt{x}+y", r"2.5\sqrt{3}"]
)


def reward(prediction: str, answer: str) -> float | None:
    return math(f"\\boxed{{{prediction}}}", Problem(answer)).reward


def matrix(entries: list[int], separator: str = r" \\ ") -> str:
    rows = [" & ".join(map(str, entries[row : row + 2])) for row in (0, 2)]
    return rf"\begin{{pmatrix}} {separator.join(rows)} \end{{pmatrix}}"


@settings(max_examples=25, deadline=None)
@given(st.lists(NUMBERS, min_size=4, max_size=4, unique=True), st.data())
def test_a_matrix_is_no_other_order_of_its_entries(entries: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(entries))
    assert reward(matrix(entries, r"\\[4pt]"), matrix(entries, r"\\")) == 1.0
    assert reward(matrix(order), matrix(entries)) == float(order == entries)


@settings(max_examples=25, deadline=None)
@given(EXACT, TINY)
def test_what_is_off_by_a_tiny_bit_is_another_value(value: str, tiny: str) -> None:
    assert reward(f"{value}+{tiny}", value) == 0.0
    assert reward(f"{tiny}+{value}", f"{value}+{tiny}") == 1.0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(100, 999), min_size=2, max_size=4, unique=True))
def test_a_list_of_three_digit_numbers_has_no_order_and_is_no_number(numbers: list[int]) -> None:
    answer = ", ".join(map(str, numbers))
    assert reward(", ".join(map(str, reversed(numbers))), answer) == 1.0
    assert reward(" \\quad ".join(map(str, numbers)), answer) == 1.0
    assert reward("".join(map(str, numbers)), answer) == 0.0
    assert reward(", ".join(map(str, numbers[:-1])), answer) == 0.0


def test_numbers_are_compared_without_algebra() -> None:
    done = subprocess.run([sys.executable, "-c", PLAIN_REPLIES], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["6.0", "False", "False"]


def test_formulas_are_compared_from_many_threads_at_once() -> None:
    replies = [f"\\boxed{{(x+{number})^2}}" for number in range(4)] * 3
    mathematics.compare.cache_clear()
    with ThreadPoolExecutor(4) as threads:
        verdicts = list(threads.map(math, replies, [Problem("x^2+2x+1")] * len(replies)))
    assert [verdict.reward for verdict in verdicts] == [0.0, 1.0, 0.0, 0.0] * 3


def compared(algebra: Guarded, formula: str, answer: str) -> bool | str | None:
    try:
        return algebra(formula, answer)  # type: ignore[no-any-return]
    except UndecidedError:
        return "undecided"


def test_what_a_fork_compared_before_changes_no_verdict() -> None:
    pairs = [
        ("1+2x+x^2", "(x+1)^2"),
        ("9^{9^{9}}", "x"),
        (r"\sin^2 x+\cos^2 x", "1"),
        ("x_{}^^", "42"),
        (r"\{1,2\}", "(1,2)"),
        ("x^2+2x+2", "(x+1)^2"),
    ]
    by_itself = Guarded(mathematics.algebra.function)
    verdicts = {pair: compared(by_itself, *pair) for pair in pairs}
    by_itself.close()
    assert list(verdicts.values()) == [True, "undecided", True, None, False, False]
    for pair in [*pairs, *reversed(pairs)]:
        assert compared(mathematics.algebra, *pair) == verdicts[pair]


def test_what_takes_too_long_is_not_shown_right_and_the_next_is_judged() -> None:
    verdict = math("\\boxed{9^{9^{9}}}", Problem("41"))
    assert (verdict.reward, verdict.error) == (0.0, None)
    assert "too complicated to compare" in str(verdict.feedback)
    assert math("\\boxed{x+0}", Problem("x")).reward == 1.0


@pytest.mark.parametrize(
    ("text", "feedback"),
    [
        ("It is 7.", "There is no \\boxed{} in the reply."),
        ("<think>\\boxed{42}", "The reply ends in its thoughts, without an answer."),
        ("\\boxed{42", "The braces of the last \\boxed{} are not closed."),
        ("\\boxed{ }", "The last \\boxed{} is empty."),
        ("\\boxed{7}", "The final answer \\boxed{7} is wrong."),
        ("\\boxed{x_{}^^}", "The final answer \\boxed{x_{}^^} can't be read as mathematics"),
    ],
)
def test_feedback_names_what_is_wrong(text: str, feedback: str) -> None:
    assert str(math(text, Problem("42")).feedback).startswith(feedback)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("\\boxed{1} \\boxed{a{b}c}", "a{b}c"),
        ("\\boxed{\\{1,2\\}} }", "\\{1,2\\}"),
        ("\\boxed{\\left\\{1\\right.}", "\\left\\{1\\right."),
        ("\\boxed{x=\\boxed{2}+1}", "x=\\boxed{2}+1"),
        ("\\boxed{\\boxed{2}", "2"),
        ("\\boxed{1} \\boxed{2", None),
        ("boxed{1}", None),
    ],
)
def test_the_last_box_by_balanced_braces(text: str, box: str | None) -> None:
    assert boxed_answer(text) == box


@pytest.mark.parametrize(
    ("text", "left"),
    [("a<think>b</think>c", "ac"), ("b</think>c", "c"), ("a<think>b", "a"), ("<think>a</think>b</think>c", "c")],
)
def test_thoughts_are_left_out(text: str, left: str) -> None:
    assert without_thinking(text) == left


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.50", Fraction(2469, 2)),
        ("-\\frac{2}{4}", Fraction(-1, 2)),
        ("2 1/2", Fraction(5, 2)),
        ("3 \\times 10^{-2}", Fraction(3, 100)),
        ("50%", Fraction(50)),
        ("1/0", None),
        ("1,23", None),
        ("1..2", None),
    ],
)
def test_numbers_are_read_exactly(text: str, value: Fraction | None) -> None:
    number = read_number(text)
    assert (number.value if number else None) == value
