"""How much of a GPU scoring and training use: random weights of real shapes, long rollouts, the code that runs take.

    python benchmarks/gpu_training.py --shapes qwen3-0.6b qwen3-1.7b qwen3-4b --out benchmarks/results/gpu_training.json

Needs torch, transformers, numpy and pyarrow alone (and peft with --lora). Model FLOPs are those of the tokens that are
read, a shared prefix once: two for each weight that a token is multiplied with, the output layer at predicted tokens,
and attention to what each token sees. Training is three times a forward pass: what gradient checkpointing computes
again is not counted. MFU is their share of the peak that the maker names for dense bfloat16. Each stage runs twice: the
first time compiles and is left out. On a CPU there is no peak, and MFU is null: `--shapes tiny` shows that it works.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

Rows = list[dict[str, Any]]

QWEN3 = {"vocab_size": 151_936, "head_dim": 128, "num_key_value_heads": 8, "tie_word_embeddings": True}
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"vocab_size": 512, "head_dim": 16, "num_key_value_heads": 2, "hidden_size": 64, "intermediate_size": 128,
             "num_hidden_layers": 2, "num_attention_heads": 4},
    "qwen3-0.6b": QWEN3 | {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
                           "num_attention_heads": 16},
    "qwen3-1.7b": QWEN3 | {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28,
                           "num_attention_heads": 16},
    "qwen3-4b": QWEN3 | {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36,
                         "num_attention_heads": 32},
    "qwen3-8b": QWEN3 | {"hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": 36,
                         "num_attention_heads": 32, "tie_word_embeddings": False},
}  # fmt: skip
PEAKS = {"H100": 989, "H200": 989, "A100": 312, "L40S": 362, "4090": 165}
"""TFLOP/s in dense bfloat16 by a part of the device's name; of H100 and H200 in the SXM form."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["qwen3-0.6b", "qwen3-1.7b", "qwen3-4b"])
    parser.add_argument("--rollouts", type=int, default=4, help="of each of two prompts")
    parser.add_argument("--tokens", type=int, default=8192, help="of a rollout")
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--context-tokens", type=int, default=10_240, help="what the teacher reads before a rollout")
    parser.add_argument("--max-tokens", type=int, default=32_768, help="train.max_tokens_per_pass")
    parser.add_argument("--score-tokens", type=int, default=65_536, help="score.max_tokens_per_pass")
    parser.add_argument("--chunk", type=int, default=2048, help="score.chunk_positions")
    parser.add_argument("--top-k", type=int, default=100)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--checkpointing", choices=["auto", "on", "off"], default="auto")
    parser.add_argument("--master-weights", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--optimizer", choices=["adamw", "adamw_8bit"], default="adamw")
    parser.add_argument("--lora", type=int, metavar="RANK")
    parser.add_argument("--peak-tflops", type=float, help="of the device, where its name is not known here")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = [row for shape in options.shapes for row in measure_shape(shape, options)]
    for row in results:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.out:
        command = " ".join(["python", "benchmarks/gpu_training.py", *sys.argv[1:]])
        options.out.write_text(json.dumps({**machine(), "command": command, "results": results}, indent=2) + "\n")


def device_of() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def measure_shape(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Scoring, then training on what it gave."""
    shard = make_shard(SHAPES[name], options)
    with tempfile.TemporaryDirectory(prefix="mopd-gpu-") as place:
        folder = make_model(Path(place), SHAPES[name])
        scored, scores = measure_scoring(name, folder, shard, options)
        return [scored, measure_training(name, folder, scores, options)]


def measure_scoring(
    name: str, folder: Path, shard: tuple[Rows, ...], options: argparse.Namespace
) -> tuple[dict[str, Any], Rows]:
    """Student and teacher, the same weights under longer prompts; and the rows of scores."""
    from mopd.score import Scorer

    rollouts, verdicts, contexts = shard
    scorer, scores = Scorer(settings_of(options), policy_folder=folder, device=device_of()), list[Any]()
    temperatures = iter((0.9, 1.0))  # a shard that was read at the same one is not read again

    def score() -> None:
        temperature = {"temperature": next(temperatures)}
        scores[:] = scorer.score([row | temperature for row in rollouts], verdicts, contexts, policy_version=0)

    flops = forward_flops(SHAPES[name], rollouts, "prompt_token_ids")
    flops += forward_flops(SHAPES[name], contexts, "context_token_ids")
    return measure(name, "score", score, flops, options), scores


def measure_training(name: str, folder: Path, scores: Rows, options: argparse.Namespace) -> dict[str, Any]:
    """Optimizer steps on all rollouts."""
    from mopd.train import take_step
    from mopd.trainer.gradient_checkpointing import set_checkpointing
    from mopd.trainer.state import open_state

    chosen, device = settings_of(options), device_of()
    state = open_state(folder, None, chosen.train, device, base_folder=folder, precision=options.precision)
    checkpointing = set_checkpointing(state.student, chosen, device)
    rows = [row | {"finish_reason": "stop"} for row in scores]
    flops = 3 * forward_flops(SHAPES[name], rows, "prompt_token_ids")
    measured = measure(name, "train", lambda: take_step(state, rows, chosen, device), flops, options)
    return {**measured, "checkpointing": checkpointing}


def measure(
    name: str, stage: str, work: Callable[[], Any], flops: float, options: argparse.Namespace
) -> dict[str, Any]:
    """The second turn of some work; it ends when its numbers are on the host."""
    work()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    began = time.monotonic()
    work()
    seconds = time.monotonic() - began
    peak, rate = peak_tflops(options), flops / seconds / 1e12
    return {
        "shape": name,
        "stage": stage,
        "rollout_tokens_per_s": round(2 * options.rollouts * options.tokens / seconds, 1),
        "seconds": round(seconds, 2),
        "tflops": round(rate, 4),
        "mfu": None if peak is None else round(rate / peak, 4),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2) if torch.cuda.is_available() else None,
    }


def peak_tflops(options: argparse.Namespace) -> float | None:
    """Of the device; None where nobody knows."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    known = next((float(peak) for part, peak in PEAKS.items() if part in name), None)
    return options.peak_tflops or known


def forward_flops(shape: dict[str, Any], rollouts: Rows, prefix_column: str) -> float:
    """Of a forward pass over rollouts after their prefixes, each prefix read once."""
    heads, keys = (shape[name] * shape["head_dim"] for name in ("num_attention_heads", "num_key_value_heads"))
    hidden, layers = shape["hidden_size"], shape["num_hidden_layers"]
    linear = layers * hidden * (2 * heads + 2 * keys + 3 * shape["intermediate_size"])
    total, prefixes = 0.0, {tuple(row[prefix_column]) for row in rollouts}
    spans = [(0, len(prefix)) for prefix in prefixes]
    spans += [(len(row[prefix_column]), len(row["token_ids"]) - 1) for row in rollouts]
    for before, length in spans:
        seen = length * before + length * (length + 1) / 2
        total += 2 * linear * length + 4 * layers * heads * seen
    return total + 2 * hidden * shape["vocab_size"] * sum(len(row["token_ids"]) for row in rollouts)


def make_model(folder: Path, shape: dict[str, Any]) -> Path:
    """A folder with random weights in bfloat16."""
    from transformers import AutoModelForCausalLM, Qwen3Config

    torch.manual_seed(0)
    config = Qwen3Config(**shape, max_position_embeddings=65_536)
    with device_of():
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    return folder


def settings_of(options: argparse.Namespace) -> Any:
    """A stand-in for Settings, which needs pydantic: distillation as it is by default."""
    lora = options.lora and SimpleNamespace(
        rank=options.lora, alpha=2 * options.lora, dropout=0.0, target_modules="all-linear"
    )
    objective = SimpleNamespace(kind="distill", form="divergence", alpha=0.5, tail="bucket", policy_gradient_weight=0.0)
    objective.columns = lambda support: {
        "scores": ("teacher_logprobs", "support_ids", "support_teacher_logprobs", "advantage", "distill")
    }
    return SimpleNamespace(
        seed=0,
        rounds=1,
        model=SimpleNamespace(precision=options.precision),
        score=SimpleNamespace(
            support="student", top_k=options.top_k, max_tokens_per_pass=options.score_tokens,
            chunk_positions=options.chunk, precision="float16", keep_student=False,
        ),
        train=SimpleNamespace(
            learning_rate=1e-5, warmup_steps=0, weight_decay=0.01, betas=(0.9, 0.999), max_grad_norm=1.0,
            objective=objective, importance=SimpleNamespace(kind="behavior", clip=2.0), normalize_advantage_std=True,
            aggregation=SimpleNamespace(kind="token_mean"), max_tokens_per_pass=options.max_tokens, lora=lora,
            teacher=SimpleNamespace(kind="live"), schedule="constant", epochs=1, updates_per_round=1,
            optimizer=options.optimizer, master_weights=options.master_weights, offload_optimizer=False,
            gradient_checkpointing=options.checkpointing, mask_truncated=False,
        ),
    )  # fmt: skip


def make_shard(shape: dict[str, Any], options: argparse.Namespace) -> tuple[Rows, Rows, Rows]:
    """Rollouts, verdicts and contexts of two prompts, of random tokens; each rollout has a context of its own."""
    rng = np.random.default_rng(0)
    rollouts, verdicts, contexts = [], [], []
    for prompt in range(2):
        prompt_ids = rng.integers(3, shape["vocab_size"], options.prompt_tokens)
        for sample in range(options.rollouts):
            key = {"run": "r", "round": 0, "prompt_id": f"p{prompt}", "sample": sample}
            ids = rng.integers(3, shape["vocab_size"], options.tokens)
            sampled = {"token_ids": ids, "behavior_logprobs": np.full(len(ids), -11.0, np.float32)}
            rollouts.append(key | {"prompt_token_ids": prompt_ids} | sampled)
            verdicts.append(key | {"reward": float(sample % 2)})
            context_ids = rng.integers(3, shape["vocab_size"], options.context_tokens)
            shown = {"has_sections": True, "variant": "contrastive", "context_digest": ""}
            contexts.append(key | shown | {"context_token_ids": context_ids, "token_ids": ids})
    return rollouts, verdicts, contexts


def machine() -> dict[str, Any]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.platform()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": device,
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
