# /// program
# tries = "is right under tests that pytest runs"
# testtype = "code"
# inputs = ["import pytest\n@pytest.mark.parametrize('x', [3, 10])\ndef test_it(x):\n    assert solve(x) == pytest.approx(2 * x + 1)\n"]
# ///
def solve(x):
    return 2 * x + 1
