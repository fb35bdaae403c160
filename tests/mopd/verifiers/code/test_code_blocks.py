"""Which block of a reply is its program."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.verifiers.code.blocks import find_program

QUOTING = 'def f():\n    """\n    ```\n    f()\n    ```\n    """\n'
F, G = "def f(x):\n    return x\n", "def f(x):\n    return x + 1\n"


def fenced(*blocks: tuple[str, str]) -> str:
    return "\nand\n".join(f"```{info}\n{text}```\n" for info, text in blocks)


@pytest.mark.parametrize(
    ("reply", "program"),
    [
        ("```python\nx = 1\n```", "x = 1\n"),
        ("Sure:\n~~~\nx = 1\n~~~\nDone.", "x = 1\n"),
        ("~~~python\nx = '```'\n~~~", "x = '```'\n"),
        ("```\nold\n```\nbetter:\n```\nnew\n```", "new\n"),
        ("1. so\n   ```python\n   if x:\n       y\n   ```", "if x:\n    y\n"),
        ("````\n```\nx\n```\n````", "```\nx\n```\n"),
        (f"```python\n{QUOTING}```", QUOTING),
        ("x = 1", None),
        ("```python\nx = 1\n", None),
        ("```python\n\n```", None),
        ("```x = 1```", None),
        ("```python\na\n```\n```python\nnever closed, however long", "a\n"),
        ("<think>```\nlonger thought\n```</think>```\nx\n```", "x\n"),
        ("it began in the prompt ```\nlonger thought\n```</think>\n```\nx\n```", "x\n"),
        ("<think>```\nx\n```", None),
        ("```\r\nx = '\f'\r\n```\r\n", "x = '\f'\r\n"),
    ],
)
def test_closed_blocks_alone_are_programs(reply: str, program: str | None) -> None:
    assert find_program(reply) == find_program(reply, "f") == program


@pytest.mark.parametrize(
    "info", ["python", "py", "Python3", "PYTHON", "python title=a.py", "{.python}", "python:a.py", "a.py", "", "code"]
)
def test_labels_of_a_program(info: str) -> None:
    assert find_program(fenced((info, F)), "f") == F


@pytest.mark.parametrize(
    "info", ["text", "bash", "json", "output", "console", "pycon", "cpp", "c++", "JavaScript", "out.txt"]
)
def test_labels_of_no_program(info: str) -> None:
    assert find_program(fenced((info, F)), "f") is None
    assert find_program(fenced(("python", F), (info, G * 9)), "f") == F
    assert find_program(fenced(("", F), (info, G * 9)), "f") == F


@pytest.mark.parametrize(
    ("blocks", "program"),
    [
        ([("python", F), ("python", "for x in range(99):\n    print(x, f(x))\n    assert f(x) == x\n")], F),
        ([("python", F), ("python", G)], G),
        ([("python", F + "# a longer one\n" * 9), ("python", G)], G),
        ([("", F), ("python", G)], G),
        ([("python", G), ("", F)], G),
        ([("", F), ("python", "print(f(1))\n")], F),
        ([("python", F), ("python", "def f(x):\n    ...\n")], F),
        ([("python", F), ("python", 'def f(x):\n    """What it should do."""\n')], F),
        ([("python", F), ("python", "def f(x)\n    return x\n")], F),
        ([("python", "def f(x)\n    return x\n")], "def f(x)\n    return x\n"),
        ([("python", F), ("python", ">>> def f(x): return 3\n>>> f(1)\n3\n")], F),
        ([("python", ">>> f(1)\n1\n")], None),
        ([("python", "f = lambda x: x\n"), ("python", "f(3)\n")], "f = lambda x: x\n"),
        (
            [("python", "class Solution:\n    def f(self, x):\n        return x\n"), ("python", "Solution().f(1)\n")],
            "class Solution:\n    def f(self, x):\n        return x\n",
        ),
        ([("python", "class f:\n    pass\n"), ("python", "f()\n")], "class f:\n    pass\n"),
        ([("python", "def g(x):\n    return x\n"), ("", "1\n")], "def g(x):\n    return x\n"),
    ],
)
def test_the_last_block_that_defines_the_function(blocks: list[tuple[str, str]], program: str | None) -> None:
    assert find_program(fenced(*blocks), "f") == program


@pytest.mark.parametrize(
    ("blocks", "program"),
    [
        (
            ["def g(x):\n    return x\n", "def f(x):\n    return g(x)\n"],
            "def g(x):\n    return x\ndef f(x):\n    return g(x)\n",
        ),
        (
            ["def f(x):\n    return g(x)\n", "def g(x):\n    return x\n"],
            "def g(x):\n    return x\ndef f(x):\n    return g(x)\n",
        ),
        (
            ["import math\nPI = math.pi\nprint(PI)\nassert False\n", "def f(x):\n    return PI\n"],
            "import math\nPI = math.pi\ndef f(x):\n    return PI\n",
        ),
        (
            ["def g():\n    return 1\n", "def g():\n    return 2\n", "def f(x):\n    return g()\n"],
            "def g():\n    return 2\ndef f(x):\n    return g()\n",
        ),
        (
            ["import math\n", "import math\ndef f(x):\n    return math.pi\n"],
            "import math\ndef f(x):\n    return math.pi\n",
        ),
        (
            ["@cache\ndef g():\n    return 1\n", "from functools import cache\n", "def f(x):\n    return g()\n"],
            "from functools import cache\n@cache\ndef g():\n    return 1\ndef f(x):\n    return g()\n",
        ),
    ],
    ids=range(6),
)
def test_what_the_block_lacks_comes_from_the_others(blocks: list[str], program: str) -> None:
    assert find_program(fenced(*(("python", block) for block in blocks)), "f") == program


MAIN = "n = int(input())\nprint(n)\n"


@pytest.mark.parametrize(
    ("blocks", "program"),
    [
        ([("python", MAIN), ("python", "print('a longer example of what it prints')\n")], MAIN),
        ([("python", MAIN), ("python", "import io, sys\nsys.stdin = io.StringIO('1')\nmain()\n")], MAIN),
        ([("python", MAIN), ("python", MAIN.replace("n)", "n + 1)"))], MAIN.replace("n)", "n + 1)")),
        ([("python", "print(5)\n"), ("text", "5\n")], "print(5)\n"),
        ([("python", "print(5)\n"), ("python", "x = 1\n")], "print(5)\n"),
        (
            [("python", "def solve(n):\n    return n\n"), ("python", "print(solve(input()))\n")],
            "def solve(n):\n    return n\nprint(solve(input()))\n",
        ),
        ([("", "1 2\n"), ("python", MAIN), ("", "3\n")], MAIN),
    ],
    ids=range(7),
)
def test_a_program_that_is_run_whole_reads_its_input(blocks: list[tuple[str, str]], program: str) -> None:
    assert find_program(fenced(*blocks)) == program


REPLIES = st.text(st.sampled_from("`~ \nx#") | st.characters(), max_size=60) | st.lists(
    st.sampled_from(
        ["```", "~~~", "```python", "<think>", "</think>", "x = 1", "  ```", "", "def f(x):", "  return y", ">>> f"]
    ),
    max_size=9,
).map("\n".join)


@given(REPLIES, st.sampled_from([None, "f"]))
def test_any_reply_can_be_read(reply: str, function: str | None) -> None:
    program = find_program(reply, function)
    assert program is None or program.strip()
