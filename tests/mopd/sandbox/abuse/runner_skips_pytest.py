# /// program
# tries = "raises an exception that is named as one of pytest's"
# verdict = ["runtime_error"]
# everywhere = true
# testtype = "code"
# inputs = ["import pytest\n@pytest.mark.parametrize('x', [3, 10])\ndef test_it(x):\n    assert solve(x) == pytest.approx(2 * x + 1)\n"]
# ///
class OutcomeException(BaseException):
    msg = "skipped"


class Skipped(OutcomeException):
    __module__ = "_pytest.outcomes"


def solve(x):
    raise Skipped("not today")
