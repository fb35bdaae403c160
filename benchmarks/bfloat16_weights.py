"""Training with weights in bfloat16, by how they are rounded, beside training with float32 weights.

    python benchmarks/bfloat16_weights.py --out FILE.json

A small model is trained for many steps at small learning rates on one batch, forward passes in bfloat16 in any case.
`distance`: of its linear weights from those of float32 training, over the distance that those went. `nearest` and
`stochastic` round the weight after each step; `kahan` keeps a compensation in bfloat16; `remainder` is
`train.master_weights: bfloat16`. `teacher`: the same of an average of float32 training's weights (rate 0.05) that is
itself rounded after each step.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from results_file import add_result
from torch import Tensor

RATE, TOKENS = 0.05, (8, 32)
Rounding = Callable[[Tensor, Tensor, int], Tensor]
"""From the weight before a step, after it, and a seed, to what is kept."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-5, 1e-6])
    parser.add_argument("--out", type=Path, help="a JSON file, to which the result is added")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = [row for rate in options.rates for row in compare(rate, options.steps)]
    for row in results:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.out:
        add_result(options.out, results)


def compare(rate: float, steps: int) -> list[dict[str, Any]]:
    """One row a way of rounding."""
    first = weights_of(load())
    teachers: dict[str, list[Tensor]] = dict.fromkeys(("float32", "nearest", "stochastic"), first)

    def follow(weights: list[Tensor], step: int) -> None:
        for name, kept in teachers.items():
            moved = [old.lerp(new, RATE) for old, new in zip(kept, weights, strict=True)]
            teachers[name] = [
                new if name == "float32" else ROUNDINGS[name]()(old, new, 10**6 + 1000 * step + number)
                for number, (old, new) in enumerate(zip(kept, moved, strict=True))
            ]

    reference, loss = train(rate, steps, None, follow)
    rows = [{"learning_rate": rate, "rounding": "float32", "distance": 0.0, "loss": loss}]
    for name, make in ROUNDINGS.items():
        weights, loss = train(rate, steps, make())
        rows.append(
            {"learning_rate": rate, "rounding": name, "distance": distance(weights, reference, first), "loss": loss}
        )
    weights, loss = train_with_remainder(rate, steps)
    rows.append(
        {"learning_rate": rate, "rounding": "remainder", "distance": distance(weights, reference, first), "loss": loss}
    )
    for name in ("nearest", "stochastic"):
        far = distance(teachers[name], teachers["float32"], first)
        rows.append({"learning_rate": rate, "teacher": name, "distance": far})
    return rows


def load() -> Any:
    """The tiny model, its linear weights numbers of bfloat16: all begin at the same place."""
    from mopd.models.folders import load_model, resolve_model
    from mopd.reading.narrow import linear_parameters

    model = load_model(resolve_model("tiny:llama")).train()
    for parameter in linear_parameters(model):
        parameter.data = parameter.data.bfloat16().float()
    return model


def weights_of(model: Any) -> list[Tensor]:
    from mopd.reading.narrow import linear_parameters

    return [parameter.detach().clone() for parameter in linear_parameters(model)]


def batch() -> Tensor:
    return torch.randint(3, 250, TOKENS, generator=torch.Generator().manual_seed(0))


def loss_of(model: Any, ids: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(ids, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())


def train(
    rate: float, steps: int, rounding: Rounding | None, follow: Callable[[list[Tensor], int], None] | None = None
) -> tuple[list[Tensor], float]:
    """The linear weights after so many steps, each rounded after every step, and the last loss."""
    from mopd.reading.narrow import linear_parameters

    model, ids = load(), batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    for step in range(steps):
        before = weights_of(model)
        loss = loss_of(model, ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for number, (old, parameter) in enumerate(zip(before, linear_parameters(model), strict=True)):
            if rounding is not None:
                parameter.data = rounding(old, parameter.data, 1000 * step + number)
        if follow is not None:
            follow(weights_of(model), step)
    return weights_of(model), loss.item()


def train_with_remainder(rate: float, steps: int) -> tuple[list[Tensor], float]:
    """As `train.master_weights: bfloat16` does."""
    from mopd.optimizers.piecewise import PiecewiseAdamW, weight_pieces
    from mopd.reading.narrow import linear_parameters

    model, ids = load(), batch()
    optimizer = PiecewiseAdamW(list(model.parameters()), lr=rate, weight_decay=0.01)
    linear = linear_parameters(model)
    for parameter in linear:
        optimizer.narrow(parameter)
    for _ in range(steps):
        loss = loss_of(model, ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pieces = [next(weight_pieces(part, optimizer.state[part]))[1].view(part.shape) for part in linear]
    return pieces, loss.item()


def distance(weights: list[Tensor], reference: list[Tensor], first: list[Tensor]) -> float:
    """How far from the reference, over how far that came."""
    off = torch.stack([(a - b).norm() for a, b in zip(weights, reference, strict=True)]).norm()
    came = torch.stack([(b - c).norm() for b, c in zip(reference, first, strict=True)]).norm()
    return round((off / came).item(), 4)


def nearest(old: Tensor, new: Tensor, seed: int) -> Tensor:
    return new.bfloat16().float()


def stochastic(old: Tensor, new: Tensor, seed: int) -> Tensor:
    """Up or down, by how near either is."""
    noise = torch.randint(0, 2**16, new.shape, dtype=torch.int32, generator=torch.Generator().manual_seed(seed))
    return ((new.view(torch.int32) + noise) & -(2**16)).view(torch.float32)


def kahan() -> Rounding:
    """With what was lost so far of each weight, in bfloat16."""
    lost: dict[int, Tensor] = {}

    def rounded(old: Tensor, new: Tensor, seed: int) -> Tensor:
        number = seed % 1000
        update = new - old + lost.get(number, torch.zeros_like(old))
        kept = (old + update).bfloat16().float()
        lost[number] = (update - (kept - old)).bfloat16().float()
        return kept

    return rounded


ROUNDINGS: dict[str, Callable[[], Rounding]] = {
    "nearest": lambda: nearest,
    "stochastic": lambda: stochastic,
    "kahan": kahan,
}


if __name__ == "__main__":
    main()
