"""The ratio of the policy to what was sampled from, before any training: 1 without truncation, else the kept mass.

    python benchmarks/kept_mass.py --out FILE.json

Rollouts of the demo's questions by vLLM at temperature 1, both sides in fp32.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mopd.engines import Engine, make_engine
from mopd.generate import generate
from mopd.models.chat_template import load_chat_template
from mopd.models.folders import load_model, resolve_model
from mopd.reading.forward import branches, hidden_states, make_batch, plan_batches
from mopd.reading.head import token_logps
from mopd.settings import Settings, load_settings
from mopd.tasks.draw import draw_prompts, load_tasks

CONFIG = "examples/demo.yaml"
FIXED = ["model.precision=float32", "generate.num_prompts=8", "generate.max_tokens=32", "generate.temperature=1.0"]
CASES: dict[str, list[str]] = {
    "whole": [],
    "top_p 0.95": ["generate.top_p=0.95"],
    "top_p 0.8, top_k 20": ["generate.top_p=0.8", "generate.top_k=20"],
    "top_k 20": ["generate.top_k=20"],
    "min_p 0.1": ["generate.min_p=0.1"],
    "repetition_penalty 1.1": ["generate.repetition_penalty=1.1"],
    "presence_penalty 1.5": ["generate.presence_penalty=1.5"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for the result")
    options = parser.parse_args()
    settings = load_settings(CONFIG, FIXED)
    folder = resolve_model(settings.model.path)
    engine = make_engine(settings.generate, settings.model, folder)
    sampled = {name: sample(engine, load_settings(CONFIG, [*FIXED, *case]), folder) for name, case in CASES.items()}
    engine.close()
    model = load_model(folder)
    results = {name: measure(model, rows) for name, rows in sampled.items()}
    for name, row in results.items():
        print(f"{name:<24}", "  ".join(f"{key} {value}" for key, value in row.items()))
    if options.out:
        options.out.write_text(json.dumps({**machine(), "results": results}, indent=2) + "\n")


def sample(engine: Engine, settings: Settings, folder: Path) -> list[dict[str, Any]]:
    """Rollouts of the first round."""
    template, tasks = load_chat_template(folder, settings.model), load_tasks(settings.tasks, settings.seed).train
    where: dict[str, Any] = {"run": "kept", "round": 0, "seed": settings.seed}
    prompts = draw_prompts(tasks, **where, num_prompts=settings.generate.num_prompts, split="train")
    return generate(prompts, engine, template, settings.generate, **where, policy_version=0)


@torch.no_grad()
def measure(model: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios of the model's own probability of each token to the one that it was drawn with."""
    prompts, replies = ([np.asarray(row[name]) for row in rows] for name in ("prompt_token_ids", "token_ids"))
    ratios = []
    for trees in plan_batches(branches(prompts, replies), max_tokens=4096):
        batch = make_batch(trees)
        logps = token_logps(model, hidden_states(model, batch), batch.targets, temperature=1.0, chunk=512).sampled_N
        behavior = np.concatenate([rows[row]["behavior_logprobs"] for row, _ in batch.rows])
        ratios.append(np.exp(logps.numpy() - behavior))
    ratio = np.concatenate(ratios)
    return {
        "tokens": len(ratio),
        "mean": round(float(ratio.mean()), 4),
        "below 0.8, %": round(100 * float((ratio < 0.8).mean()), 1),
        "above 1.2, %": round(100 * float((ratio > 1.2).mean()), 1),
        "least": round(float(ratio.min()), 3),
        "most": round(float(ratio.max()), 3),
    }


def machine() -> dict[str, Any]:
    """Where and how it was measured."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "command": " ".join(["python", "benchmarks/kept_mass.py", *sys.argv[1:]]),
        "config": CONFIG,
        "overrides": FIXED,
    }


if __name__ == "__main__":
    main()
