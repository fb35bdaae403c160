"""Tokens per second of generation, scoring and training beside the plain way to do the same, as ratios in one run.

    python benchmarks/throughput.py examples/demo.yaml --only generation --out FILE.json
    python benchmarks/throughput.py examples/demo.yaml --only generation --set generate.num_prompts=16 \
        --set generate.max_tokens=256 --out FILE.json
    python benchmarks/throughput.py examples/demo.yaml --only scoring --only training

Generation: our stage beside `vllm.LLM(...).generate(...)`, the same requests with the same seeds, of an engine with the
same arguments but for the bytes of its cache, which holds all of them on either side; each in a process of its own, in
turn. Few tokens of the same requests warm up, and prefix caches are empty then. Ours makes the rows of `rollouts`;
theirs what vLLM returns, with text and log-probabilities.
Scoring and training: ours beside padded batches through a plain transformers model, full-vocabulary log-softmax, same
rollouts, same process, in turn. Tokens are response tokens; the median of the repeats is given.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from apart import apart
from plain_vllm import make_plain
from results_file import add_result

Rows = list[dict[str, Any]]
WARM_UP_TOKENS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting")
    parser.add_argument("--out", type=Path, help="a JSON file, to which the result is added")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=["generation", "scoring", "training"], action="append")
    options = parser.parse_args()
    from mopd.settings import load_settings

    settings = load_settings(options.config, options.set)
    wanted = options.only or ["generation", "scoring", "training"]
    rollouts: Rows | None = None
    results = {}
    if "generation" in wanted:
        results["generation"], rollouts = compare_generation(settings, options.repeats)
    if {"scoring", "training"} & set(wanted):
        results |= compare_torch(settings, rollouts or invented_rollouts(settings), options.repeats, wanted)
    rows = [{"stage": stage, **values} for stage, values in results.items()]
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.out:
        import torch

        add_result(options.out, rows, device=device_name(), torch=torch.__version__)


def compare_generation(settings: Any, repeats: int) -> tuple[dict[str, Any], Rows]:
    """Our engine and vLLM's own `LLM.generate`, in processes of their own, in turn."""
    rates: dict[str, list[float]] = {"mopd": [], "plain": []}
    made: dict[str, int] = {}
    rows: Rows = []
    for _ in range(repeats):
        for name, work in (("mopd", generate_ours), ("plain", generate_plain)):
            made[name], seconds, ours = apart(work, settings)
            rates[name].append(made[name] / seconds)
            rows = ours or rows
    return {**ratio(rates), "requests": len(rows), "tokens": made}, rows


def requests_of(settings: Any) -> tuple[Rows, Any, Path]:
    from mopd.models.chat_template import load_chat_template
    from mopd.models.folders import resolve_model
    from mopd.tasks.draw import draw_prompts, load_tasks

    folder = resolve_model(settings.model.path)
    tasks = load_tasks(settings.tasks, settings.seed).train
    count = settings.generate.num_prompts
    prompts = draw_prompts(tasks, run="b", round=0, seed=settings.seed, num_prompts=count, split="train")
    return prompts, load_chat_template(folder, settings.model), folder


def generate_ours(settings: Any) -> tuple[int, float, Rows]:
    """Tokens, seconds, rows."""
    from mopd.engines import make_engine
    from mopd.generate import generate

    prompts, template, folder = requests_of(settings)
    engine = make_engine(settings.generate, settings.model, folder)

    def once(choice: Any) -> Rows:
        return generate(prompts, engine, template, choice, run="b", round=0, seed=settings.seed, policy_version=0)

    once(settings.generate.model_copy(update={"max_tokens": WARM_UP_TOKENS}))
    began = time.monotonic()
    rows = once(settings.generate)
    seconds = time.monotonic() - began
    return sum(len(row["token_ids"]) for row in rows), seconds, rows


def generate_plain(settings: Any) -> tuple[int, float, Rows]:
    """`LLM.generate` on the same prompts, in this process as ours."""
    from mopd.engines.vllm_engine import MIN_BATCHED_TOKENS
    from mopd.generate import prompt_ids

    prompts, template, folder = requests_of(settings)
    choice = settings.generate
    engine = make_plain(
        settings.model,
        folder,
        window=choice.max_prompt_tokens + choice.max_tokens,
        batched_tokens=MIN_BATCHED_TOKENS,
        max_num_seqs=choice.max_num_seqs,
        logprobs_mode="processed_logprobs",
    )
    wanted = [(prompt, sample) for prompt in prompts for sample in range(choice.num_samples)]
    asked = [{"prompt_token_ids": list(prompt_ids(prompt, template, choice.max_prompt_tokens))} for prompt, _ in wanted]

    def once(max_tokens: int) -> Any:
        return engine.generate(asked, sampling_of(wanted, settings, max_tokens), use_tqdm=False)

    once(WARM_UP_TOKENS)
    engine.reset_prefix_cache()
    began = time.monotonic()
    tokens = sum(len(output.outputs[0].token_ids) for output in once(choice.max_tokens))
    return tokens, time.monotonic() - began, []


def sampling_of(wanted: list[tuple[Any, int]], settings: Any, max_tokens: int) -> list[Any]:
    """vLLM's parameters of each prompt and sample, with the seeds of ours."""
    from vllm import SamplingParams

    from mopd.generate import rollout_seed

    return [
        SamplingParams(
            temperature=settings.generate.temperature,
            max_tokens=max_tokens,
            seed=rollout_seed(settings.seed, 0, prompt["prompt_id"], sample),
            logprobs=0,
        )
        for prompt, sample in wanted
    ]


def invented_rollouts(settings: Any) -> Rows:
    """Rollouts of random tokens at the demo's sizes, where no engine was run."""
    from mopd.generate import prompt_ids

    prompts, template, _ = requests_of(settings)
    rng = np.random.default_rng(0)
    choice = settings.generate
    return [
        {
            "run": "b",
            "round": 0,
            "prompt_id": prompt["prompt_id"],
            "sample": sample,
            "prompt_token_ids": list(prompt_ids(prompt, template, choice.max_prompt_tokens)),
            "token_ids": rng.integers(3, 1000, size=int(rng.integers(choice.max_tokens // 2, choice.max_tokens + 1))),
            "behavior_logprobs": None,
            "temperature": choice.temperature,
            "text": "The answer is 1.",
        }
        for prompt in prompts
        for sample in range(choice.num_samples)
    ]


def compare_torch(settings: Any, rollouts: Rows, repeats: int, wanted: list[str]) -> dict[str, Any]:
    """Scoring and training, ours and plain, in this process."""
    from mopd.condition import condition
    from mopd.objectives import objective_class
    from mopd.objectives.base import Update
    from mopd.score import Scorer
    from mopd.trainer.gradients import accumulate_gradients

    prompts, template, folder = requests_of(settings)
    verdicts = [
        {**row, "reward": float(number % 2), "success": number % 2 == 1, "feedback": None}
        for number, row in enumerate(rollouts)
    ]
    contexts = condition(prompts, rollouts, verdicts, settings.condition, template, run_seed=settings.seed)
    scorer = Scorer(settings, policy_folder=folder)
    tokens = sum(len(row["token_ids"]) for row in rollouts)
    results = {}

    def score() -> Rows:
        return scorer.score(rollouts, verdicts, contexts, policy_version=0)

    if "scoring" in wanted:
        prefixes = [row["context_token_ids"] for row in contexts]

        def plain() -> None:
            plain_scores(scorer.student, [row["prompt_token_ids"] for row in rollouts], rollouts, settings, scorer)
            plain_scores(scorer.student, prefixes, rollouts, settings, scorer)

        results["scoring"] = ratio(in_turn({"mopd": score, "plain": plain}, tokens, repeats))
    if "training" in wanted:
        scores = score()
        for row in scores:
            row["behavior_logprobs"] = row["proximal_logprobs"]
        student = copy.deepcopy(scorer.student).train()
        make_objective = objective_class(settings.train)

        def train() -> None:
            objective = make_objective(Update(scores, settings.train))
            accumulate_gradients(student, objective, settings, scorer.device, number=0)

        ways: dict[str, Callable[[], Any]] = {
            "mopd": train,
            "plain": lambda: plain_gradients(student, rollouts, settings, scorer),
        }
        results["training"] = ratio(in_turn(ways, tokens, repeats))
    return results


def padded_batches(prefixes: list[Any], rollouts: Rows, size: int = 16) -> Any:
    """Right-padded batches of prefix + response, sorted by length, with the positions that predict the response."""
    import torch

    order = sorted(range(len(rollouts)), key=lambda row: len(prefixes[row]) + len(rollouts[row]["token_ids"]))
    for start in range(0, len(order), size):
        rows = [
            ([*map(int, prefixes[r]), *map(int, rollouts[r]["token_ids"])], len(prefixes[r]))
            for r in order[start : start + size]
        ]
        length = max(len(ids) for ids, _ in rows)
        ids_BL = torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in rows])
        attend_BL = torch.tensor([[1] * len(ids) + [0] * (length - len(ids)) for ids, _ in rows])
        response_BL = torch.tensor([[first <= at < len(ids) for at in range(1, length)] for ids, first in rows])
        yield ids_BL, attend_BL, response_BL


def plain_scores(model: Any, prefixes: list[Any], rollouts: Rows, settings: Any, scorer: Any) -> None:
    """Sampled-token log-probabilities and a top-k of every position, all logits at once."""
    import torch

    from mopd.models.device import autocast

    for batch in padded_batches(prefixes, rollouts):
        ids, attend, response = (tensor.to(scorer.device) for tensor in batch)
        with torch.no_grad(), autocast(settings.model.precision, scorer.device):
            logits = model(ids, attention_mask=attend).logits[:, :-1].float() / settings.generate.temperature
        logps = torch.log_softmax(logits, dim=-1)
        logps.gather(2, ids[:, 1:, None])[..., 0][response].cpu()
        logps.topk(settings.score.top_k, dim=-1).values[response].cpu()


def plain_gradients(model: Any, rollouts: Rows, settings: Any, scorer: Any) -> None:
    """Forward and backward of the mean log-probability of the responses, padded batches."""
    import torch

    from mopd.models.device import autocast

    tokens = sum(len(row["token_ids"]) for row in rollouts)
    for batch in padded_batches([row["prompt_token_ids"] for row in rollouts], rollouts):
        ids, attend, response = (tensor.to(scorer.device) for tensor in batch)
        with autocast(settings.model.precision, scorer.device):
            logits = model(ids, attention_mask=attend).logits[:, :-1].float() / settings.generate.temperature
        logps = torch.log_softmax(logits, dim=-1).gather(2, ids[:, 1:, None])[..., 0]
        (-(logps * response).sum() / tokens).backward()


def in_turn(ways: dict[str, Callable[[], Any]], tokens: int, repeats: int) -> dict[str, list[float]]:
    """Tokens per second of each way, called in turn after one warm-up each."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            began = time.monotonic()
            way()
            if repeat:
                rates[name].append(tokens / (time.monotonic() - began))
    return rates


def ratio(rates: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, and the median of the pairwise ratios."""
    pairs = [ours / plain for ours, plain in zip(rates["mopd"], rates["plain"], strict=True)]
    return {
        "mopd_tokens_per_s": round(statistics.median(rates["mopd"]), 1),
        "plain_tokens_per_s": round(statistics.median(rates["plain"]), 1),
        "ratio": round(statistics.median(pairs), 2),
        "ratios": [round(pair, 2) for pair in pairs],
    }


def device_name() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    main()
