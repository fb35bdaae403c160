"""A shard's own cost beside its work: what it takes to read, convert, write, hash and commit, part by part.

    python benchmarks/shard_cost.py --rollouts 64 --tokens 512 --support 100 --out FILE.json

The rows are made up: scores with a support of so many tokens at each position (0: none, as for objectives that need
none), and the rollouts that they are made from. Each part is timed by itself on the same rows, in turn, `--repeats`
times: medians in milliseconds, with the least and the most. `commit` is all of a commit; `manifest` is one of a shard
without data, and so its locks, links and syncs alone; `disk` is four files of 4 KiB written and synced one after the
other, which is about what the file system asks for so many syncs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from results_file import add_result

from storage.arrow import to_table
from storage.reading import read_rows
from storage.runs import RunFolder
from storage.shards import Manifest, _write_parquet, commit_again, commit_shard
from storage.stores.files import sha256_file, write_durably

Rows = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=512, help="of each rollout")
    parser.add_argument("--support", type=int, default=100, help="tokens at each position; 0 for none")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="on the disk that is meant (default: a temporary one)")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        results = measure(Path(folder), options)
    for result in results:
        print(f"{result['part']:<10} {result['ms']:8.1f} ms   {result['least']:.1f} to {result['most']:.1f}")
    if options.out is not None:
        add_result(options.out, results, load=round(load, 1))


def measure(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each part's milliseconds."""
    run = RunFolder.create(folder / "run", {"settings": {}})
    scores = score_rows(options.rollouts, options.tokens, options.support)
    rollouts = rollout_rows(options.rollouts, options.tokens)
    numbers = iter(range(1_000_000))
    file, table = folder / "shard.parquet", to_table("scores", scores)

    def commit(name: str, rows: Rows) -> Manifest:
        number = next(numbers)
        return commit_shard(run, name, round=0, shard=number, key=f"{number:064x}", rows=rows, parents=[], info={})

    made, read = commit("scores", scores), commit("rollouts", rollouts)
    parts: dict[str, Callable[[], Any]] = {
        "read": lambda: read_rows(run, read),
        "convert": lambda: to_table("scores", scores),
        "write": lambda: _write_parquet(table, file),
        "hash": lambda: sha256_file(file),
        "manifest": lambda: commit_again(run, made, key=f"{next(numbers):064x}", parents=[], info={}),
        "commit": lambda: commit("scores", scores),
        "disk": lambda: [write_durably(folder / f"{next(numbers)}", bytes(4096)) for _ in range(4)],
    }
    seconds: dict[str, list[float]] = {part: [] for part in parts}
    for _ in range(options.repeats):
        for part, work in parts.items():
            began = time.perf_counter()
            work()
            seconds[part].append(time.perf_counter() - began)
    size = made.bytes / 1e6
    return [{"part": part, **in_milliseconds(times), "file_mb": round(size, 2)} for part, times in seconds.items()]


def in_milliseconds(times: list[float]) -> dict[str, float]:
    """Median, least and most."""
    values = statistics.median(times), min(times), max(times)
    return {name: round(1000 * value, 2) for name, value in zip(("ms", "least", "most"), values, strict=True)}


def score_rows(num: int, tokens: int, support: int) -> Rows:
    """Rows of random numbers, log-probabilities between -20 and 0."""
    generator = np.random.default_rng(0)

    def logps(*shape: int) -> np.ndarray:
        return -20 * generator.random(shape, dtype=np.float32)

    return [
        {
            **rollout,
            "teacher": "student",
            "teacher_version": 0,
            "proximal_logprobs": logps(tokens),
            "teacher_logprobs": logps(tokens),
            "reference_logprobs": None,
            "support_ids": generator.integers(0, 50_000, (tokens, support), dtype=np.int32) if support else None,
            "support_teacher_logprobs": logps(tokens, support) if support else None,
            "support_student_logprobs": logps(tokens, support) if support else None,
            "advantage": 0.5,
            "distill": True,
            "mean_teacher_logprob": -1.0,
            "context_digest": "0" * 64,
        }
        for rollout in (
            {name: value for name, value in row.items() if name not in ("text", "finish_reason", "seed")}
            for row in rollout_rows(num, tokens)
        )
    ]


def rollout_rows(num: int, tokens: int) -> Rows:
    """The rollouts, eight of each prompt."""
    generator = np.random.default_rng(1)
    return [
        {
            "run": "run",
            "round": 0,
            "prompt_id": f"task-{number // 8:05d}",
            "sample": number % 8,
            "policy_version": 0,
            "prompt_token_ids": generator.integers(0, 50_000, 100, dtype=np.int32),
            "token_ids": generator.integers(0, 50_000, tokens, dtype=np.int32),
            "text": "word " * tokens,
            "behavior_logprobs": -20 * generator.random(tokens, dtype=np.float32),
            "finish_reason": "length",
            "temperature": 1.0,
            "seed": number,
        }
        for number in range(num)
    ]


if __name__ == "__main__":
    main()
