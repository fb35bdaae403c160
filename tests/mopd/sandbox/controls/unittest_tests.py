# /// program
# tries = "is right under a class of unittest"
# testtype = "code"
# inputs = ["import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        for x in (3, 10):\n            with self.subTest(x=x):\n                self.assertEqual(solve(x), 2 * x + 1)\n"]
# ///
def solve(x):
    return 2 * x + 1
