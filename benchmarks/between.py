"""What stands between a run's shards: its start, what is loaded and asked of Prefect between them, and its end.

    python benchmarks/between.py examples/tiny.yaml --repeats 3 --beside ../other-checkout --out FILE.json

`mopd run` as a command, in a new folder each time; with `--beside`, another checkout's in turn with it, by the
environment in its `.venv`. Seconds: `wall`
of the command, `work` while any shard was being made, by the manifests, `start` before the first of them, `end` after
the last, `between` the rest: nothing was made then. Medians, with the least and the most. `stages` has the rest by the
table whose shard came next: of all repeats the median. `rounds` has of each round the share that stands between its own
shards, as `mopd status` has it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from results_file import add_result

from flows.report.status.state import run_status
from storage.lookup import manifests
from storage.manifests import TABLES
from storage.runs import RunFolder

ROOT = Path(__file__).parents[1]
PARTS = ("wall", "start", "between", "end", "work")


class Made(NamedTuple):
    """When a shard was made, in seconds since the epoch, and of which table it is."""

    begun: float
    ended: float
    table: str


class Timeline(NamedTuple):
    """Of one run."""

    parts: dict[str, float]
    """Seconds of each of PARTS."""
    stages: Counter[str]
    """`between` by the table of the shard that came next."""
    rounds: list[float]
    """Of each round the share that stands between its shards."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--beside", type=Path, help="another checkout")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    checkouts = {"here": ROOT, **({"beside": options.beside.resolve()} if options.beside else {})}
    timelines: dict[str, list[Timeline]] = {name: [] for name in checkouts}
    for _ in range(options.repeats):
        for name, checkout in checkouts.items():
            with tempfile.TemporaryDirectory() as folder:
                timelines[name].append(measure(checkout, options.config.resolve(), Path(folder), options.overrides))
    results = [{"checkout": name, **summarize(measured)} for name, measured in timelines.items()]
    for result in results:
        print(result)
    if options.out is not None:
        add_result(options.out, results, load=round(load, 1))


def measure(checkout: Path, config: Path, folder: Path, overrides: list[str]) -> Timeline:
    """One run."""
    python = str(checkout / ".venv" / "bin" / "python")
    command = [python, "-m", "flows.cli", "run", str(config), "--run", str(folder / "run"), *changes(overrides)]
    began = time.time()
    subprocess.run(command, cwd=checkout, check=True, stdout=subprocess.DEVNULL)
    return timeline(RunFolder.open(folder / "run"), began, time.time())


def changes(overrides: list[str]) -> list[str]:
    """The overrides as arguments."""
    return [word for override in overrides for word in ("--set", override)]


def timeline(run: RunFolder, began: float, ended: float) -> Timeline:
    """What a command did between two times, by the manifests that it left."""
    there = [manifest for table in TABLES for manifest in manifests(run, table, name=None)]
    ends = [(datetime.fromisoformat(manifest.created).timestamp(), manifest) for manifest in there]
    shards = sorted(Made(end - (manifest.info.get("seconds") or 0), end, manifest.table) for end, manifest in ends)
    stages: Counter[str] = Counter()
    last = shards[0].begun
    for shard in shards:
        stages[shard.table] += max(0.0, shard.begun - last)
        last = max(last, shard.ended)
    parts = {"wall": ended - began, "start": shards[0].begun - began, "between": stages.total(), "end": ended - last}
    parts["work"] = parts["wall"] - parts["start"] - parts["between"] - parts["end"]
    return Timeline(parts, stages, [share_between(entry) for entry in run_status(run)["rounds"] if entry["ended"]])


def share_between(entry: dict[str, Any]) -> float:
    """Of a round's seconds those in which none of its shards was made."""
    began, ended = (datetime.fromisoformat(entry[name]).timestamp() for name in ("began", "ended"))
    return float(entry["between"]) / (ended - began)


def summarize(timelines: list[Timeline]) -> dict[str, Any]:
    """Medians, with the least and the most; the share of all that is no work."""
    spans = {part: [round(line.parts[part], 2) for line in timelines] for part in PARTS}
    medians = {part: statistics.median(seconds) for part, seconds in spans.items()}
    tables = {table for line in timelines for table in line.stages}
    stages = {table: round(statistics.median(line.stages[table] for line in timelines), 2) for table in sorted(tables)}
    return {
        **medians,
        "spread": {part: [min(seconds), max(seconds)] for part, seconds in spans.items()},
        "no work": round(1 - medians["work"] / medians["wall"], 3),
        "stages": stages,
        "rounds": [round(statistics.median(shares), 3) for shares in zip(*(line.rounds for line in timelines))],
    }


if __name__ == "__main__":
    main()
