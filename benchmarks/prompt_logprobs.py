"""Scoring beside vLLM's `prompt_logprobs`: response tokens a second of both, at the same k.

    python benchmarks/prompt_logprobs.py --shape demo64 --out benchmarks/results/prompt_logprobs.json

The embedded model, rollouts of random tokens, in turn, each in a process of its own; a small shard warms up, and
loading is left out. Ours reads the shard as the student, which gives the k likeliest tokens of each place of a
response, and after longer contexts as the teacher, which gives its log-probabilities of the same tokens. vLLM reads the
same sequences, prompt or context and response, and gives the k likeliest tokens of each place of all of it: it has no
way to ask for less, nor for tokens that another model named.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apart import apart
from model_flops import EXAMPLE, SHAPES, Shape, make_shard
from plain_vllm import make_plain
from results_file import add_result

NUM_IDS = 49_152
"""Of the embedded model."""
WARM_UP = Shape(1, 2, 16, 32, (8, 8), 1024)
Shard = tuple[list[dict[str, Any]], ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="demo64")
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a JSON file, to which the result is added")
    options = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(options.repeats):
        for name in WAYS:
            rates[name].append(apart(measure, name, options.shape, options.k))
    medians = {f"{name}_tokens_per_s": round(statistics.median(values), 1) for name, values in rates.items()}
    ratios = [ours / theirs for ours, theirs in zip(rates["mopd"], rates["vllm"], strict=True)]
    row = {**medians, "ratio": round(statistics.median(ratios), 2), "ratios": [round(ratio, 2) for ratio in ratios]}
    print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.out:
        add_result(options.out, [row], shape=options.shape, k=options.k, **SHAPES[options.shape]._asdict())


def measure(name: str, shape: str, k: int) -> float:
    """Response tokens a second of one way."""
    work = WAYS[name](SHAPES[shape], k)
    shard = make_shard(SHAPES[shape], NUM_IDS)
    work(make_shard(WARM_UP, NUM_IDS))
    began = time.perf_counter()
    work(shard)
    return sum(len(row["token_ids"]) for row in shard[0]) / (time.perf_counter() - began)


def scorer(shape: Shape, k: int) -> Callable[[Shard], Any]:
    from mopd.models.folders import resolve_model
    from mopd.score import Scorer
    from mopd.settings import load_settings

    settings = load_settings(str(EXAMPLE), [f"score.max_tokens_per_pass={shape.max_tokens}", f"score.top_k={k}"])
    ours = Scorer(settings, policy_folder=resolve_model(settings.model.path))
    return lambda shard: ours.score(*shard, policy_version=0)


def prompt_logprobs(shape: Shape, k: int) -> Callable[[Shard], Any]:
    from mopd.models.folders import resolve_model
    from mopd.settings import load_settings

    model = load_settings(str(EXAMPLE), []).model
    engine = make_plain(
        model,
        resolve_model(model.path),
        window=shape.context_tokens + shape.tokens[1] + 1,
        batched_tokens=shape.max_tokens,  # as many as a pass of ours has
        max_logprobs=k,
    )
    from vllm import SamplingParams

    wanted = SamplingParams(temperature=0.8, max_tokens=1, prompt_logprobs=k, detokenize=False)

    def read(shard: Shard) -> None:
        rollouts, _, contexts = shard
        prefixes = [row["prompt_token_ids"] for row in rollouts] + [row["context_token_ids"] for row in contexts]
        responses = [row["token_ids"] for row in rollouts] * 2
        asked: Any = [
            {"prompt_token_ids": [*map(int, prefix), *map(int, response)]}
            for prefix, response in zip(prefixes, responses, strict=True)
        ]
        engine.generate(asked, wanted, use_tqdm=False)

    return read


WAYS: dict[str, Callable[[Shape, int], Callable[[Shard], Any]]] = {"mopd": scorer, "vllm": prompt_logprobs}

if __name__ == "__main__":
    main()
