# /// program
# tries = "raises what test frameworks take for a test that is left out"
# verdict = ["runtime_error"]
# everywhere = true
# testtype = "code"
# inputs = ["import unittest\nassert solve(3) == 7"]
# ///
import unittest


def solve(x):
    raise unittest.SkipTest("not today")
