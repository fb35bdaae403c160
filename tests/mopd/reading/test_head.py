"""Log-probabilities and their gradients are those of all logits at once, in the memory of one chunk of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mopd.reading import head
from mopd.reading.head import map_logits, token_logps

POSITIONS, HIDDEN, VOCABULARY, TEMPERATURE = 8, 6, 11, 0.7
TARGETS = torch.arange(POSITIONS) % VOCABULARY
SUPPORT = torch.stack([torch.arange(4).roll(n) + n % 5 for n in range(POSITIONS)])
SUPPORT[2, 1:] = -1  # ids that a union leaves empty


def make_model(bias: bool, cap: float | None, dtype: torch.dtype = torch.float64, vocabulary: int = VOCABULARY) -> Any:
    torch.manual_seed(0)
    layer = torch.nn.Linear(HIDDEN, vocabulary, bias=bias, dtype=dtype)
    return SimpleNamespace(get_output_embeddings=lambda: layer, config=SimpleNamespace(final_logit_softcapping=cap))


def random_hidden(dtype: torch.dtype = torch.float64, positions: int = POSITIONS) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (3 * torch.randn(positions, HIDDEN, generator=generator, dtype=torch.float64)).to(dtype).requires_grad_()


def plain(model: Any, hidden_NH: Tensor) -> tuple[Tensor, Tensor]:
    """By autograd alone, all logits at once."""
    logits = model.get_output_embeddings()(hidden_NH)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    cap = model.config.final_logit_softcapping
    logits = logits if cap is None else torch.tanh(logits / cap) * cap
    logps = torch.log_softmax(logits / TEMPERATURE, dim=-1)
    support = logps.gather(1, SUPPORT.clamp(min=0)).masked_fill(SUPPORT < 0, -torch.inf)
    return logps.gather(1, TARGETS[:, None]).squeeze(1), support


def ours(model: Any, hidden_NH: Tensor) -> tuple[Tensor, Tensor]:
    out = token_logps(model, hidden_NH, TARGETS, temperature=TEMPERATURE, chunk=3, support_ids_NK=SUPPORT)
    return out.sampled_N, out.support_logps_NK


def gradients(values: tuple[Tensor, Tensor], leaves: list[Tensor]) -> tuple[Tensor, ...]:
    """Of a sum in which every number counts by its own weight."""
    finite = [value.masked_fill(value.isneginf(), 0.0) for value in values]
    return torch.autograd.grad(sum((value * value.detach().cos()).sum() for value in finite), leaves)


@pytest.fixture
def rows_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "BLOCK_ENTRIES", 2 * VOCABULARY)
    monkeypatch.setattr(head, "WEIGHT_ROWS", 4)


@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_are_those_of_all_logits_at_once(bias: bool, cap: float | None, rows_of_two: None) -> None:
    model, hidden = make_model(bias, cap), random_hidden()
    leaves = [hidden, *model.get_output_embeddings().parameters()]
    mine, whole = ours(model, hidden), plain(model, hidden)
    for value, expected in zip((*mine, *gradients(mine, leaves)), (*whole, *gradients(whole, leaves)), strict=True):
        torch.testing.assert_close(value, expected, atol=1e-12, rtol=1e-12)


def test_under_autocast_logits_are_multiplied_as_a_linear_layer_does(rows_of_two: None) -> None:
    """Bit for bit, but for the weight's gradient: chunks are added in fp32, and one product in bf16 is rounded once."""
    model, hidden = make_model(False, None, torch.float32), random_hidden(torch.float32)
    leaves = [hidden, model.get_output_embeddings().weight]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mine, whole = ours(model, hidden), plain(model, hidden)
    assert all(torch.equal(value, expected) for value, expected in zip(mine, whole, strict=True))
    (by_hidden, by_weight), expected = gradients(mine, leaves), gradients(whole, leaves)
    assert torch.equal(by_hidden, expected[0]) and by_weight.dtype == torch.float32
    torch.testing.assert_close(by_weight, expected[1], atol=0.02, rtol=0.02)


def test_what_the_loss_leaves_out_has_no_gradient_and_costs_none() -> None:
    model, hidden = make_model(False, None), random_hidden()
    alone = torch.autograd.grad(ours(model, hidden)[0].sum(), hidden)[0]
    torch.testing.assert_close(alone, torch.autograd.grad(plain(model, hidden)[0].sum(), hidden)[0])


def test_a_frozen_output_layer_gets_no_gradient() -> None:
    model, hidden = make_model(True, None), random_hidden()
    model.get_output_embeddings().requires_grad_(False)
    ours(model, hidden)[0].sum().backward()
    assert hidden.grad is not None
    assert [parameter.grad for parameter in model.get_output_embeddings().parameters()] == [None, None]


def test_a_function_of_logits_may_take_tensors_of_each_chunk(rows_of_two: None) -> None:
    """As the full-vocabulary divergence takes the teacher's."""
    model, hidden = make_model(False, None), random_hidden()
    other = torch.randn(POSITIONS, VOCABULARY, dtype=torch.float64)
    (mine,) = map_logits(model, lambda z, t: ((z * t).sum(-1).exp(),), hidden, lambda cut: (other[cut],), chunk=3)
    expected = (model.get_output_embeddings()(hidden) * other).sum(-1).exp()
    torch.testing.assert_close(mine, expected)
    slopes = [torch.autograd.grad(value.sum(), hidden)[0] for value in (mine, expected)]
    torch.testing.assert_close(*slopes)


def test_memory_is_that_of_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk's logits exist once in each pass; everything else is of the size of a block, or of the weight."""
    vocabulary, chunk, chunks = 20_000, 64, 3
    monkeypatch.setattr(head, "BLOCK_ENTRIES", vocabulary)
    model, hidden = make_model(False, None, torch.float32, vocabulary), random_hidden(torch.float32, chunk * chunks)
    targets = torch.zeros(len(hidden), dtype=torch.long)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        out = token_logps(model, hidden, targets, temperature=1.0, chunk=chunk, top_k=5)
        (out.sampled_N.sum() + out.support_logps_NK.sum()).backward()
    taken = [event.self_cpu_memory_usage for event in profile.events() or ()]
    large = [size for size in taken if size > vocabulary * HIDDEN * 4]
    assert large == [vocabulary * chunk * 4] * 2 * chunks
