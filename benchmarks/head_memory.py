"""Peak memory of the loss on the student's top k, from hidden states to gradients, beside TRL's `topk_logits` loss.

    python benchmarks/head_memory.py --trl-positions 256 384 512 --out benchmarks/results/head_memory.json

Both are given the same hidden states, output layer and teacher, and give the gradients of hidden states and output
layer. What is counted is what they allocate beyond those: by the GPU's allocator, or, on a CPU, by the profiler, which
sees each allocation of torch. TRL makes the logits of both models as its trainer does; a machine that can't hold them
for all positions measures it at few and follows the line through those: its memory is proportional to them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

ALPHA = 0.5


class Inputs(NamedTuple):
    """What both losses are given; `head_VH` is the output layer of student and teacher."""

    hidden_NH: Tensor
    teacher_NH: Tensor
    head_VH: Tensor
    targets_N: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--positions", type=int, default=8192, help="ours")
    parser.add_argument("--trl-positions", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--hidden", type=int, default=896)
    parser.add_argument("--top-k", type=int, default=100)
    parser.add_argument("--chunk", type=int, default=512, help="score.chunk_positions")
    parser.add_argument(
        "--dtype", choices=["float32", "bfloat16"], default="float32", help="of hidden states and layer"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = compare(options)
    print(json.dumps(results, indent=2))
    if options.out:
        command = " ".join(["python", "benchmarks/head_memory.py", *sys.argv[1:]])
        options.out.write_text(json.dumps({**machine(), "command": command, "results": results}, indent=2) + "\n")


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Ours at all positions, TRL's at some of them, and both on the same few."""
    few = options.trl_positions[-1]
    trl = [measure(trl_loss, make_inputs(options, count), options) for count in options.trl_positions]
    same = measure(our_loss, make_inputs(options, few), options)
    ours = measure(our_loss, make_inputs(options, options.positions), options)
    slope = (trl[-1]["bytes"] - trl[0]["bytes"]) / max(few - options.trl_positions[0], 1)
    expected = trl[-1]["bytes"] + slope * (options.positions - few)
    return {
        "ours": {"positions": options.positions, **readable(ours)},
        "trl": [{"positions": n, **readable(one)} for n, one in zip(options.trl_positions, trl)],
        f"trl_mb_at_{options.positions}": round(expected / 1e6, 1),
        "memory_ratio": round(ours["bytes"] / expected, 4),
        "seconds_ratio_at_few": round(same["seconds"] / trl[-1]["seconds"], 3),
        "loss_difference_at_few": abs(same["loss"] - trl[-1]["loss"]),
        "gradient_difference_at_few": ((same["slope"] - trl[-1]["slope"]).norm() / trl[-1]["slope"].norm()).item(),
    }


def readable(measured: dict[str, Any]) -> dict[str, Any]:
    return {"extra_mb": round(measured["bytes"] / 1e6, 1), "seconds": round(measured["seconds"], 2)}


def make_inputs(options: argparse.Namespace, positions: int) -> Inputs:
    """Random tensors with gradients in place, as in the middle of an update; logits spread as a model's."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(0)
    kind: dict[str, Any] = {"generator": generator, "device": device}
    hidden_NH = torch.randn(positions, options.hidden, **kind).to(getattr(torch, options.dtype))
    teacher_NH = (hidden_NH + 0.3 * torch.randn(positions, options.hidden, **kind)).to(hidden_NH.dtype)
    head_VH = (torch.randn(options.vocabulary, options.hidden, **kind) * 3 / options.hidden**0.5).to(hidden_NH.dtype)
    for leaf in (hidden_NH, head_VH):
        leaf.grad = torch.zeros_like(leaf)
        leaf.requires_grad_()
    return Inputs(hidden_NH, teacher_NH, head_VH, torch.randint(options.vocabulary, (positions,), **kind))


def our_loss(inputs: Inputs, options: argparse.Namespace) -> Callable[[], Tensor]:
    """As the trainer has it: support and the teacher on it were scored before, and stand in the shard."""
    from mopd.objectives.losses import divergence, with_tail
    from mopd.reading.head import token_logps

    layer = SimpleNamespace(weight=inputs.head_VH, bias=None)
    model = SimpleNamespace(get_output_embeddings=lambda: layer, config=SimpleNamespace())
    sizes: dict[str, Any] = {"temperature": 1.0, "chunk": options.chunk}
    with torch.no_grad():
        if len(inputs.hidden_NH) > max(options.trl_positions):  # which ids they are makes no difference to memory
            ids_NK = (
                inputs.targets_N[:, None] + torch.arange(options.top_k, device=inputs.targets_N.device)
            ) % options.vocabulary
        else:
            ids_NK = token_logps(model, inputs.hidden_NH, inputs.targets_N, top_k=options.top_k, **sizes).support_ids_NK
        scored = token_logps(model, inputs.teacher_NH, inputs.targets_N, support_ids_NK=ids_NK, **sizes)

    def loss() -> Tensor:
        student = token_logps(model, inputs.hidden_NH, inputs.targets_N, support_ids_NK=ids_NK, **sizes)
        sides = (with_tail(logps.support_logps_NK) for logps in (student, scored))
        return divergence(*sides, alpha=ALPHA).mean()

    return loss


def trl_loss(inputs: Inputs, options: argparse.Namespace) -> Callable[[], Tensor]:
    """As its SDPO trainer has it: both models' logits, then the loss on the student's top k."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl.experimental.sdpo.loss_utils import compute_topk_self_distillation_loss

    def loss() -> Tensor:
        with torch.no_grad():
            teacher_NV = inputs.teacher_NH @ inputs.head_VH.t()
        return compute_topk_self_distillation_loss(
            inputs.hidden_NH @ inputs.head_VH.t(),
            teacher_NV,
            distillation_topk=options.top_k,
            distillation_alpha=ALPHA,
            distillation_add_tail=True,
        ).mean()

    return loss


def measure(way: Callable[..., Callable[[], Tensor]], inputs: Inputs, options: argparse.Namespace) -> dict[str, Any]:
    """Loss, gradient by the hidden states, bytes allocated at the peak, and seconds."""
    loss = way(inputs, options)
    values, began = [], time.monotonic()
    taken = peak_bytes(lambda: values.append(forward_and_backward(loss)))
    return {"loss": values[0], "slope": inputs.hidden_NH.grad, "bytes": taken, "seconds": time.monotonic() - began}


def forward_and_backward(loss: Callable[[], Tensor]) -> float:
    value = loss()
    value.backward()
    return value.item()  # on a GPU, when it is done


def peak_bytes(work: Callable[[], Any]) -> int:
    """The most that is allocated at a time beyond what was before."""
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    level = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        level += event.nbytes()
        peak = max(peak, level)
    return peak


def machine() -> dict[str, Any]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.platform()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": device,
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
