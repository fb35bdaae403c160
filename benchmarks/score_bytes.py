"""Scores of a real model: bytes a token and rates, beside other ways to keep them, and what rounding does to the loss.

    python benchmarks/score_bytes.py --samples FOLDER --out benchmarks/results/score_bytes.json

Rates are megabytes of numbers (four bytes each) a second of one thread's CPU time, the best of the repeats, the file in
the page cache. Every way keeps the same columns, checked to be read back: those of a score row, with the student's
log-probabilities where `student` says so. Errors are those of rounded teacher scores beside exact ones, in float64:
the mean loss; the mean absolute error of a token's loss; the length of the gradients' difference, at the student's
logits, all tokens as one vector; each as a share of the exact one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from score_samples import SCENARIOS, Rows, Scored, score_scenario
from torch import Tensor

from mopd.objectives.losses import divergence, renormalized, with_tail
from mopd.objectives.rounding import DISPLAY_BITS, HALF_BITS, round_logps
from storage.arrow import to_table
from storage.reading import ShardFile
from storage.runs import RunFolder
from storage.schemas import SCHEMAS
from storage.shards import commit_shard, find_manifest, shard_key

REPEATS = 7
ALPHAS = (0.0, 0.5, 1.0)
TAILS: dict[str, Callable[[Tensor], Tensor]] = {"bucket": with_tail, "renormalize": renormalized}


class Way(NamedTuple):
    """One way of keeping score rows in a folder."""

    write: Callable[[Rows, Path], object]
    read: Callable[[Path], object]
    """Every number, as arrays or as the way has them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, help="a folder that keeps what was scored, for the next time")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    results = {}
    for name in SCENARIOS:
        scored = score_scenario(name, options.samples)
        results[name] = {"tokens": len(scored.student_TK), "ways": measure(scored), "rounding": errors(scored)}
        print(json.dumps(results[name], indent=1), flush=True)
    options.out.write_text(json.dumps({**machine(), "results": results}, indent=1) + "\n")


def machine() -> dict[str, Any]:
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    command = "python benchmarks/score_bytes.py --samples FOLDER --out FILE"
    cores = len(os.sched_getaffinity(0))
    return {"date": date, "machine": platform.platform(), "cores": cores, "command": command, "pyarrow": pa.__version__}


def measure(scored: Scored) -> list[dict[str, Any]]:
    """Bytes a token and rates of every way, for each kind of rows."""
    report = []
    for precision, student in (("float32", False), ("float32", True), ("float16", False), ("float16", True)):
        rows = make_rows(scored, precision, student=student)
        numbers = sum(value.size for row in rows for value in row.values() if isinstance(value, np.ndarray))
        write_and_read(WAYS["shard"], rows)  # what is imported on the way
        for name, way in WAYS.items():
            seconds = [write_and_read(way, rows) for _ in range(REPEATS)]
            size, write_seconds, read_seconds = (min(values) for values in zip(*seconds, strict=True))
            report.append(
                {
                    "way": name,
                    "precision": precision,
                    "student": student,
                    "bytes_per_token": round(size / len(scored.student_TK), 1),
                    "write_mb_per_second": round(4e-6 * numbers / write_seconds, 1),
                    "read_mb_per_second": round(4e-6 * numbers / read_seconds, 1),
                }
            )
    return report


def make_rows(scored: Scored, precision: str, *, student: bool) -> Rows:
    """Score rows as they are kept, lists of numbers as arrays."""
    sides_TK = [scored.teacher_TK, scored.student_TK.float()]
    if precision == "float16":
        bits = (HALF_BITS, DISPLAY_BITS)
        sides_TK = [round_logps(side_TK, bits=wanted) for side_TK, wanted in zip(sides_TK, bits, strict=True)]
    ends = np.cumsum([len(row["token_ids"]) for row in scored.rows])[:-1]
    sides = (np.split(side_TK.numpy(), ends) for side_TK in sides_TK)
    kinds = {field.name: field.type for field in SCHEMAS["scores"]}
    return [
        {
            name: np.asarray(value, kinds[name].value_type.to_pandas_dtype()) if isinstance(value, list) else value
            for name, value in row.items()
        }
        | {"support_teacher_logprobs": teacher_TK, "support_student_logprobs": student_TK if student else None}
        for row, teacher_TK, student_TK in zip(scored.rows, *sides, strict=True)
    ]


def write_and_read(way: Way, rows: Rows) -> tuple[int, float, float]:
    """Bytes on disk, and seconds of CPU time to write and to read them."""
    with tempfile.TemporaryDirectory(prefix="mopd-scores-") as folder:
        path, began = Path(folder) / "kept", time.process_time()
        way.write(rows, path)
        written = time.process_time()
        way.read(path)
        read = time.process_time()
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files if file.name != "run.json"), written - began, read - written


SHARD: dict[str, Any] = {"round": 0, "shard": 0, "parents": [], "info": {}}
KEY = shard_key("scores", version=0, settings={}, model="", inputs=[], seed=0, shard=0)


def write_shard(rows: Rows, path: Path) -> None:
    commit_shard(RunFolder.create(path, {"settings": {}}), "scores", key=KEY, rows=rows, **SHARD)


def read_shard(path: Path) -> None:
    folder = RunFolder.open(path)
    manifest = find_manifest(folder, "scores", 0, 0, KEY)
    assert manifest is not None
    list(ShardFile(folder, manifest).parts(SCHEMAS["scores"].names))


def write_plain(rows: Rows, path: Path) -> None:
    """Parquet's defaults, zstd: how shards were written before."""
    pq.write_table(to_table("scores", rows), path, compression="zstd", write_page_checksum=True, row_group_size=256)


def write_dataset(rows: Rows, path: Path) -> None:
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    Dataset(to_table("scores", rows)).save_to_disk(path)


def read_dataset(path: Path) -> None:
    from datasets import load_from_disk

    list(load_from_disk(str(path)).with_format("numpy"))


def write_lines(rows: Rows, path: Path, *, compression: str | None) -> None:
    with pa.CompressedOutputStream(path, compression) if compression else pa.OSFile(str(path), "wb") as stream:
        for row in rows:
            stream.write(json.dumps(row, default=np.ndarray.tolist).encode() + b"\n")


def read_lines(path: Path, *, compression: str | None) -> None:
    with pa.CompressedInputStream(path, compression) if compression else pa.OSFile(str(path)) as stream:
        for line in stream.read().splitlines():
            json.loads(line)


WAYS = {
    "shard": Way(write_shard, read_shard),
    "Parquet's defaults, zstd": Way(write_plain, pq.read_table),
    "datasets, Arrow files": Way(write_dataset, read_dataset),
    "JSON lines": Way(partial(write_lines, compression=None), partial(read_lines, compression=None)),
    "JSON lines, zstd": Way(partial(write_lines, compression="zstd"), partial(read_lines, compression="zstd")),
}


def errors(scored: Scored) -> list[dict[str, Any]]:
    """What rounding does: to 11 bits as scores are, to the nearest of 11 bits, and to bfloat16's 8."""
    exact_TK = scored.teacher_TK
    ways = {"kept": round_logps(exact_TK, bits=HALF_BITS), "nearest": exact_TK.half(), "bfloat16": exact_TK.bfloat16()}
    report = []
    for alpha, tail in product(ALPHAS, TAILS):
        loss_T, gradient_TK = loss_and_gradient(scored, exact_TK, alpha, tail)
        length = squared_length(scored, gradient_TK).sum().sqrt()
        for name, rounded_TK in ways.items():
            other_T, other_TK = loss_and_gradient(scored, rounded_TK, alpha, tail)
            report.append(
                {
                    "rounding": name,
                    "alpha": alpha,
                    "tail": tail,
                    "mean_loss": loss_T.mean().item(),
                    "loss": ((other_T.mean() - loss_T.mean()).abs() / loss_T.mean()).item(),
                    "token_loss": ((other_T - loss_T).abs().mean() / loss_T.mean()).item(),
                    "largest_nats": (other_T - loss_T).abs().max().item(),
                    "gradient": (squared_length(scored, other_TK - gradient_TK).sum().sqrt() / length).item(),
                }
            )
    return report


def loss_and_gradient(scored: Scored, teacher_TK: Tensor, alpha: float, tail: str) -> tuple[Tensor, Tensor]:
    """Losses [T] and their gradient at the student's log-probabilities on the support [T, K]."""
    student_TK, bucketed = scored.student_TK.clone().requires_grad_(), TAILS[tail]
    loss_T = divergence(bucketed(student_TK), bucketed(teacher_TK.double()), alpha=alpha)
    return loss_T.detach(), torch.autograd.grad(loss_T.sum(), student_TK)[0]


def squared_length(scored: Scored, gradient_TK: Tensor) -> Tensor:
    """Of the gradient at the logits [T]: there it is g - p * sum(g), with g zero outside the support."""
    sum_T = gradient_TK.sum(dim=1)
    inside_TK = gradient_TK - scored.student_TK.exp() * sum_T[:, None]
    return inside_TK.square().sum(dim=1) + sum_T.square() * scored.outside_T


if __name__ == "__main__":
    main()
