# /// program
# tries = "raises what runners take for a skipped test"
# verdict = ["runtime_error"]
# everywhere = true
# testtype = "code"
# inputs = ["import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        for x in (3, 10):\n            with self.subTest(x=x):\n                self.assertEqual(solve(x), 2 * x + 1)\n"]
# ///
import unittest


class Skipped(unittest.SkipTest):
    allow_module_level = True
    msg = "skipped"


def solve(x):
    raise Skipped("not today")
