"""What it costs to ask a run something: whole commands, by the clock and of the CPU.

    python benchmarks/command_start.py RUN --out FILE.json

Each command is run once, then `--repeats` times in turn with the others: medians in seconds, with the least. Seconds of
the CPU, which other work changes less, are those of the command and of what it waited for. `python` is the interpreter
alone, and `import` what a `SELECT 1` can't do without: the command line and DuckDB.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from results_file import add_result

from storage.lookup import manifests
from storage.runs import RunFolder

MOPD = [sys.executable, "-m", "flows.cli"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", nargs="*", help="names of commands")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    commands = {name: words for name, words in list_commands(options.run).items() if name in (options.only or [name])}
    load = os.getloadavg()[0]
    for words in commands.values():
        measure(words)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(options.repeats):
        for name, words in commands.items():
            seconds[name].append(measure(words))
    results = [{"command": name, **summarize(times)} for name, times in seconds.items()]
    for result in results:
        print(
            "{command:<12} wall {wall:.2f} (least {least_wall:.2f})   cpu {cpu:.2f} (least {least_cpu:.2f})".format(
                **result
            )
        )
    if options.out is not None:
        add_result(options.out, results, load=round(load, 1))


def list_commands(run: Path) -> dict[str, list[str]]:
    """Each command in words."""
    folder = RunFolder.open(run)
    config = str(Path(__file__).parents[1] / "examples" / "tiny.yaml")
    prompt = _first_prompt(folder)
    asked = ["--round", "0", "--prompt", prompt]
    return {
        "python": [sys.executable, "-c", "pass"],
        "import": [sys.executable, "-c", "import cyclopts, duckdb, flows.cli.commands"],
        "help": [*MOPD, "--help"],
        "sql": [*MOPD, "sql", str(run), "SELECT 1"],
        "sql rows": [*MOPD, "sql", str(run), "SELECT count(*) FROM rollouts"],
        "status": [*MOPD, "status", str(run)],
        "show": [*MOPD, "show", str(run), *asked],
        "show sample": [*MOPD, "show", str(run), *asked, "--sample", "0"],
        "trace": [*MOPD, "trace", str(run), *asked, "--sample", "0"],
        "digest": [*MOPD, "digest", str(run)],
        "verify": [*MOPD, "verify", str(run)],
        "plan": [*MOPD, "plan", config],
        "run": [*MOPD, "run", str(run)],
    }


def _first_prompt(folder: RunFolder) -> str:
    from storage.reading import read_rows

    return str(read_rows(folder, manifests(folder, "rollouts", 0)[0], ["prompt_id"])[0]["prompt_id"])


def measure(words: list[str]) -> tuple[float, float]:
    """Seconds by the clock and of the CPU."""
    began = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if status:
        sys.exit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return wall, usage.ru_utime + usage.ru_stime


def summarize(times: list[tuple[float, float]]) -> dict[str, float]:
    """Medians, and the least."""
    walls, cpus = zip(*times, strict=True)
    figures = {"wall": statistics.median(walls), "least_wall": min(walls)}
    figures |= {"cpu": statistics.median(cpus), "least_cpu": min(cpus)}
    return {name: round(value, 3) for name, value in figures.items()}


if __name__ == "__main__":
    main()
