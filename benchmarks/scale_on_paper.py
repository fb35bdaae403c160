"""A run past this machine, on paper: time and bytes of a round of Qwen3-8B on 8 and on 64 H100s, stage by stage.

    python benchmarks/scale_on_paper.py            # prints the tables
    python benchmarks/scale_on_paper.py --write    # puts them into docs/scale.md

Nothing here runs a model: see `scale_rates.py` for what is assumed, `scale_round.py` for the arithmetic.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

from scale_rates import RATES, rate
from scale_round import (
    BUSY,
    CASES,
    TABLES_OF_TRAINING,
    Case,
    bus,
    generating_seconds,
    models,
    overlapped,
    ring_bytes,
    seconds,
)

from flows.report.table import Column, Row, Table
from mopd.memory.host import host_memory
from mopd.memory.sizes import GIGABYTE
from mopd.memory.stages import stage_memory

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scale.md"
TABLES_OF_SHARDS = 5
"""Of a round: prompts, rollouts, verdicts, contexts, scores."""
GIGABYTE_OF_FILES = 1e9
PARTS = ("weights", "teacher", "weights in bfloat16", "gradients", "optimizer", "gathered weights", "activations")
"""Of a GPU's memory, each with a column."""
MEMORY: list[tuple[str, Case, dict[str, Any]]] = [
    ("generate", CASES[0], {}),
    ("score", CASES[0], {}),
    ("train, a copy a rank", CASES[0], {"shard": "none"}),
    ("train, shared by 8 ranks", CASES[0], {}),
    ("train, shared by 64 ranks", CASES[1], {}),
]
"""A row each: what it is called, a case, and other settings of training."""
EXCHANGES = (
    ("none", "all-reduce of the gradients, an update", 2),
    ("full", "all-gather twice, reduce-scatter once, a micro-batch", 3),
)
"""What ranks exchange by `train.shard`, and how many times all weights that is."""
BYTES: dict[str, Callable[[Case], float]] = {
    "`scores`, `rollouts`, `contexts`, written": lambda case: case.shard_bytes,
    "policy, written and kept": lambda case: case.policy,
    "teacher and optimizer, written, the newest kept": lambda case: case.teacher + case.optimizer,
    "policy, teacher, optimizer to the other hosts": lambda case: (case.num_hosts - 1) * case.saved,
    "`scores` to the hosts of the ranks": lambda case: (case.num_hosts - 1) * case.score_bytes,
    "kept after 100 rounds": lambda case: 100 * (case.policy + case.shard_bytes),
}
LEVERS: dict[str, dict[str, float]] = {
    "the store takes and gives 10 GB/s a host": {"store": 10e9},
    "sha256 while bytes pass, not after": {"sha256": 1e15},
    "both": {"store": 10e9, "sha256": 1e15},
    "engines that stay, and take new weights": {"engine": 0.0},
    "decoding at 90 % of the bandwidth": {"decoding": 0.9},
    "training and scoring at 16 % of the peak": {"mfu": 0.16},
}


def assumed_table() -> Table:
    """All rates."""
    return Table.of([{"rate": entry.shown, "of what": entry.what, "source": entry.source} for entry in RATES.values()])


def time_table() -> Table:
    """Seconds of a round, a row a part, a column a case."""
    of_case = {case.name: seconds(case) for case in CASES}
    totals = {name: sum(parts.values()) for name, parts in of_case.items()}
    rows: list[Row] = [
        {"part": part, **{name: parts[part] for name, parts in of_case.items()}} for part in of_case[CASES[0].name]
    ]
    busy = {name: sum(parts[part] for part in BUSY) / totals[name] for name, parts in of_case.items()}
    rows += [
        {"part": "**a round**", **totals},
        {"part": "of it all GPUs compute", **{name: f"{share:.0%}" for name, share in busy.items()}},
        {"part": "tokens of replies a second", **{case.name: case.num_tokens / totals[case.name] for case in CASES}},
    ]
    return Table([Column("part"), *(Column(name, form=",.0f") for name in of_case)], rows)


def bottleneck_table() -> Table:
    """The three largest parts of a round."""
    rows: list[Row] = []
    for case in CASES:
        parts = seconds(case)
        largest, whole = sorted(parts, key=lambda part: -parts[part])[:3], sum(parts.values())
        shares = [f"{re.split('[,:]', part)[0]} {parts[part] / whole:.0%}" for part in largest]
        rows.append({"round": case.name, **dict(zip(("first", "second", "third"), shares, strict=True))})
    return Table.of(rows)


def lever_table() -> Table:
    """Seconds of the largest round on the most GPUs, if one thing were otherwise."""
    case = CASES[-1]
    now = sum(seconds(case).values())
    rows: list[Row] = [{"if": "as it is", "a round, s": round(now)}]
    for what, values in LEVERS.items():
        with changed_rates(values):
            after = sum(seconds(case).values())
        rows.append({"if": what, "a round, s": round(after), "change": f"{after / now - 1:+.0%}"})
    return Table.of(rows)


@contextmanager
def changed_rates(values: dict[str, float]) -> Iterator[None]:
    """Other rates for a while."""
    kept = dict(RATES)
    RATES.update({name: RATES[name]._replace(value=value) for name, value in values.items()})
    try:
        yield
    finally:
        RATES.update(kept)


def overlap_table() -> Table:
    """What a round of staleness would win."""
    rows: list[Row] = []
    for case in CASES:
        now, after = sum(seconds(case).values()), overlapped(case)
        won = f"{1 - after / now:.0%}"
        rows.append({"round": case.name, "staleness 0, s": round(now), "staleness 1, s": round(after), "won": won})
    return Table.of(rows)


def shard_table() -> Table:
    """What it costs to deal out smaller shards."""
    rows: list[Row] = []
    for waves in (1, 2, 4, 8):
        case = Case(512, 8, waves)
        whole = generating_seconds(case)
        rows.append(
            {
                "shards an engine": waves,
                "replies a shard": case.num_rollouts // case.num_shards,
                "generate, s": round(whole),
                "lost with an engine that dies, at most, s": round(whole / waves),
            }
        )
    return Table.of(rows)


def memory_table() -> Table:
    """Gigabytes of 2^30 bytes of one GPU by stage, and of its host."""
    rows: list[Row] = []
    for title, case, overrides in MEMORY:
        settings = case.settings.model_copy(update={"train": case.settings.train.model_copy(update=overrides)})
        stage = title.partition(",")[0]
        sizes = {part: size / GIGABYTE for part, size in stage_memory(settings, models(), case.device)[stage].items()}
        parts, whole = {part: size for part, size in sizes.items() if part in PARTS}, sum(sizes.values())
        host = host_memory(settings, models(), case.device)[stage] / GIGABYTE if case.num_hosts == 1 else None
        rows.append({"stage": title, **parts, "rest": whole - sum(parts.values()), "all": whole, "its host": host})
    return Table([Column("stage"), *(Column(key, form=".1f") for key in (*PARTS, "rest", "all", "its host"))], rows)


def exchange_table() -> Table:
    """Bytes and seconds between ranks."""
    rows: list[Row] = []
    for num_gpus in (8, 64):
        for shard, what, times in EXCHANGES:
            moved, speed = times * ring_bytes(num_gpus), bus(num_gpus)
            rows.append(
                {
                    "train.shard": shard,
                    "ranks": num_gpus,
                    "what": what,
                    "GB a rank": round(moved / 1e9),
                    "at, GB/s": round(speed / 1e9),
                    "s": f"{moved / speed:.2f}",
                }
            )
    return Table.of(rows)


def byte_table() -> Table:
    """Gigabytes of 10^9 bytes of a round."""
    rows: list[Row] = [
        {"what": what, **{case.name: size(case) / GIGABYTE_OF_FILES for case in CASES}} for what, size in BYTES.items()
    ]
    return Table([Column("what"), *(Column(case.name, form=",.1f") for case in CASES)], rows)


def request_table() -> Table:
    """Requests of a round to an object store and what they take, and how many shards a query finds."""
    rows: list[Row] = []
    for case in CASES:
        written = TABLES_OF_SHARDS * case.num_shards + 2  # the updates, and the policy
        writes = 2 * written + ceil(case.saved / rate("part"))
        reads = 2 * TABLES_OF_TRAINING * case.num_shards
        rows.append(
            {
                "round": case.name,
                "writes": f"{writes:,}",
                "at the prefix's limit, s": f"{writes / rate('writes'):.1f}",
                "a shard's commit, s": f"{2 * rate('latency'):.1f}",
                "reads of training, a host": f"{reads:,}",
                "one by one, s": f"{reads * rate('latency'):.0f}",
                "shards a table, 100 rounds": f"{100 * case.num_shards:,}",
                "rollouts": f"{100 * case.num_rollouts:,}",
            }
        )
    return Table.of(rows)


TABLES: dict[str, Callable[[], Table]] = {
    "assumed": assumed_table,
    "time": time_table,
    "bottleneck": bottleneck_table,
    "levers": lever_table,
    "overlap": overlap_table,
    "shards": shard_table,
    "memory": memory_table,
    "exchange": exchange_table,
    "bytes": byte_table,
    "requests": request_table,
}
"""By the name that stands before it in the page."""


def filled(page: str) -> str:
    """The page with each table as it is reckoned now, between `<!-- NAME -->` and `<!-- end -->`."""

    def put(mark: re.Match[str]) -> str:
        return f"<!-- {mark[1]} -->\n{TABLES[mark[1]]().markdown()}\n<!-- end -->"

    return re.sub(r"<!-- (\w+) -->\n.*?<!-- end -->", put, page, flags=re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scale.md")
    parser.add_argument("--check", action="store_true", help="exit code 1 where those there are others")
    options = parser.parse_args()
    if options.check:
        return 0 if filled(PAGE.read_text()) == PAGE.read_text() else 1
    if options.write:
        PAGE.write_text(filled(PAGE.read_text()))
    else:
        print(*(f"{name}\n{table().terminal()}\n" for name, table in TABLES.items()), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
