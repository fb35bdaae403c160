"""Row formats: what each reader makes of two rows, and of rows that are wrong; every file of real tasks is read."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from mopd.errors import InputError
from mopd.tasks.files import read_tasks
from mopd.tasks.formats import BOXED, WHOLE_FUNCTION, read_record
from mopd.tasks.task import Task, task_record

DATA = Path(os.environ.get("MOPD_DATA", Path(__file__).parents[3] / "../shared/data"))
TESTS = {"testtype": "stdin", "inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"], "time_limit": 2}
HUMAN_EVAL = {
    "task_id": "HumanEval/1000",
    "prompt": 'def helper():\n    return 1\n\n\ndef twice(a: int) -> int:\n    """Double."""\n',
    "entry_point": "twice",
    "canonical_solution": "    return 2 * a\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 6\n",
}


def asks(text: str, system: str | None = None) -> list[dict[str, str]]:
    first = [{"role": "system", "content": system}] if system else []
    return [*first, {"role": "user", "content": text}]


ROWS: list[tuple[str, dict[str, Any], Task]] = [
    (
        "our own",
        {"id": "a", "messages": asks("1 + 1?", "Be brief."), "answer": "2", "verifier": "exact", "metadata": {"n": 1}},
        Task("a", asks("1 + 1?", "Be brief."), "2", "exact", "src", {"n": 1}),
    ),
    (
        "our own, code",
        {"id": "b", "prompt": "Add.", "tests": TESTS, "verifier": "code", "dataset": "d", "answer": None},
        Task("b", asks("Add."), "", "code", "d", {}, json.dumps(TESTS)),
    ),
    (
        "paper, mcq",
        {
            "idx": 473,
            "kind": "mcq",
            "dataset": "sciknoweval",
            "answer": "B",
            "elo": 1500,
            "prompt": "Which?",
            "description": "Which? ...",
            "tests": "-",
            "embedding": [],
            "system": "\nPick a letter.\n",
        },
        Task(
            "sciknoweval/473-5e74ba",
            asks("Which?", "\nPick a letter.\n"),
            "B",
            "mcq",
            "sciknoweval",
            {"idx": 473, "kind": "mcq", "elo": 1500},
        ),
    ),
    (
        "paper, tool use",
        {
            "prompt": "Call it.",
            "description": "Call it.",
            "idx": 4046,
            "dataset": "tooluse",
            "system": None,
            "answer": '[{"Action": "f", "Action_Input": "{}"}]',
            "tests": None,
            "kind": "tooluse",
            "elo": 1500,
        },
        Task(
            "tooluse/4046-aeb6b3",
            asks("Call it."),
            '[{"Action": "f", "Action_Input": "{}"}]',
            "tool_use",
            "tooluse",
            {"idx": 4046, "kind": "tooluse", "elo": 1500},
        ),
    ),
    (
        "paper, code",
        {"prompt": "Add.", "kind": "code", "idx": None, "dataset": "lcb", "tests": json.dumps(TESTS), "system": " "},
        Task("", asks("Add."), "", "code", "lcb", {"kind": "code"}, json.dumps(TESTS)),
    ),
    (
        "code",
        {"prompt": "Add.", "idx": 3, "tests": TESTS, "system": "Write Python."},
        Task("src/3", asks("Add.", "Write Python."), "", "code", "src", {}, json.dumps(TESTS)),
    ),
    (
        "HumanEval",
        HUMAN_EVAL,
        Task(
            "HumanEval/1000",
            asks(f"{WHOLE_FUNCTION}\n\n```python\n{HUMAN_EVAL['prompt'].strip()}\n```"),
            "",
            "code",
            "src",
            {
                "canonical_solution": "    return 2 * a\n",
                "solution": f"```python\n{HUMAN_EVAL['prompt'].strip()}\n    return 2 * a\n```",
            },
            json.dumps(
                {
                    "testtype": "code",
                    "fn_name": "twice",
                    "inputs": ["assert twice(2) == 4", "assert twice(3) == 6"],
                    "outputs": [],
                    "setup": "def helper():\n    return 1",
                }
            ),
        ),
    ),
    (
        "GSM8K",
        {"question": "Eggs?", "answer": "She sells 3*3 = <<3*3=9>>9.\n#### 1,018", "idx": 0},
        Task("src/0", asks("Eggs?"), "1,018", "numeric", "src", {"solution": "She sells 3*3 = 9."}),
    ),
    (
        "GSM8K without idx",
        {"question": "Eggs?", "answer": "#### -3"},
        Task("", asks("Eggs?"), "-3", "numeric", "src"),
    ),
    (
        "AIME",
        {
            "id": 60,
            "problem": "Find $x$.",
            "solution": "It is 25.",
            "answer": "025",
            "url": "u",
            "question": "Find $x$.",
        },
        Task("src/60", asks(f"Find $x$.\n\n{BOXED}"), "025", "math", "src", {"url": "u", "solution": "It is 25."}),
    ),
    (
        "MATH",
        {"problem": "Find $x$.", "level": "Level 2", "type": "Algebra", "solution": "It is $\\boxed{\\frac{1}{2}}$."},
        Task(
            "",
            asks(f"Find $x$.\n\n{BOXED}"),
            "\\frac{1}{2}",
            "math",
            "src",
            {"level": "Level 2", "type": "Algebra", "solution": "It is $\\boxed{\\frac{1}{2}}$."},
        ),
    ),
    (
        "our own, with a demonstration",
        {
            "prompt": "How many?",
            "answer": "2",
            "verifier": "exact",
            "demonstration": "One and one.",
            "metadata": {"a": 1},
        },
        Task("", asks("How many?"), "2", "exact", "src", {"a": 1, "solution": "One and one."}),
    ),
    (
        "the paper's, with a solution",
        {"prompt": "How many?", "answer": "B", "kind": "mcq", "solution": "One and one.", "demonstration": " "},
        Task("", asks("How many?"), "B", "mcq", "src", {"kind": "mcq", "solution": "One and one."}),
    ),
    (
        "AMC",
        {"id": 0, "problem": "Find $y$.", "answer": 27.0},
        Task("src/0", asks(f"Find $y$.\n\n{BOXED}"), "27", "math", "src"),
    ),
    ("MAWPS", {"input": "Shells ?", "target": 43.0}, Task("", asks("Shells ?"), "43", "numeric", "src")),
    (
        "MAWPS, decimals",
        {"input": "Share ?", "target": 3.33333},
        Task("", asks("Share ?"), "3.33333", "numeric", "src"),
    ),
]


@pytest.mark.parametrize(("row", "task"), [pytest.param(row, task, id=name) for name, row, task in ROWS])
def test_a_row_becomes_a_task(row: dict[str, Any], task: Task) -> None:
    assert read_record(row, "src") == task


@pytest.mark.parametrize("task", [pytest.param(task, id=name) for name, _, task in ROWS])
def test_a_task_written_in_our_own_format_reads_back_equal(task: Task) -> None:
    record = json.loads(json.dumps({**task_record(task), "id": task.id or None}))
    assert read_record(record, "elsewhere") == task


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "Eggs?", "answer": "18"}, "answer: has no final answer after ####"),
        ({"question": "Eggs?", "answer": "a #### "}, "answer: has no final answer after ####"),
        ({"problem": "Find.", "answer": True}, "answer: must be a string, not true or false"),
        ({"input": "Shells?", "target": "  "}, "target: empty; fill it in"),
        ({"prompt": "Which?", "kind": 3}, "kind: must be a string, not a number"),
        ({"prompt": "Which?", "kind": "mcq", "idx": "3"}, "idx: must be a whole number, not a string"),
        ({"prompt": "Which?", "kind": "mcq", "system": ["x"]}, "system: must be a string, not a list"),
        ({**HUMAN_EVAL, "test": "def check(candidate)"}, "test: not Python"),
        ({"prompt": "x", "verifier": "exact", "metadata": {"a": {1, 2}}}, "metadata: can't be written as JSON"),
        ({"problem": "Find.", "answer": None}, "fields problem: no format that is known"),
        (
            {"problem": "Find.", "solution": "It is 2."},
            "solution: has no answer in \\boxed{}; add it",
        ),
        (
            {"prompt": "x", "verifier": "exact", "answer": "2", "solution": "a", "demonstration": "b"},
            "solution, demonstration: both given; keep one of them",
        ),
        ({}, "fields (none): no format that is known"),
    ],
)
def test_a_bad_row_is_named_by_its_field(row: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        read_record(row, "src")


def test_a_kind_that_no_verifier_has(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"prompt": "Which?", "kind": "essay", "answer": "B"}))
    with pytest.raises(InputError, match=r"t\.jsonl:1: verifier: 'essay' is unknown; choose one of"):
        read_tasks(str(path))


NUM_TASKS = {
    "aime24_test": 30,
    "amc23_test": 40,
    "gsm8k_test": 1319,
    "gsm8k_train": 7473,
    "mawps_addsub": 395,
    "mawps_singleop": 562,
    "sciknoweval_biology_test": 50,
    "sciknoweval_biology_train": 450,
    "sciknoweval_chemistry_test": 210,
    "sciknoweval_chemistry_train": 1890,
    "tooluse": 34,
}


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real tasks: {DATA} is absent (set MOPD_DATA)")
@pytest.mark.parametrize(("name", "count"), NUM_TASKS.items())
def test_real_tasks_pass_their_verifiers_checks(name: str, count: int) -> None:
    tasks = read_tasks(str(DATA / f"{name}.jsonl"))
    assert len({task.id for task in tasks}) == len(tasks) == count
    assert all(task.answer for task in tasks)
