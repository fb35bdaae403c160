"""One pass over shared prefixes gives what each rollout alone gives, however it is batched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import GraniteConfig, GraniteForCausalLM, LlamaConfig, LlamaForCausalLM

from mopd.errors import InputError
from mopd.reading.attention import dense_mask
from mopd.reading.forward import branches, check_window, hidden_states, make_batch, plan_batches
from mopd.reading.head import check_head, token_logps

PREFIXES = [[5, 6, 7, 8], [5, 6, 7, 8], [9, 10], [5, 6, 7, 8], [9, 10]]
RESPONSES = [[11, 12, 13], [14], [15, 16], [17, 18, 19, 20], []]


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def items() -> list[Any]:
    return branches([np.array(p) for p in PREFIXES], [np.array(r, dtype=int) for r in RESPONSES])


def alone(model: Any, row: int, temperature: float) -> torch.Tensor:
    """Full-vocabulary log-probabilities [T, V] of one rollout by a plain forward pass."""
    ids = torch.tensor([PREFIXES[row] + RESPONSES[row]])
    logits = model(ids).logits[0, len(PREFIXES[row]) - 1 : -1]
    return torch.log_softmax(logits / temperature, dim=-1)


@pytest.mark.parametrize("max_tokens", [1, 8, 12, 1000])
@pytest.mark.parametrize("chunk", [2, 100])
def test_equals_each_rollout_alone(model: Any, max_tokens: int, chunk: int) -> None:
    seen = []
    for trees in plan_batches(items(), max_tokens=max_tokens):
        batch = make_batch(trees)
        with torch.no_grad():
            out = token_logps(model, hidden_states(model, batch), batch.targets, temperature=0.7, chunk=chunk, top_k=5)
        start = 0
        for row, length in batch.rows:
            logps = alone(model, row, 0.7)
            cut = slice(start, start + length)
            expected = logps.gather(1, torch.tensor(RESPONSES[row])[:, None]).squeeze(1)
            torch.testing.assert_close(out.sampled_N[cut], expected, atol=1e-5, rtol=0)
            torch.testing.assert_close(out.support_logps_NK[cut], logps.topk(5).values, atol=1e-5, rtol=0)
            torch.testing.assert_close(
                logps.gather(1, out.support_ids_NK[cut]), logps.topk(5).values, atol=1e-5, rtol=0
            )
            start += length
            seen.append(row)
    assert sorted(seen) == [0, 1, 2, 3]  # the empty response has nothing to score


def test_gradient_equals_the_plain_pass(model: Any) -> None:
    for trees in plan_batches(items(), max_tokens=16):
        batch = make_batch(trees)
        token_logps(
            model, hidden_states(model, batch), batch.targets, temperature=1.0, chunk=2, top_k=3
        ).sampled_N.sum().backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    for row in range(4):
        alone(model, row, 1.0).gather(1, torch.tensor(RESPONSES[row])[:, None]).sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, atol=1e-5, rtol=1e-4)
    model.zero_grad()


def test_a_shared_prefix_is_fed_once() -> None:
    (batch,) = plan_batches(items(), max_tokens=1000)
    assert sum(tree.length for tree in batch) == (4 + 2 + 0 + 3) + (2 + 1)


def test_batches_keep_the_bound_unless_one_rollout_breaks_it() -> None:
    for bound in (4, 6, 9):
        for trees in plan_batches(items(), max_tokens=bound):
            padded = len(trees) * max(tree.length for tree in trees)
            assert padded <= bound or (len(trees) == 1 and len(trees[0].branches) == 1)


def test_single_rollout_needs_no_mask() -> None:
    assert make_batch(plan_batches(items()[:1], max_tokens=100)[0]).branch_of is None


def test_a_model_that_scales_its_logits_is_refused() -> None:
    torch.manual_seed(0)
    config = GraniteConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, logits_scaling=4.0,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"model\.path: granite models change their logits"):
        check_head(GraniteForCausalLM(config).eval())


def test_longer_than_the_window_is_refused() -> None:
    with pytest.raises(InputError, match=r"9 tokens and the model reads 8.*lower condition.max_context_tokens"):
        check_window([3, 9], 8)


def test_a_mask_lets_a_rollout_see_the_prefix_and_itself_backwards_and_is_made_without_copies() -> None:
    length = 64
    branch_BL = torch.tensor([[-1] * 5 + [0] * 20 + [1] * 39, [-1] * 3 + [0] * 10 + [1] * 11 + [-2] * 40])
    with torch.profiler.profile(profile_memory=True) as profile:
        mask = dense_mask(branch_BL)
    for b, of in enumerate(branch_BL.tolist()):
        expected = [[k <= q and (of[k] in (-1, of[q])) for k in range(length)] for q in range(length)]
        assert mask[b, 0].tolist() == expected
    taken = [event.self_cpu_memory_usage for event in profile.events() or ()]
    assert [size for size in taken if size >= mask.numel()] == [mask.numel()]
