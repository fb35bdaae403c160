"""AdamW piece by piece: torch's numbers, wherever its state lies, and with half the bits in the weights."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mopd.errors import InputError
from mopd.models.folders import load_model, resolve_model
from mopd.optimizers import piecewise
from mopd.optimizers.make import named_state, rejoin, restore
from mopd.optimizers.moments import EightBitMoments
from mopd.optimizers.piecewise import PIECE, REMAINDER, PiecewiseAdamW, joined, split
from mopd.settings import Settings, parse_settings
from mopd.train import take_step
from mopd.trainer.state import TrainerState, open_state, save_state, student_pieces
from tests.mopd.models.test_lora import score_rows

CPU = torch.device("cpu")
OPTIONS: dict[str, Any] = {"lr": 1e-3, "betas": (0.9, 0.99), "weight_decay": 0.1}
SHAPES = ((3, 5), (7,), (300, 41), (1,))


def weights() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape).requires_grad_() for shape in SHAPES]


def moved(optimizer: torch.optim.Optimizer, parameters: list[torch.Tensor], steps: int, seed: int = 1) -> None:
    """Along random gradients."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
        optimizer.step()


@pytest.mark.parametrize("piece", [1 << 8, PIECE])
@pytest.mark.parametrize("offload", [False, True])
def test_the_numbers_are_those_of_torch(piece: int, offload: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piecewise, "PIECE", piece)
    ours, theirs = weights(), weights()
    optimizer, other = PiecewiseAdamW(ours, offload=offload, **OPTIONS), torch.optim.AdamW(theirs, **OPTIONS)
    moved(optimizer, ours, 5)
    moved(other, theirs, 5)
    for mine, yours in zip(ours, theirs):
        assert torch.equal(mine, yours)
        for name in ("exp_avg", "exp_avg_sq", "step"):
            assert torch.equal(optimizer.state[mine][name], other.state[yours][name])


def test_a_weight_in_two_halves_is_whole_again() -> None:
    exact = torch.tensor([0.0, -0.0, 1.0, -1.0, 1e-30, 3.4e38, 1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8])
    values = torch.cat([exact, torch.randn(10_000), torch.randn(1000).bfloat16().float()])
    upper, remainder = split(values)
    assert torch.equal(joined(upper, remainder), values)
    ties = (values.view(torch.int32) & 0xFFFF) == 2**15
    assert ties.sum() < 10 and torch.equal(upper[~ties], values[~ties].bfloat16())
    assert not split(torch.randn(1000).bfloat16().float())[1].any()


def test_small_updates_are_lost_in_bfloat16_and_kept_with_the_remainder() -> None:
    """1,000 steps of 1e-6 on weights around 0.02, whose neighbours in bfloat16 are 1.2e-4 away."""
    torch.manual_seed(0)
    first = (0.02 * torch.randn(64, 64)).bfloat16().float()
    options = {"lr": 1e-6, "weight_decay": 0.01}
    full, halved, plain = (first.clone().requires_grad_() for _ in range(3))
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW([full], **options)]
    kept = PiecewiseAdamW([halved], **options)
    kept.narrow(halved)
    plain.data = plain.data.bfloat16()
    optimizers += [kept, torch.optim.AdamW([plain], **options)]
    for step in range(1000):
        gradient = torch.randn(first.shape, generator=torch.Generator().manual_seed(step)).bfloat16() + 0.5
        for weight in (full, halved, plain):
            weight.grad = gradient.to(weight.grad_dtype or weight.dtype)
        for optimizer in optimizers:
            optimizer.step()
    whole = joined(halved.data, kept.state[halved][REMAINDER])
    assert torch.equal(whole, full)
    assert (full - first).abs().mean() > 4e-4
    assert (plain.float() - first).norm() < 0.1 * (full - first).norm()


def settings(**train: Any) -> Settings:
    tree = {"learning_rate": 1e-3, "warmup_steps": 0} | train
    return parse_settings({"model": {"path": "tiny:llama", "precision": "bfloat16"}, "train": tree})


def opened(folder: Path, chosen: Settings, state: Path | None = None) -> TrainerState:
    return open_state(state or folder, state, chosen.train, CPU, base_folder=folder, precision="bfloat16")


def whole_weights(state: TrainerState) -> dict[str, torch.Tensor]:
    return {f"{name} {start}": values.clone() for name, start, values in student_pieces(state)}


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_model("tiny:llama")


@pytest.mark.parametrize("max_tokens", [4096, 8], ids=["one micro-batch", "several"])
def test_a_step_in_bfloat16_is_one_in_float32(folder: Path, tmp_path: Path, max_tokens: int) -> None:
    """Autocast rounds a weight at each use, and the gradients of one micro-batch have 16 bits anyway.

    But for weights half-way between two numbers, which it rounds to the even one: there are none here.
    """
    model = load_model(folder)
    for parameter in model.parameters():
        bits = parameter.data.view(torch.int32)
        bits += (bits & 0xFFFF) == 2**15
    model.save_pretrained(tmp_path)
    passes = {"max_tokens_per_pass": max_tokens}
    narrow, wide = settings(master_weights="bfloat16", **passes), settings(**passes)
    states = [opened(tmp_path, chosen) for chosen in (narrow, wide)]
    sizes = [sum(part.nbytes for part in state.student.parameters()) for state in states]
    assert sizes[0] < 0.8 * sizes[1]
    reports = [take_step(state, score_rows(), chosen, CPU) for state, chosen in zip(states, (narrow, wide))]
    assert reports[0] | {"seconds": 0} == reports[1] | {"seconds": 0}
    first, second = map(whole_weights, states)
    assert all(torch.equal(values, second[name]) for name, values in first.items())


EIGHT_BIT = pytest.mark.skipif(not find_spec("bitsandbytes"), reason="needs bitsandbytes")
CHOICES = [
    pytest.param({"master_weights": "bfloat16"}, id="bfloat16"),
    pytest.param({"offload_optimizer": True}, id="offload"),
    pytest.param({"optimizer": "adamw_8bit"}, id="8bit", marks=EIGHT_BIT),
    pytest.param({"optimizer": "adamw_8bit", "master_weights": "bfloat16"}, id="8bit bfloat16", marks=EIGHT_BIT),
    pytest.param({"master_weights": "bfloat16", "lora": {"rank": 4}}, id="lora bfloat16"),
]


@pytest.mark.parametrize("choice", CHOICES)
def test_two_rounds_equal_one_stretch(folder: Path, tmp_path: Path, choice: dict[str, Any]) -> None:
    chosen = settings(**choice)
    stretch, first = opened(folder, chosen), opened(folder, chosen)
    take_step(first, score_rows(), chosen, CPU)
    save_state(first, folder, tmp_path)
    second = opened(folder, chosen, tmp_path)
    take_step(second, score_rows(), chosen, CPU)
    for _ in range(2):
        take_step(stretch, score_rows(), chosen, CPU)
    mine, theirs = whole_weights(second), whole_weights(stretch)
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
    states = [named_state(state.optimizer, dict(state.student.named_parameters())) for state in (second, stretch)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_policy_in_bfloat16_is_half_as_large_and_what_was_trained(folder: Path, tmp_path: Path) -> None:
    chosen = settings(master_weights="bfloat16")
    state = opened(folder, chosen)
    take_step(state, score_rows(), chosen, CPU)
    save_state(state, folder, tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert saved["model.layers.0.mlp.up_proj.weight"].dtype == torch.bfloat16
    assert saved["model.norm.weight"].dtype == torch.float32
    wide = opened(folder, settings(), tmp_path)  # goes on in float32 from the whole weights
    mine, theirs = whole_weights(wide), whole_weights(state)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_passes_in_float32_are_refused(folder: Path) -> None:
    chosen = settings(master_weights="bfloat16")
    with pytest.raises(InputError, match=r"model.precision: float32 they are in float32 here; set model.precision to"):
        open_state(folder, None, chosen.train, CPU, precision="float32")


def test_without_bitsandbytes_the_line_names_the_fix(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.functional", None)
    with pytest.raises(InputError, match=r"adamw_8bit needs bitsandbytes .*pip install mopd\[memory\]"):
        opened(folder, settings(optimizer="adamw_8bit"))


@EIGHT_BIT
def test_8_bit_moments_are_those_of_bitsandbytes() -> None:
    """Its own optimizer, whose step is on the same numbers."""
    import bitsandbytes

    torch.manual_seed(0)
    ours, theirs = (weight.requires_grad_() for weight in (torch.ones(64, 128), torch.ones(64, 128)))
    optimizer = PiecewiseAdamW([ours], moments=EightBitMoments(), **OPTIONS)
    moved(optimizer, [ours], 20)
    moved(bitsandbytes.optim.AdamW8bit([theirs], **OPTIONS), [theirs], 20)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    state = optimizer.state[ours]
    assert (state["exp_avg"].dtype, state["exp_avg"].shape, state["exp_avg_scale"].shape) == (
        torch.uint8,
        (64, 128),
        (32,),
    )


@EIGHT_BIT
def test_moments_go_from_one_optimizer_to_another(tmp_path: Path) -> None:
    (wide,), (narrow,), (back,) = ([torch.ones(64, 128).requires_grad_()] for _ in range(3))
    first = torch.optim.AdamW([wide], **OPTIONS)
    moved(first, [wide], 3)
    save_file(named_state(first, {"w": wide}), tmp_path / "first")
    second = PiecewiseAdamW([narrow], moments=EightBitMoments(), **OPTIONS)
    restore(second, {"w": narrow}, load_file(tmp_path / "first"), 3)
    save_file(named_state(second, {"w": narrow}), tmp_path / "second")
    third = PiecewiseAdamW([back], **OPTIONS)
    restore(third, {"w": back}, load_file(tmp_path / "second"), 3)
    assert second.state[narrow]["exp_avg"].dtype == torch.uint8
    for name in ("exp_avg", "exp_avg_sq"):
        error = (third.state[back][name] - first.state[wide][name]).norm() / first.state[wide][name].norm()
        assert 0 < error < 0.02
    assert third.state[back]["step"] == 3


def test_what_was_kept_beside_a_weight_is_given_back_once() -> None:
    whole = torch.randn(5, 5)
    upper, remainder = split(whole)
    saved = {"remainder.w": remainder, "exp_avg.w": torch.zeros(5, 5)}
    weight = upper.float()
    rejoin({"w": weight, "other": torch.ones(1)}, saved)
    assert torch.equal(weight, whole) and list(saved) == ["exp_avg.w"]
