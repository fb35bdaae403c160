from __future__ import annotations

import builtins
import sys
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.verifiers.code.feedback import MAX_CHARS, Failure, cut, describe, show
from mopd.verifiers.code.program import PRELUDE, Submission

FUTURE = dedent("""\
    '''About it.'''
    from __future__ import annotations
    from __future__ import (
        division,
    )
    def f(x):
        return g(x)
    """)


@pytest.mark.parametrize("text", ["def f(x):\n    return x\n", FUTURE, "x"])
@pytest.mark.parametrize("head", ["", "import math", PRELUDE])
def test_what_stands_before_a_program_does_not_shift_its_lines(text: str, head: str) -> None:
    submission = Submission(text, head)
    compile(submission.source, "program", "exec")
    own = {submission.line(number): line for number, line in enumerate(submission.source.split("\n"), start=1)}
    lines = text.split("\n")
    assert {number: line for number, line in own.items() if number} == dict(enumerate(lines, start=1))
    assert (None in own) == bool(head)
    assert submission.line(None) is None


def test_a_syntax_error_names_the_programs_line_and_other_errors_are_left() -> None:
    submission = Submission("x = (\n", "import math\nimport re")
    assert submission.own_lines("SyntaxError: '(' was never closed (program, line 3)") == (
        "SyntaxError: '(' was never closed (program, line 1)"
    )
    assert submission.own_lines("ValueError: line 3") == "ValueError: line 3"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("def f(x): ...", "f"),
        ("class Solution:\n    def f(self, x): ...", "Solution.f"),
        ("class Solution(object):\n  def g(self): ...\n\n  def f(self, x): ...", "Solution.f"),
        ("class Solution:\n    def ff(self): ...\n\ndef f(x): ...", "f"),
        ("class Solutions:\n    def f(self): ...", "f"),
    ],
)
def test_the_program_decides_whether_a_method_is_called(text: str, name: str) -> None:
    assert Submission(text).callable_name("f") == name


@given(st.text(), st.integers(min_value=8, max_value=40))
def test_a_cut_text_keeps_both_ends(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert len(short) <= limit
    assert short == text or (" ... " in short and text.startswith(short.split(" ... ")[0][:1]))


ANY_TEXT = st.text(max_size=3000)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_feedback_stays_within_its_limit_whatever_a_program_says(given: str, got: str, error: str, line: str) -> None:
    failure = Failure("wrong_answer", given, "3", got, error, 1, line)
    text = describe(failure, number=1, num_tests=2, num_passed=0)
    assert len(text) <= MAX_CHARS
    assert "\nExpected: 3\n" in text


def test_half_a_surrogate_pair_can_be_stored() -> None:
    describe(Failure("wrong_answer", "", "", "\ud800"), number=1, num_tests=1, num_passed=0).encode()


def test_an_endless_integer_is_not_shown() -> None:
    assert show(10**5000) == "a value of type int too large to be shown"


def test_the_prelude_hides_no_built_in_and_leaves_modules_by_their_names() -> None:
    names: dict[str, object] = {}
    limit = sys.getrecursionlimit()
    try:
        exec(PRELUDE, names)
    finally:
        sys.setrecursionlimit(limit)
    hidden = [name for name in dir(builtins) if not name.startswith("_") and names[name] is not getattr(builtins, name)]
    assert hidden == []
    modules = "string re datetime collections heapq bisect copy math random statistics itertools functools operator io"
    assert all(names[name] is sys.modules[name] for name in [*modules.split(), "sys", "json"])
    used = (
        "ascii_lowercase itemgetter mean maxsize StringIO gcd deque heappush bisect_left deepcopy lru_cache List dumps"
    )
    assert not set(used.split()) - names.keys()
