"""Tests of code tasks: run as pytest and unittest would, or refused by name when the task is loaded.

Each row of code_task_cases.json is one input of a task about `f`, which gives back its argument. A row that is not
refused passes that program, and neither one that adds 1 nor one that holds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mopd.errors import InputError
from mopd.sandbox import Sandbox
from mopd.settings.verify import VerifySettings
from mopd.tasks.files import read_tasks
from mopd.verifiers import Problem
from mopd.verifiers.code import proof as code_proof
from mopd.verifiers.code import script_names
from mopd.verifiers.code.asserts import Assertion
from mopd.verifiers.code.proof import NO_DIFFERENCE, Prover, check_tests
from mopd.verifiers.code.scripts import ScriptCase
from mopd.verifiers.code.tests import parse_tests
from mopd.verifiers.code.verifier import code
from tests.mopd.verifiers.code.code_sandboxes import BACKENDS, opened

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("code_task_cases.json").read_text(encoding="utf-8"))
RIGHT, WRONG, EMPTY = "def f(x):\n    return x\n", "def f(x):\n    return x + 1\n", "x = 0\n"


@pytest.fixture(scope="module", params=BACKENDS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with opened(request.param) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def prover() -> Iterator[Prover]:
    """With one sandbox for all rows."""
    with opened("bubblewrap", "unsafe_subprocess") as sandbox:
        backend = sandbox.backend
    with Prover(VerifySettings.model_validate({"sandbox": backend})) as prover:
        yield prover


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Proofs of an earlier run must not decide; the sandbox's own copies stay where they are."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(code_proof, "cache_folder", lambda: folder)
    return folder


def task(*inputs: str, **fields: Any) -> Problem:
    return Problem(tests=json.dumps({"testtype": "code", "fn_name": "f", "inputs": inputs, **fields}))


def rewards(problem: Problem, sandbox: Sandbox, *programs: str) -> list[float | None]:
    return [code(f"```python\n{program}```", problem, sandbox, VerifySettings()).reward for program in programs]


@pytest.mark.parametrize("row", [pytest.param(row, id=row["name"]) for row in ROWS])
def test_a_snippet_tells_programs_apart_or_is_refused(prover: Prover, row: dict[str, Any]) -> None:
    problem = task(row["tests"])
    found = check_tests(problem, "code", prover)
    if row["refused"] is not None:
        assert found is not None and found.partition(": ")[2] == row["refused"]
    else:
        assert found is None
        sandbox = prover._opened()
        assert sandbox is not None
        assert rewards(problem, sandbox, RIGHT, WRONG, EMPTY) == [1.0, 0.0, 0.0]


KINDS = {
    "unittest": "from unittest import *\nclass T(TestCase):\n    def test_f(self):\n        self.assertEqual(f(1), 1)",
    "pytest": "import pytest\n@pytest.mark.parametrize('x', [0, 1])\ndef test_f(x):\n    assert f(x) == x",
    "raises": "import pytest\nassert f(1) == 1\nwith pytest.raises(TypeError):\n    f()",
}


@pytest.mark.parametrize("kind", KINDS)
def test_runners_on_each_backend(sandbox: Sandbox, kind: str) -> None:
    assert rewards(task(KINDS[kind]), sandbox, RIGHT, WRONG, EMPTY) == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("kind", "program", "ended", "told"),
    [
        ("unittest", WRONG, "wrong_answer", "assert self.assertEqual(f(1), 1): 2 != 1"),
        ("pytest", WRONG, "wrong_answer", "assert f(x) == x: got 1, expected 0"),
        ("raises", "def f(*x):\n    return 1\n", "wrong_answer", "DID NOT RAISE"),
        ("unittest", "def f(x):\n    return [][x]\n", "runtime_error", "At line 2 of the program: return [][x]"),
        ("pytest", "def f(x):\n    return [][x]\n", "runtime_error", "At line 2 of the program: return [][x]"),
        ("pytest", "def f(x):\n    assert x\n    return x\n", "runtime_error", "At line 2 of the program: assert x"),
    ],
)
def test_what_failed_is_told(sandbox: Sandbox, kind: str, program: str, ended: str, told: str) -> None:
    verdict = code(f"```python\n{program}```", task(KINDS[kind]), sandbox, VerifySettings())
    assert verdict.kind == ended and told in (verdict.feedback or "")


def test_pytest_is_there_for_the_tests_alone(sandbox: Sandbox) -> None:
    program = "def f(x):\n    import pytest\n    return x\n"
    verdict = code(f"```python\n{program}```", task(KINDS["pytest"]), sandbox, VerifySettings())
    assert verdict.kind == "runtime_error" and "ModuleNotFoundError: No module named 'pytest'" in (
        verdict.feedback or ""
    )


PRINTED = {
    "capsys": "def test_f(capsys):\n    f(1)\n    assert capsys.readouterr().out == '1\\n'",
    "redirect": "import contextlib, io\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n    f(1)\n"
    "assert out.getvalue() == '1\\n'",
}


@pytest.mark.parametrize("kind", PRINTED)
def test_tests_of_what_is_printed(sandbox: Sandbox, kind: str) -> None:
    assert check_tests(task(PRINTED[kind]), "code") is None
    programs = ["def f(x):\n    print(x)\n", "def f(x):\n    print(x + 1)\n", RIGHT]
    assert rewards(task(PRINTED[kind]), sandbox, *programs) == [1.0, 0.0, 0.0]


def test_a_class_under_test_and_its_exception(sandbox: Sandbox) -> None:
    source = (
        "import pytest\nfrom solution import Stack, StackError\n@pytest.fixture\ndef stack():\n    return Stack()\n"
        "def test_pop(stack):\n    stack.push(3)\n    assert stack.pop() == 3\n"
        "def test_empty(stack):\n    with pytest.raises(StackError):\n        stack.pop()\n"
    )
    problem = task(source, fn_name="Stack", names=["StackError"])
    assert check_tests(problem, "code") is None
    program = (
        "class StackError(Exception):\n    pass\nclass Stack:\n    def __init__(self):\n        self.items = []\n"
        "    def push(self, x):\n        self.items.append(x)\n    def pop(self):\n        if not self.items:\n"
        "            raise StackError\n        return self.items.pop()\n"
    )
    wrong = [program.replace("raise StackError", "return None"), program.replace("items.pop()", "items[0] + 1")]
    assert rewards(problem, sandbox, program, *wrong) == [1.0, 0.0, 0.0]


def test_a_plain_test_function_is_taken_apart_into_its_asserts() -> None:
    cases = parse_tests(task("def test_f():\n    assert f(1) == 1\n    assert f(2) == 2").tests or "").cases
    assert [case.show() for case in cases if isinstance(case, Assertion)] == [("f(1)", "1"), ("f(2)", "2")]


def test_further_names_of_the_program() -> None:
    inputs = ["try:\n    f(-1)\nexcept FError:\n    pass\nassert f(1) == 1", "for x in [1]:\n    assert f(x) == x"]
    found = parse_tests(task(*inputs, names=["FError", "g"]).tests or "").cases
    assert [(case.further, case.number) for case in found if isinstance(case, ScriptCase)] == [
        (("FError",), 0),
        ((), 1),
    ]
    assert check_tests(task(inputs[0], names="FError"), "code") == (
        "tests.names: 'FError' is no list of names; list what else of the program the tests use"
    )


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (["assert f(1) != 2"], NO_DIFFERENCE),
        (["assert f(1) != 2", "f(2)\nassert 1 + 1 == 2"], NO_DIFFERENCE),
        (["assert f(1) != 2", "assert f(1) == 1"], None),
        (["assert f(1) is None"], None),
        (["assert f(1)"], None),
        (["assert f(1) == f(1)"], None),
    ],
)
def test_a_program_that_solves_nothing_must_fail(inputs: list[str], problem: str | None) -> None:
    assert check_tests(task(*inputs), "code") == problem


@pytest.mark.parametrize("outputs", [[""], ["\n", "  "]])
def test_outputs_that_are_all_blank_are_refused(outputs: list[str]) -> None:
    tests = {"testtype": "stdin", "inputs": ["1"] * len(outputs), "outputs": outputs}
    assert check_tests(Problem(tests=json.dumps(tests)), "code") == (
        "tests.outputs: all blank, and a program that does nothing would pass; give what is printed"
    )


LOOP = "for x in [1, 2]:\n    assert f(x) == x"
VACUOUS = "for x in []:\n    assert f(x) == x"


def test_a_proof_is_made_once_and_a_half_written_one_again(
    cache_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    shown = code_proof._find_weakness
    monkeypatch.setattr(code_proof, "_find_weakness", lambda *args: made.append(1) or shown(*args))
    for _ in range(2):
        assert check_tests(task(LOOP), "code") is None
        assert "never calls f" in (check_tests(task(VACUOUS), "code") or "")
    assert len(made) == 2
    files = sorted((cache_of_its_own / "proofs").iterdir())
    assert len(files) == 2
    for broken in ("", '{"problem":', "[]", "null", '{"problem": 3}'):
        for file in files:
            file.write_text(broken)
        assert check_tests(task(LOOP), "code") is None
        assert "never calls f" in (check_tests(task(VACUOUS), "code") or "")
    assert len(made) == 12


def test_where_no_sandbox_works_the_run_is_refused_and_not_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(settings: VerifySettings) -> Sandbox:
        raise InputError("verify.sandbox: does not work here")

    monkeypatch.setattr(code_proof, "open_sandbox", none)
    assert check_tests(task(VACUOUS), "code") is None
    assert check_tests(task("f(1) == 1"), "code") is not None


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"inputs": ["import numpy\nassert f(1) == 1"]}, "tests.inputs[0]: imports numpy, which the sandbox lacks"),
        ({"setup": "import numpy as np"}, "tests.setup: imports numpy, which the sandbox lacks"),
        ({"setup": "import pytest"}, "tests.setup: imports pytest, which the sandbox lacks"),
        (
            {"testtype": "functional", "inputs": ["1"], "outputs": ["1"], "setup": "import numpy"},
            "tests.setup: imports",
        ),
        ({"inputs": ["m = __import__('nump' + 'y')\nassert f(1) == 1"]}, "tests.inputs[0]: fails whatever the program"),
    ],
)
def test_what_the_sandbox_lacks_is_named_at_load(fields: dict[str, Any], problem: str) -> None:
    tests = {"testtype": "code", "fn_name": "f", "inputs": ["assert f(1) == 1"], **fields}
    assert (check_tests(Problem(tests=json.dumps(tests)), "code") or "").startswith(problem)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            "class TestX:\n    def test_x(self):\n        assert f(4) == 4",
            "needs pytest, which is not installed here; ",
        ),
        ("import pytest\nassert f(pytest) == 4", "imports pytest, which is not installed here; "),
        ("def test_x():\n    assert f(4) == 4", ""),
    ],
)
def test_without_pytest_its_tests_are_refused(monkeypatch: pytest.MonkeyPatch, source: str, problem: str) -> None:
    monkeypatch.setattr(script_names, "testing_packages", tuple)
    parse_tests.cache_clear()
    try:
        found = check_tests(task(source), "code")
    finally:
        parse_tests.cache_clear()
    assert (found or "").startswith(f"tests.inputs[0]: {problem}" if problem else "") and bool(found) == bool(problem)


def test_packages_that_the_settings_name_can_be_imported(sandbox: Sandbox, tmp_path: Path) -> None:
    settings = VerifySettings.model_validate({"sandbox": sandbox.backend, "sandbox_slots": 1, "packages": ["numpy"]})
    problem = task("import numpy as np\nfor x in [np.array([1, 2])]:\n    assert f(x.tolist()) == 3")
    row = {"prompt": "Sum.", "verifier": "code", "tests": json.loads(problem.tests or "")}
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps(row) + "\n")
    assert len(read_tasks(str(path), verify=settings)) == 1
    with pytest.raises(InputError, match=r"jsonl:1: tests\.inputs\[0\]: imports numpy, which the sandbox lacks"):
        read_tasks(str(path))
    with code_proof.open_sandbox(settings) as with_numpy:
        program = "import numpy\ndef f(x):\n    return int(numpy.sum(x))\n"
        assert code(f"```python\n{program}```", problem, with_numpy, settings).reward == 1.0
        assert with_numpy.policy_digest != sandbox.policy_digest
