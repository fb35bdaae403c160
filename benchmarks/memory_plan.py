"""What `mopd plan` reckons beside what each stage really takes: peak resident memory of a process of its own.

    python benchmarks/memory_plan.py --model tiny:llama embedded:smollm2-135m-instruct --out FILE.json
    python benchmarks/memory_plan.py --stage train --set train.ranks=2 train.shard=full    # of all ranks together

Rollouts, contexts and scores are random ids, as long as the settings allow: the case that the plan reckons with. Two
optimizer steps are taken, each of several micro-batches.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from results_file import add_result

SAMPLES, PROMPT, CONTEXT, RESPONSE, PROMPTS = 4, 32, 160, 96, 4
STAGES = ("generate transformers", "generate vllm", "score", "train")
Rows = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["tiny:llama"])
    parser.add_argument("--stage", nargs="+", default=list(STAGES))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings, for all stages")
    parser.add_argument("--out", type=Path, help="a JSON file, to which the result is added")
    parser.add_argument("--apart", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.apart:
        print(json.dumps(run_stage(options.model[0], options.stage[0], options.set)))
        return
    results = []
    for model in options.model:
        for stage in options.stage:
            results.append({"model": model, "stage": stage, **compare(model, stage, options.set)})
            print("  ".join(f"{name} {value}" for name, value in results[-1].items()), flush=True)
    if options.out:
        add_result(options.out, results)


def compare(model: str, stage: str, overrides: list[str]) -> dict[str, Any]:
    """Measured and reckoned peak of a stage, in MB, and the parts of the second."""
    measured = run_apart(model, stage, overrides)
    parts = reckoned(model, stage, overrides)
    total = sum(parts.values())
    return {
        "measured_mb": round(measured["peak_bytes"] / 1e6),
        "planned_mb": round(total / 1e6),
        "ratio": round(total / measured["peak_bytes"], 3),
        "seconds": round(measured["seconds"], 1),
        "parts_mb": {name: round(size / 1e6) for name, size in parts.items()},
    }


def settings_of(model: str, stage: str, overrides: list[str]) -> Any:
    """A run whose longest prompts and replies are those that are made here."""
    from mopd.settings import parse_settings
    from mopd.settings.run import override_tree

    engine = stage.partition(" ")[2] or "transformers"
    generate = {
        "engine": engine,
        "num_prompts": PROMPTS,
        "num_samples": SAMPLES,
        "max_tokens": RESPONSE,
        "max_prompt_tokens": PROMPT,
    }
    tree = {
        "rounds": 2,
        "prompts_per_shard": PROMPTS,
        "model": {"path": model},
        "generate": generate,
        "condition": {"max_context_tokens": CONTEXT},
        "score": {"max_tokens_per_pass": 512, "chunk_positions": 128},
        "train": {"max_tokens_per_pass": 512, "updates_per_round": 2},
    }
    return parse_settings(override_tree(tree, overrides))


def reckoned(model: str, stage: str, overrides: list[str]) -> dict[str, int]:
    """The plan's parts of a stage on a CPU."""
    from mopd.memory.plan import find_device, models_of
    from mopd.memory.stages import stage_memory

    settings = settings_of(model, stage, overrides)
    return stage_memory(settings, models_of(settings), find_device(settings))[stage.partition(" ")[0]]


def run_apart(model: str, stage: str, overrides: list[str]) -> dict[str, float]:
    """The stage in a process of its own, or in one for each rank: their peaks together."""
    command = [sys.executable, __file__, "--apart", "--model", model, "--stage", stage, "--set", *overrides]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    num_ranks = settings_of(model, stage, overrides).train.ranks if stage == "train" else 1
    meeting = {"WORLD_SIZE": str(num_ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [
        subprocess.Popen(command, env=environment | meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, **pipes)
        for rank in range(num_ranks)
    ]
    results = []
    for process in processes:
        out, errors = process.communicate()
        if process.returncode:
            sys.exit(errors)
        results.append(json.loads(out.splitlines()[-1]))
    return {"peak_bytes": sum(each["peak_bytes"] for each in results), "seconds": results[0]["seconds"]}


def free_port() -> int:
    """One on loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def run_stage(model: str, stage: str, overrides: list[str]) -> dict[str, float]:
    """The peak of this process, in bytes, after the stage."""
    from mopd.models.folders import num_output_ids, resolve_model

    folder, settings = resolve_model(model), settings_of(model, stage, overrides)
    began = time.monotonic()
    rows = random_rows(num_output_ids(folder), settings)
    {"generate": generate, "score": score, "train": train}[stage.partition(" ")[0]](folder, settings, rows)
    return {"peak_bytes": peak_bytes(), "seconds": time.monotonic() - began}


def generate(folder: Path, settings: Any, rows: Rows) -> None:
    from mopd.engines import Request, make_engine
    from mopd.engines.base import Sampling

    engine = make_engine(settings.generate, settings.model, folder)
    prompts = [tuple(row["prompt_token_ids"]) for row in rows]
    engine.generate([Request(prompt, seed, Sampling.of(settings.generate)) for seed, prompt in enumerate(prompts)])


def score(folder: Path, settings: Any, rows: Rows) -> None:
    """With a teacher in a folder of its own, as from the second round on."""
    from mopd.score import Scorer

    with tempfile.TemporaryDirectory() as state:
        (Path(state) / "teacher").symlink_to(folder)
        scorer = Scorer(settings, policy_folder=folder, state_folder=Path(state))
        scorer.score(rows, rows, rows, policy_version=0)


def train(folder: Path, settings: Any, rows: Rows) -> None:
    from mopd.train import train_round
    from mopd.trainer.ranks import join_ranks

    with tempfile.TemporaryDirectory() as place, join_ranks() as ranks:
        out = Path(place) if ranks.is_first else None
        train_round(rows, settings, policy_folder=folder, state_folder=None, out=out, round=0, ranks=ranks)


def random_rows(num_ids: int, settings: Any) -> Rows:
    """A row of all tables for each rollout."""
    rng, top_k = np.random.default_rng(0), min(settings.score.top_k, num_ids)
    rows = []
    for prompt in range(PROMPTS):
        prefix, context = (rng.integers(3, num_ids, length) for length in (PROMPT, CONTEXT))
        for sample in range(SAMPLES):
            logps_T = -5 - rng.random(RESPONSE, dtype=np.float32)
            first_T1 = rng.integers(0, num_ids, (RESPONSE, 1), dtype=np.int32)
            rows.append(
                {
                    "run": "run",
                    "round": 0,
                    "prompt_id": f"p{prompt}",
                    "sample": sample,
                    "policy_version": 0,
                    "prompt_token_ids": prefix,
                    "context_token_ids": context,
                    "temperature": 1.0,
                    "token_ids": rng.integers(3, num_ids, RESPONSE),
                    **dict.fromkeys(("behavior_logprobs", "proximal_logprobs", "teacher_logprobs"), logps_T),
                    "support_ids": (first_T1 + np.arange(top_k, dtype=np.int32)) % num_ids,
                    "support_teacher_logprobs": -6 - rng.random((RESPONSE, top_k), dtype=np.float32),
                    "advantage": float(1 - 2 * (sample % 2)),
                    "reward": float(sample % 2),
                    "distill": True,
                    "has_sections": True,
                    "variant": "contrastive",
                    "context_digest": "",
                }
            )
    return rows


def peak_bytes() -> int:
    """Largest resident memory so far, as the kernel has it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
