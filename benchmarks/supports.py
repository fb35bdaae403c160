"""How far the divergence on a support is from the one over the full vocabulary, on a real model's own rollouts.

    python benchmarks/supports.py --out benchmarks/results/supports.json
    python benchmarks/plot_supports.py benchmarks/results/supports.json docs/supports.png docs/supports.md

A scenario that is in the output file already is not measured again. Rollouts, verdicts and contexts are those of
`examples/demo.yaml` (12 prompts x 4), from mopd's own stages with the transformers engine. Losses and their gradients
with respect to the student's logits are taken in float64 from fp32 logits, so what differs is the support alone. Axes:
T response tokens, C of them at once, K support ids, V vocabulary.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from support_meter import Meter
from torch import Tensor

from mopd.condition import condition
from mopd.engines import make_engine
from mopd.generate import generate
from mopd.models.chat_template import load_chat_template
from mopd.models.folders import load_model, resolve_model
from mopd.reading.forward import branches, hidden_states, make_batch, plan_batches
from mopd.reading.head import vocabulary_logps
from mopd.score import Scorer
from mopd.settings import Settings, load_settings
from mopd.tasks.draw import draw_prompts, load_tasks
from mopd.train import train_round
from mopd.verify import verify

CHUNK = 64
RESULTS = "benchmarks/results/supports.json"
CONFIG = "examples/demo.yaml"
FIXED = ["generate.engine=transformers", "generate.num_prompts=12", "generate.num_samples=4", "model.precision=float32"]
Rows = list[dict[str, Any]]


class Sample(NamedTuple):
    """The round that was sampled: what is scored, and what trains the next policy."""

    rollouts: Rows
    verdicts: Rows
    contexts: Rows


class Pair(NamedTuple):
    """Student and teacher at every response token that carries a distillation loss."""

    student: Any
    teacher: Any
    student_hidden_TH: Tensor
    teacher_hidden_TH: Tensor
    temperature: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", help="scenarios, by name")
    options = parser.parse_args()
    scenarios = json.loads(options.out.read_text())["scenarios"] if options.out.exists() else {}
    for name, describe, make in SCENARIOS:
        if name in scenarios or (options.only and name not in options.only):
            continue
        began = time.process_time()
        with tempfile.TemporaryDirectory(prefix="mopd-supports-") as scratch:
            measured = measure(make(Path(scratch)))
        seconds = round(time.process_time() - began)
        scenarios[name] = {"what": describe, "cpu_seconds": seconds, **measured}
        save(options.out, {**machine(), "scenarios": scenarios})
        print(f"{name}: {measured['tokens']} tokens, {seconds} s of CPU time", flush=True)


def save(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")


def round_zero(_: Path) -> Pair:
    """The demo's first round: one set of weights, the teacher sees peers."""
    settings = load_settings(CONFIG, FIXED)
    folder = resolve_model(settings.model.path)
    return read(settings, sample(settings, folder, round=0), student=folder, teacher=folder)


def long_replies(_: Path) -> Pair:
    """Flatter distributions: the paper's temperature, and replies that may run on."""
    hotter = ["generate.temperature=1.0", "generate.max_tokens=64", "condition.max_context_tokens=1024"]
    settings = load_settings(CONFIG, [*FIXED, *hotter])
    folder = resolve_model(settings.model.path)
    return read(settings, sample(settings, folder, round=0), student=folder, teacher=folder)


def apart(scratch: Path) -> Pair:
    """After a round of training the student has moved; the teacher is where it was."""
    settings = load_settings(CONFIG, FIXED)
    folder, policy = resolve_model(settings.model.path), scratch / "policy"
    first = sample(settings, folder, round=0)
    scores = Scorer(settings, policy_folder=folder).score(*first, policy_version=0)
    train_round(scores, settings, policy_folder=folder, state_folder=None, out=policy, round=0)
    return read(settings, sample(settings, policy, round=1), student=policy, teacher=folder)


SCENARIOS = [
    ("round 0", "teacher = student's weights; temperature 0.8, replies of up to 20 tokens", round_zero),
    ("round 0, hot", "teacher = student's weights; temperature 1.0, replies of up to 64 tokens", long_replies),
    ("round 1", "student after one round (4 updates), teacher the initial weights; temperature 0.8", apart),
]


def sample(settings: Settings, policy: Path, *, round: int) -> Sample:
    """Rollouts of a policy, their verdicts, and what the teacher is shown."""
    template, tasks = load_chat_template(policy, settings.model), load_tasks(settings.tasks, settings.seed).train
    where: dict[str, Any] = {"run": "supports", "round": round, "seed": settings.seed}
    prompts = draw_prompts(tasks, **where, num_prompts=settings.generate.num_prompts, split="train")
    engine = make_engine(settings.generate, settings.model, policy)
    rollouts = generate(prompts, engine, template, settings.generate, **where, policy_version=round)
    engine.close()
    verdicts = verify(prompts, rollouts, settings.verify)
    contexts = condition(prompts, rollouts, verdicts, settings.condition, template, run_seed=settings.seed)
    return Sample(rollouts, verdicts, contexts)


def read(settings: Settings, made: Sample, *, student: Path, teacher: Path) -> Pair:
    """Both models over every rollout whose teacher is shown a peer."""
    kept = [number for number, row in enumerate(made.contexts) if row["has_sections"]]
    responses = [np.asarray(made.rollouts[number]["token_ids"]) for number in kept]
    prompts = [np.asarray(made.rollouts[number]["prompt_token_ids"]) for number in kept]
    shown = [np.asarray(made.contexts[number]["context_token_ids"]) for number in kept]
    ours, theirs = load_model(student), load_model(teacher)
    max_tokens = settings.score.max_tokens_per_pass
    return Pair(
        ours,
        theirs,
        hidden(ours, prompts, responses, max_tokens),
        hidden(theirs, shown, responses, max_tokens),
        settings.generate.temperature,
    )


@torch.no_grad()
def hidden(model: Any, prefixes: list[np.ndarray], responses: list[np.ndarray], max_tokens: int) -> Tensor:
    """Hidden states [T, H] that predict the response tokens, rollout after rollout."""
    of_row: dict[int, Tensor] = {}
    for trees in plan_batches(branches(prefixes, responses), max_tokens=max_tokens):
        batch = make_batch(trees)
        parts = hidden_states(model, batch).split([length for _, length in batch.rows])
        of_row |= dict(zip((row for row, _ in batch.rows), parts, strict=True))
    return torch.cat([of_row[row] for row in sorted(of_row)])


def chunks(pair: Pair) -> Iterator[tuple[Tensor, Tensor]]:
    """Log-probabilities [C, V] of student and teacher in fp32."""
    for start in range(0, len(pair.student_hidden_TH), CHUNK):
        cut = slice(start, start + CHUNK)
        with torch.no_grad():
            student_CV = vocabulary_logps(pair.student, pair.student_hidden_TH[cut], pair.temperature)
            teacher_CV = vocabulary_logps(pair.teacher, pair.teacher_hidden_TH[cut], pair.temperature)
        yield student_CV, teacher_CV


def measure(pair: Pair) -> dict[str, Any]:
    """Every case over all tokens of a scenario."""
    meter = Meter()
    for student_CV, teacher_CV in chunks(pair):
        meter.add(student_CV, teacher_CV)
    return {"tokens": len(pair.student_hidden_TH), **meter.report()}


def machine() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "command": f"python benchmarks/supports.py --out {RESULTS}",
        "config": CONFIG,
        "overrides": FIXED,
    }


if __name__ == "__main__":
    main()
