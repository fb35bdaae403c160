"""How far an update is: told by layers within a micro-batch, without a change to any number."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from mopd.trainer import gauge
from mopd.trainer.gauge import BACKWARD, FORWARD, Gauge

LAYERS = 4


@pytest.fixture(autouse=True)
def every_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauge, "QUIET_SECONDS", 0.0)


def tiny() -> AutoModelForCausalLM:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(LlamaConfig(vocab_size=32, num_hidden_layers=LAYERS, **sizes)).train()


def gradients(model: AutoModelForCausalLM, watch: Gauge | None) -> list[torch.Tensor]:
    """Of two micro-batches of 6 and 2 tokens."""
    for length in (6, 2):
        if watch is not None:
            watch.begin(length)
        model.base_model(input_ids=torch.arange(length)[None]).last_hidden_state.square().sum().backward()
    if watch is not None:
        watch.end()
    return [weight.grad for weight in model.parameters() if weight.grad is not None]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_layers_are_counted_once_each_way(checkpointing: bool) -> None:
    told: list[float] = []
    models = tiny(), tiny()
    for model in models:
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
    with Gauge(models[0], 8, FORWARD + BACKWARD, lambda share, tokens: told.append(share)) as watch:
        watched = gradients(models[0], watch)
    assert told == sorted(told) and told[-1] == 1.0
    first = [share for share in told if 0 < share < 0.75]
    steps = [6 / 8 * (step / 3 / LAYERS) for step in (1, 2, 3, 4, 6, 8, 10)]
    assert sorted({round(share, 6) for share in first}) == pytest.approx(steps, abs=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(watched, gradients(models[1], None), strict=True))
    assert not any(layer._forward_hooks for layer in models[0].base_model.layers)


def test_a_pass_without_gradient_counts_less() -> None:
    told: list[tuple[float, int]] = []
    model = tiny()
    with Gauge(model, 8, 2 * FORWARD + BACKWARD, lambda share, tokens: told.append((share, tokens))) as watch:
        with torch.no_grad():
            watch.begin(8)
            model.base_model(input_ids=torch.arange(8)[None])
            watch.end()
        assert told[-1] == (0.25, 2)
        watch.begin(8)
        model.base_model(input_ids=torch.arange(8)[None]).last_hidden_state.sum().backward()
        watch.end()
    assert told[-1] == (1.0, 8)
