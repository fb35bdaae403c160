"""The arithmetic of memory: exact numbers of parameters, and what autograd really keeps of a decoder layer."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from mopd.errors import InputError
from mopd.memory import footprint
from mopd.memory.footprint import Widths, read_shape, shape_of
from mopd.models.lora import adapter_weights, add_adapter
from mopd.reading.attention import DENSE_TOKENS
from mopd.settings.lora import LoraSettings

NUM_TOKENS = 96
WIDTHS = {"float32": Widths(4, 4), "autocast": Widths(4, 2), "bfloat16": Widths(2, 2)}


def write_config(folder: Path, **sizes: Any) -> Path:
    """A folder with the config of a Qwen3 model and nothing else."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3", "head_dim": 128, **sizes}))
    return folder


QWEN3 = {
    "0.6B": ((1024, 28, 16, 3072, True), 596_049_920),
    "4B": ((2560, 36, 32, 9728, True), 4_022_468_096),
    "8B": ((4096, 36, 32, 12288, False), 8_190_735_360),
}


@pytest.mark.parametrize("name", QWEN3)
def test_parameters_are_counted_from_a_config_alone(name: str, tmp_path: Path) -> None:
    (hidden, layers, heads, mlp, tied), num_params = QWEN3[name]
    folder = write_config(
        tmp_path / name,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=8,
        intermediate_size=mlp,
        vocab_size=151936,
        tie_word_embeddings=tied,
    )
    shape = read_shape(folder, LoraSettings(rank=16))
    assert shape.num_params == num_params
    assert (shape.query_width, shape.key_width, shape.norms_queries) == (heads * 128, 1024, True)
    attention = 4 * hidden + 2 * heads * 128 + 2 * 1024  # inputs and outputs of q, k, v and o
    assert shape.num_adapter == 16 * layers * (attention + 3 * (hidden + mlp))


def small_model(config: type, num_layers: int, *, dtype: torch.dtype = torch.float32) -> Any:
    sizes: dict[str, Any] = {"head_dim": 32} if config is Qwen3Config else {}
    made = config(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=176,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        **sizes,
    )
    return AutoModelForCausalLM.from_config(made, dtype=dtype).train()


def test_an_adapter_has_as_many_parameters_as_peft_makes() -> None:
    model, lora = small_model(LlamaConfig, 2), LoraSettings(rank=4, target_modules=("q_proj", "down_proj"))
    expected = shape_of(model, lora).num_adapter
    add_adapter(model, lora, seed=0)
    assert expected == sum(weight.numel() for weight in adapter_weights(model).values())


def kept_bytes(model: Any, *, autocast: bool, masked: bool) -> int:
    """Bytes that a forward pass leaves for backward, weights and copies of weights left out."""
    ids = torch.arange(NUM_TOKENS)[None]
    mask = torch.ones(1, 1, NUM_TOKENS, NUM_TOKENS, dtype=torch.bool).tril() if masked else None
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if NUM_TOKENS in tensor.shape:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    precision = torch.autocast("cpu", dtype=torch.bfloat16) if autocast else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), precision:
        output = model.base_model(input_ids=ids, position_ids=ids, attention_mask=mask, use_cache=False)
    del output
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("precision", WIDTHS)
@pytest.mark.parametrize("config", [LlamaConfig, Qwen2Config, Qwen3Config])
def test_layers_keep_what_is_reckoned(config: type, precision: str, masked: bool) -> None:
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    two, four = (small_model(config, count, dtype=dtype) for count in (2, 4))
    autocast = precision != "float32"
    of_two_layers = kept_bytes(four, autocast=autocast, masked=masked) - kept_bytes(
        two, autocast=autocast, masked=masked
    )
    shape, widths = shape_of(four), WIDTHS[precision]
    layer = NUM_TOKENS * footprint.layer_bytes(shape, widths, repeated=masked)
    layer += widths.compute * NUM_TOKENS**2 if masked else 0
    assert 2 * layer == pytest.approx(of_two_layers, rel=0.015)


def test_checkpointing_keeps_inputs_and_one_layer() -> None:
    shape, widths = shape_of(small_model(LlamaConfig, 8)), WIDTHS["float32"]
    full, less = (
        footprint.activation_bytes(shape, widths, num_tokens=NUM_TOKENS, checkpointing=checkpointing)
        for checkpointing in (False, True)
    )
    layer = NUM_TOKENS * footprint.layer_bytes(shape, widths)
    assert full - less == 7 * layer - 8 * NUM_TOKENS * 64 * 4


def test_no_tree_has_a_larger_mask_than_attention_makes() -> None:
    shape, widths = shape_of(small_model(LlamaConfig, 2)), WIDTHS["float32"]
    at_most, longer = (
        footprint.reading_bytes(shape, widths, num_tokens=NUM_TOKENS, mask_length=length)
        for length in (DENSE_TOKENS, 10 * DENSE_TOKENS)
    )
    assert at_most == longer and footprint.DENSE_TOKENS == DENSE_TOKENS


def test_keys_and_values_of_grouped_heads() -> None:
    shape = shape_of(small_model(Qwen3Config, 4))
    assert footprint.cache_bytes(shape, 2, num_tokens=10) == 2 * 4 * (2 * 32) * 2 * 10


def test_a_config_with_a_wrong_type_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = write_config(tmp_path / "wrong", hidden_size="x")
    with pytest.raises(
        InputError, match=r"wrong: no model can be made of its config\.json \(.*'hidden_size'.*\)$"
    ) as told:
        read_shape(folder)
    assert "\n" not in str(told.value)
