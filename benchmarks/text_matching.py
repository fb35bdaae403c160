"""Seconds to compare two texts of 30,000 characters: ours beside cydifflib (difflib's search in C), where it is there.

    python benchmarks/text_matching.py --out FILE.json

Seconds are the CPU's, the least of three. `prepare` is spent once for each text of a group, `pair` for each pair.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mopd.measures.text_matching import Matcher

SIZE = 30_000
ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the result")
    options = parser.parse_args()
    results = {name: compare(*texts) for name, texts in pairs().items()}
    for name, row in results.items():
        print(f"{name:<8}", "  ".join(f"{key} {value}" for key, value in row.items()))
    if options.out:
        options.out.write_text(json.dumps({**machine(), "results": results}, indent=2) + "\n")


def pairs() -> dict[str, tuple[str, str]]:
    """Two texts of each kind."""
    draw = random.Random(0)
    prose, code = (
        "".join(path.read_text() for path in sorted(ROOT.glob(glob))) for glob in ("docs/*.md", "mopd/*/*.py")
    )
    words = prose[:SIZE].split(" ")
    return {
        "prose": (prose[:SIZE], prose[-SIZE:]),
        "code": (code[:SIZE], code[-SIZE:]),
        "edited": (prose[:SIZE], " ".join(word if draw.random() > 0.1 else "other" for word in words)),
        "digits": ("".join(draw.choices("0123456789 ", k=SIZE)), "".join(draw.choices("0123456789 ", k=SIZE))),
    }


def compare(first: str, second: str) -> dict[str, Any]:
    """The seconds of both, and whether they agree."""
    matcher = Matcher(second)
    prepare, _ = timed(lambda: Matcher(second).num_matched(""))
    matcher.num_matched("")
    pair, ratio = timed(lambda: matcher.ratio(first))
    row: dict[str, Any] = {"prepare": round(prepare, 3), "pair": round(pair, 3)}
    try:
        cydifflib = importlib.import_module("cydifflib")
    except ImportError:
        return row
    seconds, other = timed(lambda: cydifflib.SequenceMatcher(None, first, second, autojunk=False).ratio())
    return {**row, "cydifflib": round(seconds, 3), "equal": ratio == other}


def timed(function: Callable[[], float]) -> tuple[float, float]:
    """The least seconds of three calls, and what the function returns."""
    times = []
    for _ in range(3):
        began = time.process_time()
        result = function()
        times.append(time.process_time() - began)
    return min(times), result


def machine() -> dict[str, Any]:
    """Where and how it was measured."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "command": " ".join(["python", "benchmarks/text_matching.py", *sys.argv[1:]]),
    }


if __name__ == "__main__":
    main()
