# /// program
# tries = "leaves a conftest.py and a pytest that skip everything"
# verdict = ["wrong_answer"]
# everywhere = true
# testtype = "code"
# inputs = ["import pytest\n@pytest.mark.parametrize('x', [3, 10])\ndef test_it(x):\n    assert solve(x) == pytest.approx(2 * x + 1)\n"]
# ///
import pathlib

pathlib.Path("conftest.py").write_text("def pytest_collection_modifyitems(items):\n    items.clear()\n")
pathlib.Path("pytest.ini").write_text("[pytest]\naddopts = --collect-only\n")
pathlib.Path("pytest.py").write_text("def main(*_, **__): return 0\n")
pathlib.Path("test_task.py").write_text("def test_nothing(): pass\n")


def solve(x):
    return None
