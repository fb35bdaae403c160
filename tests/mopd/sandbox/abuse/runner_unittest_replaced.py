# /// program
# tries = "leaves a unittest of its own where tests might import it"
# verdict = ["wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        for x in (3, 10):\n            with self.subTest(x=x):\n                self.assertEqual(solve(x), 2 * x + 1)\n"]
# ///
import pathlib
import sys
import types

FAKE = "class TestCase: pass\nclass TestResult: pass\n"
for name in ("unittest", "test_task", "tests", "conftest", "sitecustomize"):
    pathlib.Path(f"{name}.py").write_text(FAKE)
    sys.modules[name] = types.ModuleType(name)


def solve(x):
    return None
