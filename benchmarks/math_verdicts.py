"""Mathematical verdicts a second: ours, as the verify stage gives them, beside math-verify called directly.

    python benchmarks/math_verdicts.py --out benchmarks/results/math_verdicts.json

`numbers`: GSM8K's own solutions as replies, their answers spelled in eight ways, two of them wrong. `formulas`: roots,
polynomials, intervals, sets and matrices, which our verifier compares in a fork for each. No two replies are the same.
Ours is `mopd.verify.verify`: whole rows, thoughts left out, what a library may hang on in a process that can be killed.
That judges a reply a core at once. Theirs parses an answer once a task and a reply once, one after the other, with the
library's own defaults and time limits. Each in a fresh process, in turn; imports and the first formula are left out of
the time.
`agree`: the share of replies that both give the same verdict.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from apart import apart
from results_file import add_result

DATA = Path(os.environ.get("MOPD_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
NUMBERS: tuple[Callable[[int], str], ...] = (
    lambda n: f"{n}",
    lambda n: f"{n}.0",
    lambda n: rf"\frac{{{2 * n}}}{{2}}",
    lambda n: rf"{n}\text{{ dollars}}",
    lambda n: f"x = {n}",
    lambda n: rf"\${n:,}",
    lambda n: f"{n + 1}",
    lambda n: rf"\frac{{{n}}}{{3}}",
)
FORMULAS: tuple[Callable[[int], tuple[str, ...]], ...] = (
    lambda n: (rf"{n}\sqrt{{3}}", rf"\sqrt{{{3 * n * n}}}", rf"\sqrt{{3}} \cdot {n}", rf"{n}\sqrt{{2}}"),
    lambda n: (rf"\frac{{{n}\pi}}{{6}}", rf"{n} \cdot \frac{{\pi}}{{6}}", rf"\frac{{\pi {n}}}{{6}}", rf"{n}\pi"),
    lambda n: (f"x^2+{n}x+1", f"1+{n}x+x^2", f"x(x+{n})+1", f"x^2+{n + 1}x+1"),
    lambda n: (rf"(-\infty, {n}]", rf"(-\infty,{n}]", rf"x \le {n}", rf"(-\infty, {n})"),
    lambda n: (rf"\{{1, {n}, x\}}", rf"\{{x, {n}, 1\}}", rf"\{{1,{n},x\}}", rf"\{{1, {n}\}}"),
    lambda n: tuple(rf"\begin{{pmatrix}} {a} & 2 \\ 3 & x \end{{pmatrix}}" for a in (n, f"{2 * n}/2", f"{n}.0", n + 1)),
)
"""The answer, two other spellings of it, and one that is wrong."""


class Task(NamedTuple):
    answer: str
    replies: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=60, help="of each kind")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a JSON file, to which the result is added")
    options = parser.parse_args()
    kinds = {"numbers": number_tasks(options.tasks), "formulas": formula_tasks(options.tasks)}
    results = [{"answers": kind, **compare(tasks, options.repeats)} for kind, tasks in kinds.items()]
    for row in results:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.out:
        add_result(options.out, results)


def number_tasks(count: int) -> list[Task]:
    """The first tasks of GSM8K, where it is at hand (`MOPD_DATA`); else sums."""
    path = DATA / "gsm8k_test.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    sums = [f"It is the sum.\n#### {number}" for number in range(count)]
    texts = [json.loads(line)["answer"] for line in lines[:count]] or sums
    tasks = []
    for text in texts:
        solution, _, answer = re.sub(r"<<.*?>>", "", text).rpartition("\n#### ")
        number = int(answer.replace(",", ""))
        replies = [f"{solution}\nThe final answer is \\boxed{{{spell(number)}}}." for spell in NUMBERS]
        tasks.append(Task(answer, replies))
    return tasks


def formula_tasks(count: int) -> list[Task]:
    """Tasks of all forms, in turn."""
    tasks = []
    for number in range(count):
        answer, *others = FORMULAS[number % len(FORMULAS)](number + 2)
        replies = [f"We simplify.\nThe final answer is $\\boxed{{{formula}}}$." for formula in (answer, *others)]
        tasks.append(Task(answer, replies))
    return tasks


def compare(tasks: list[Task], repeats: int) -> dict[str, Any]:
    """Rates of both, one after the other `repeats` times, and their ratios."""
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    verdicts: dict[str, list[bool]] = {}
    for _ in range(repeats):
        for name in WAYS:
            verdicts[name], seconds = apart(measure, name, tasks)
            rates[name].append(len(verdicts[name]) / seconds)
    ratios = sorted(ours / theirs for ours, theirs in zip(rates["mopd"], rates["math_verify"], strict=True))
    return {
        "replies": len(verdicts["mopd"]),
        **{f"{name}_verdicts_per_s": round(statistics.median(values), 1) for name, values in rates.items()},
        "ratio": round(statistics.median(ratios), 2),
        "ratio_from_to": [round(ratios[0], 2), round(ratios[-1], 2)],
        "agree": round(statistics.fmean(map(bool.__eq__, verdicts["mopd"], verdicts["math_verify"])), 3),
    }


def measure(name: str, tasks: list[Task]) -> tuple[list[bool], float]:
    """Verdicts, and the seconds that they took."""
    WAYS[name]([Task("y+1", [r"\boxed{1+y}"])])
    began = time.perf_counter()
    verdicts = WAYS[name](tasks)
    return verdicts, time.perf_counter() - began


def by_mopd(tasks: list[Task]) -> list[bool]:
    from mopd.settings.verify import VerifySettings
    from mopd.verify import verify

    keys = [{"run": "benchmark", "round": 0, "prompt_id": f"p{number}"} for number in range(len(tasks))]
    prompts = [key | {"verifier": "math", "answer": task.answer} for key, task in zip(keys, tasks, strict=True)]
    rollouts = [
        key | {"sample": sample, "text": text, "finish_reason": "stop"}
        for key, task in zip(keys, tasks, strict=True)
        for sample, text in enumerate(task.replies)
    ]
    return [row["success"] is True for row in verify(prompts, rollouts, VerifySettings())]


def by_math_verify(tasks: list[Task]) -> list[bool]:
    from math_verify import parse, verify  # type: ignore[import-untyped]

    verdicts = []
    for task in tasks:
        answer = parse(f"\\boxed{{{task.answer}}}")
        verdicts += [bool(verify(answer, parse(reply))) for reply in task.replies]
    return verdicts


WAYS = {"mopd": by_mopd, "math_verify": by_math_verify}

if __name__ == "__main__":
    main()
