"""Weights in the precision that they are read in give the numbers of float32 ones under autocast, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from mopd.models.device import autocast
from mopd.models.folders import load_model, resolve_model
from mopd.reading.narrow import linear_parameters, load_reader, narrow

CPU = torch.device("cpu")
IDS = torch.arange(1, 33).view(2, 16)
SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
}


def logps(model: Any) -> torch.Tensor:
    with torch.no_grad(), autocast("bfloat16", CPU):
        return torch.log_softmax(model(IDS, use_cache=False).logits.float(), dim=-1)


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "gemma3_text", "phi3", "gpt2", "olmo2", "qwen3_moe"])
def test_the_same_numbers_bit_for_bit(kind: str, tied: bool) -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SIZES, tie_word_embeddings=tied)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    before, size = logps(model), sum(parameter.nbytes for parameter in model.parameters())
    narrow(model, torch.bfloat16)
    assert torch.equal(logps(model), before)
    assert sum(parameter.nbytes for parameter in model.parameters()) < size
    embedding = model.get_input_embeddings().weight
    assert embedding.dtype == torch.float32 and not any(part is embedding for part in linear_parameters(model))


def test_a_reader_has_the_numbers_of_the_model_that_it_was_loaded_from() -> None:
    folder = resolve_model("tiny:llama")
    reader = load_reader(folder, CPU, "bfloat16")
    assert torch.equal(logps(reader), logps(load_model(folder)))
    assert {str(part.dtype) for part in linear_parameters(reader)} == {"torch.bfloat16"}
    plain: Path = folder
    assert all(part.dtype == torch.float32 for part in load_reader(plain, CPU, "float32").parameters())
