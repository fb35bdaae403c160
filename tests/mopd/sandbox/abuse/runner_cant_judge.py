# /// program
# tries = "raises an exception that is named as that of a runner"
# verdict = ["runtime_error"]
# everywhere = true
# testtype = "code"
# inputs = ["import pytest\n@pytest.mark.parametrize('x', [3, 10])\ndef test_it(x):\n    assert solve(x) == pytest.approx(2 * x + 1)\n"]
# ///
class CantJudge(Exception):
    pass


def solve(x):
    raise CantJudge("pytest ran 2 tests, and ended with code 0")
