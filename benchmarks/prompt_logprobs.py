"""Scoring beside vLLM's `prompt_logprobs`: response tokens a second of both, at the same k.

    python benchmarks/prompt_logprobs.py --shape demo64 --out benchmarks/results/prompt_logprobs.json

The embedded model, rollouts of random tokens, in turn, each in a process of its own; what it takes to load is left out,
and the first turn of each process warms up. Ours reads the shard as the student and, after longer contexts, as the
teacher on the student's support; vLLM reads the same sequences, and gives the k likeliest tokens of each place.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_flops import EXAMPLE, SHAPES, make_shard
from results_file import add_result

NUM_IDS = 49_152
"""Of the embedded model."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="demo64")
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a JSON file, to which the result is added")
    options = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(options.repeats):
        for name in WAYS:
            rates[name].append(apart(name, options.shape, options.k))
    medians = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    ratios = [round(ours / plain, 2) for ours, plain in zip(rates["mopd"], rates["vllm"], strict=True)]
    row = {**{f"{name}_tokens_per_s": rate for name, rate in medians.items()}, "ratios": ratios}
    row["ratio"] = statistics.median(ratios)
    print(row)
    if options.out:
        add_result(options.out, [row], shape=options.shape, k=options.k, **SHAPES[options.shape]._asdict())


def apart(name: str, shape: str, k: int) -> float:
    """Response tokens a second of one way, in a process that ends with it."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=measure, args=(name, shape, k, queue))
    process.start()
    rate: float = queue.get()
    process.join()
    return rate


def measure(name: str, shape: str, k: int, queue: Any) -> None:
    rollouts, verdicts, contexts = make_shard(SHAPES[shape], NUM_IDS)
    work = WAYS[name](SHAPES[shape], rollouts, verdicts, contexts, k)
    work(0)
    began = time.perf_counter()
    work(1)
    queue.put(sum(len(row["token_ids"]) for row in rollouts) / (time.perf_counter() - began))


def scorer(shape: Any, rollouts: Any, verdicts: Any, contexts: Any, k: int) -> Callable[[int], Any]:
    from mopd.models.folders import resolve_model
    from mopd.score import Scorer
    from mopd.settings import load_settings

    settings = load_settings(str(EXAMPLE), [f"score.max_tokens_per_pass={shape.max_tokens}", f"score.top_k={k}"])
    ours = Scorer(settings, policy_folder=resolve_model(settings.model.path))

    def score(turn: int) -> None:
        warm = {"temperature": 0.8 + turn / 10}  # a shard that was read at the same one is not read again
        ours.score([row | warm for row in rollouts], verdicts, contexts, policy_version=0)

    return score


def prompt_logprobs(shape: Any, rollouts: Any, verdicts: Any, contexts: Any, k: int) -> Callable[[int], Any]:
    from mopd.engines.vllm_engine import ENVIRONMENT, cpu_cache_bytes, own_cores

    os.environ.update(ENVIRONMENT | {"VLLM_CPU_OMP_THREADS_BIND": own_cores()})
    import torch
    from vllm import LLM, SamplingParams

    from mopd.models.folders import autocast_dtype, resolve_model
    from mopd.settings import load_settings

    model = load_settings(str(EXAMPLE), []).model
    longest = shape.context_tokens + shape.tokens[1] + 1
    engine = LLM(
        str(resolve_model(model.path)),
        dtype=str(autocast_dtype(model.precision, "cpu") or torch.float32).removeprefix("torch."),
        max_model_len=longest,
        max_num_batched_tokens=max(longest, 8192),
        enable_chunked_prefill=False,
        enforce_eager=True,
        max_logprobs=k,
        distributed_executor_backend="uni",
        kv_cache_memory_bytes=cpu_cache_bytes(),
    )
    prefixes = [row["prompt_token_ids"] for row in rollouts] + [row["context_token_ids"] for row in contexts]
    responses = [row["token_ids"] for row in rollouts] * 2
    asked: Any = [
        {"prompt_token_ids": [*map(int, before), *map(int, ids)]}
        for before, ids in zip(prefixes, responses, strict=True)
    ]
    wanted = SamplingParams(temperature=0.8, max_tokens=1, prompt_logprobs=k)
    return lambda turn: engine.generate(asked, wanted, use_tqdm=False)


WAYS: dict[str, Callable[..., Callable[[int], Any]]] = {"mopd": scorer, "vllm": prompt_logprobs}

if __name__ == "__main__":
    main()
