"""Peak memory of training beside the raw size of what one optimizer step reads, on generated shards of a tiny model.

    python benchmarks/training_memory.py --rollouts 256 --tokens 8192 --steps 1 2 --out FILE.json

Each round is trained by the job that a run trains it with, in a process of its own; from its peak resident memory that
of a round with next to no tokens is taken off, which is the model, its optimizer and the libraries. Raw size: support
ids and the teacher's log-probabilities, token ids and the sampler's log-probabilities, four bytes each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from results_file import add_result

SAMPLES, PROMPT_TOKENS, ROUND = 8, 32, 0
VOCABULARY = 259
"""Ids of the tiny model."""


class Size(NamedTuple):
    """How large a round is."""

    steps: int
    rollouts: int
    tokens: int
    top_k: int
    objective: str

    @property
    def raw_bytes(self) -> int:
        """Of what one optimizer step reads."""
        support = 8 * self.top_k if self.objective == "distill" else 0
        return self.rollouts * self.tokens * (support + 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=64, help="of one optimizer step")
    parser.add_argument("--tokens", type=int, default=2048, help="of a rollout")
    parser.add_argument("--top-k", type=int, default=100)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4], help="optimizer steps of a round")
    parser.add_argument("--objective", default="distill")
    parser.add_argument("--out", type=Path, help="a JSON file, to which the result is added")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        print(json.dumps(train_apart(options.train)))
        return
    sizes = [Size(n, options.rollouts, options.tokens, options.top_k, options.objective) for n in options.steps]
    results = [result(size, measure(size), measure(size._replace(rollouts=SAMPLES, tokens=8))) for size in sizes]
    for row in results:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.out:
        add_result(options.out, results)


def result(size: Size, whole: dict[str, float], least: dict[str, float]) -> dict[str, Any]:
    """One line of the table."""
    above = whole["peak_bytes"] - least["peak_bytes"]
    return {
        **size._asdict(),
        "step_raw_mb": round(size.raw_bytes / 1e6, 1),
        "peak_mb_above_model": round(above / 1e6, 1),
        "times_step": round(above / size.raw_bytes, 2),
        "times_round": round(above / size.raw_bytes / size.steps, 2),
        "model_mb": round(least["peak_bytes"] / 1e6, 1),
        "seconds": round(whole["seconds"], 1),
    }


def measure(size: Size) -> dict[str, float]:
    """Generate a round and train it in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="mopd-memory-") as folder:
        generate(Path(folder) / "run", size)
        command = [sys.executable, __file__, "--train", str(Path(folder) / "run")]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path_of_code()})
        if done.returncode:
            sys.exit(done.stderr)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def path_of_code() -> str:
    """Where this process has mopd from."""
    import mopd

    return str(Path(mopd.__file__).parents[1])


def generate(path: Path, size: Size) -> None:
    """A run folder with the shards of one round, a group a shard."""
    from mopd.settings import parse_settings
    from storage.runs import RunFolder
    from storage.shards import commit_shard

    num_prompts = size.steps * size.rollouts // SAMPLES
    train = {"objective": size.objective, "updates_per_round": size.steps}
    tree = {
        "model": {"path": "tiny:llama", "precision": "float32"},
        "generate": {"num_prompts": num_prompts, "num_samples": SAMPLES, "max_tokens": size.tokens},
        "score": {"top_k": size.top_k},
        "train": train,
    }
    settings = parse_settings(tree).model_dump(mode="json")
    run = RunFolder.create(path, {"settings": settings})
    for number in range(num_prompts):
        place: dict[str, Any] = {"round": ROUND, "shard": number, "parents": [], "info": {}}
        rows = list(group(number, size))
        for table in ("rollouts", "scores"):
            commit_shard(run, table, key=key_of(table, number), rows=[fitted(table, row) for row in rows], **place)


def key_of(table: str, number: int) -> str:
    from storage.shards import shard_key

    return shard_key(table, version=0, settings={}, model="", inputs=[], seed=0, shard=number)


def group(number: int, size: Size) -> Iterator[dict[str, Any]]:
    """Rollouts of one prompt, with random numbers in all columns that a table has."""
    rng = np.random.default_rng(number)
    prompt = rng.integers(3, VOCABULARY, PROMPT_TOKENS)
    for sample in range(SAMPLES):
        logps_T = -5 - rng.random(size.tokens, dtype=np.float32)
        first_T1 = rng.integers(0, VOCABULARY, (size.tokens, 1), dtype=np.int32)
        wide = size.top_k if size.objective == "distill" else 0
        logps_TK = -6 - rng.random((size.tokens, wide), dtype=np.float32)
        yield {
            "run": "run",
            "round": ROUND,
            "prompt_id": f"p{number}",
            "sample": sample,
            "policy_version": 0,
            "prompt_token_ids": prompt,
            "token_ids": rng.integers(3, VOCABULARY, size.tokens),
            "temperature": 1.0,
            **dict.fromkeys(("behavior_logprobs", "proximal_logprobs", "teacher_logprobs"), logps_T),
            "reference_logprobs": None,
            "support_ids": (first_T1 + np.arange(wide, dtype=np.int32)) % VOCABULARY,
            **dict.fromkeys(("support_teacher_logprobs", "support_student_logprobs"), logps_TK),
            "advantage": float(1 - 2 * (sample % 2)),
            "distill": True,
            "mean_teacher_logprob": -5.5,
            **dict.fromkeys(("teacher", "context_digest", "text", "finish_reason"), ""),
            **dict.fromkeys(("teacher_version", "seed"), 0),
        }


def fitted(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """The columns that a table has."""
    from storage.schemas import SCHEMAS

    return {name: row[name] for name in SCHEMAS[table].names}


def train_apart(path: Path) -> dict[str, float]:
    """The peak of this process, in bytes, after it has trained the round of a run."""
    import torch

    from flows.execute.jobs.training import train
    from flows.execute.work import Work
    from flows.plan.conditions import settings_of
    from flows.plan.shard import Shard
    from flows.runtime.messages import silent
    from storage.runs import RunFolder

    torch.set_num_threads(1)
    folder = RunFolder.open(path)
    settings = settings_of(folder)
    scores = [
        Shard("scores", ROUND, number, key_of("scores", number), settings, inputs=(rollouts_of(number, settings),))
        for number in range(len(list(path.glob("scores/*/*.json"))))
    ]
    began = time.monotonic()
    policy = Shard("policies", ROUND, 0, key_of("policies", 0), settings, inputs=tuple(scores))
    train(None, Work(folder, policy, silent))
    return {"peak_bytes": peak_bytes(), "seconds": time.monotonic() - began}


def rollouts_of(number: int, settings: Any) -> Any:
    from flows.plan.shard import Shard

    return Shard("rollouts", ROUND, number, key_of("rollouts", number), settings)


def peak_bytes() -> int:
    """Largest resident memory so far, as the kernel has it."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
