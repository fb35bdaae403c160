"""Trees are read as each rollout alone is read, by every kind of model, and long ones without a mask of L x L."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    AutoModelForCausalLM,
    Cohere2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from mopd.reading import attention
from mopd.reading.attention import TreeShape, dense_mask, most_shared, sliding_window, takes_trees
from mopd.reading.forward import Branch, branches, hidden_states, make_batch, plan_batches, tree_tokens

WINDOW = 6
SIZES: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 20_000, "pad_token_id": 0,
}  # fmt: skip
MIXED = ["full_attention", "sliding_attention"]
WINDOWED: dict[str, PreTrainedConfig] = {
    "mistral": MistralConfig(**SIZES, sliding_window=WINDOW),
    "gemma3": Gemma3TextConfig(**SIZES, sliding_window=WINDOW, layer_types=MIXED),
    "qwen2": Qwen2Config(**SIZES, sliding_window=WINDOW, use_sliding_window=True, layer_types=MIXED),
    "cohere2": Cohere2Config(**SIZES, sliding_window=WINDOW, layer_types=MIXED),
}
CONFIGS: dict[str, PreTrainedConfig] = {"llama": LlamaConfig(**SIZES), "qwen3": Qwen3Config(**SIZES), **WINDOWED}


def make_model(config: PreTrainedConfig, attention_kind: str = "sdpa") -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(deepcopy(config), attn_implementation=attention_kind).eval()


def items(prefix: int = 9, lengths: tuple[int, ...] = (7, 1, 12, 4)) -> list[Branch]:
    """Rollouts after two prefixes: one tree of several branches, one of two."""
    rng = np.random.default_rng(0)
    prefixes = [rng.integers(3, 64, size=size) for size in (prefix, 3)]
    which = [0] * len(lengths) + [1, 1]
    return branches([prefixes[w] for w in which], [rng.integers(3, 64, size=n) for n in (*lengths, 5, 2)])


def read(model: Any, planned: list[list[Any]]) -> dict[int, torch.Tensor]:
    """Hidden states of each rollout."""
    states = {}
    for trees in planned:
        batch = make_batch(trees)
        parts = hidden_states(model, batch).split([length for _, length in batch.rows])
        states |= {row: part for (row, _), part in zip(batch.rows, parts, strict=True)}
    return states


def alone(model: Any, wanted: list[Branch]) -> dict[int, torch.Tensor]:
    """Each by a plain pass of transformers."""
    model.set_attn_implementation("sdpa")
    states = {}
    for branch in wanted:
        ids = torch.from_numpy(np.concatenate([branch.prefix, branch.tokens[:-1]]).astype(np.int64))[None]
        states[branch.row] = model.base_model(ids).last_hidden_state[0, len(branch.prefix) - 1 :]
    return states


def assert_close(first: dict[int, torch.Tensor], second: dict[int, torch.Tensor], tolerance: float = 1e-5) -> None:
    assert first.keys() == second.keys()
    for row, value in first.items():
        torch.testing.assert_close(value, second[row], atol=tolerance, rtol=0)


def test_on_a_cpu_masks_end_sooner_but_for_models_that_need_one() -> None:
    """Models with our attention get the branches' numbers in place of a mask from some length on."""
    for length, kind in ((attention.CPU_DENSE_TOKENS, torch.bool), (attention.CPU_DENSE_TOKENS + 1, torch.int64)):
        branch_BL = torch.zeros(1, length, dtype=torch.int64)
        ours, own = (make_model(CONFIGS["llama"], attention_kind) for attention_kind in ("sdpa", "eager"))
        masks = [attention.attention_mask(model, branch_BL, longest=length) for model in (ours, own)]
        assert masks[0] is not None and masks[0].dtype == kind
        assert masks[1] is not None and masks[1].shape == (1, 1, length, length)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees and blocks are long from few tokens on."""
    monkeypatch.setattr(attention, "DENSE_TOKENS", 4)
    monkeypatch.setattr(attention, "BLOCK_ROWS", 3)


@pytest.mark.parametrize("bound", [1000, 40, 1])
@pytest.mark.parametrize("name", CONFIGS)
def test_long_trees_are_read_as_each_rollout_alone(name: str, bound: int, short: None) -> None:
    model, wanted = make_model(CONFIGS[name]), items()
    planned = plan_batches(wanted, max_tokens=bound, shared_tokens=tree_tokens(model, wanted))
    with torch.no_grad():
        trees = read(model, planned)
        assert model.config._attn_implementation == attention.NAME
        assert_close(trees, alone(model, wanted))


@pytest.mark.parametrize("name", WINDOWED)
def test_short_trees_keep_a_sliding_window_of_positions(name: str) -> None:
    model, wanted = make_model(CONFIGS[name]), items()
    assert sliding_window(model) == WINDOW
    with torch.no_grad():
        trees = read(model, plan_batches(wanted, max_tokens=1000, shared_tokens=tree_tokens(model, wanted)))
        assert_close(trees, alone(model, wanted))


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_gradients_of_long_trees(name: str, checkpointing: bool, short: None) -> None:
    model, wanted = make_model(CONFIGS[name]), items()

    def gradients(states: dict[int, torch.Tensor]) -> dict[str, torch.Tensor]:
        model.zero_grad()
        sum(state.square().sum() for state in states.values()).backward()  # type: ignore[union-attr]
        return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}

    if checkpointing:
        model.gradient_checkpointing_enable()
    ours = gradients(read(model.train(), plan_batches(wanted, max_tokens=1000)))
    model.gradient_checkpointing_disable()
    for parameter, value in gradients(alone(model, wanted)).items():
        torch.testing.assert_close(ours[parameter], value, atol=1e-4, rtol=1e-4)


def test_long_trees_under_autocast(short: None) -> None:
    """As near to fp32 as transformers' own attention is."""
    model, wanted = make_model(CONFIGS["llama"]), items()
    exact = alone(model, wanted)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        trees, plain = read(model, plan_batches(wanted, max_tokens=1000)), alone(model, wanted)
    errors = [max((states[row] - exact[row]).abs().max().item() for row in exact) for states in (trees, plain)]
    assert errors[0] < 2 * errors[1]


def test_a_long_tree_equals_its_dense_mask() -> None:
    """At true lengths: 4,100 tokens, several blocks a branch."""
    model, wanted = make_model(CONFIGS["llama"]), items(1500, (1400, 700, 600))[:3]
    ((tree,),) = plan_batches(wanted, max_tokens=5000)
    batch = make_batch([tree])
    assert batch.branch_of is not None and batch.branch_of.shape[1] > attention.DENSE_TOKENS
    with torch.no_grad():
        ours = hidden_states(model, batch)
        dense = model.base_model(batch.input_ids, attention_mask=dense_mask(batch.branch_of),
                                 position_ids=batch.position_ids).last_hidden_state  # fmt: skip
    torch.testing.assert_close(ours, dense.flatten(0, 1)[batch.source], atol=1e-5, rtol=0)


class Sizes(TorchDispatchMode):
    """The largest tensor that any operation makes."""

    largest = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel())
        return result


@pytest.mark.parametrize("name", ["llama", "mistral", "gemma3"])
@pytest.mark.parametrize("rollouts", [1, 2])
def test_no_tensor_grows_with_the_square_of_the_length(name: str, rollouts: int) -> None:
    """Trees and, in a padded batch, plain sequences; but for the band of one block's rows."""
    model, length = make_model(CONFIGS[name]), 4400
    prefix, lengths = (2000, (1300, 1100)) if rollouts == 2 else (20, (4380,))
    wanted = items(prefix, lengths)
    planned = [sorted((tree for trees in plan_batches(wanted, max_tokens=1) for tree in trees), key=lambda t: t.length)]
    if rollouts == 2:
        planned = [trees for trees in plan_batches(wanted, max_tokens=5000) if trees[0].length > 4096]
    with torch.no_grad(), Sizes() as sizes:
        read(model, planned)
    bound = max(length * 64 * len(planned[0]), (length + 2 * attention.BLOCK_ROWS) * attention.BLOCK_ROWS)
    assert sizes.largest <= bound < length * length


def test_padded_sequences_are_causal_without_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    model, masks = make_model(CONFIGS["llama"]), []
    from transformers.integrations import sdpa_attention

    plain = sdpa_attention.sdpa_attention_forward
    monkeypatch.setattr(
        sdpa_attention,
        "sdpa_attention_forward",
        lambda *args, **kwargs: (masks.append(args[4]), plain(*args, **kwargs))[1],
    )
    planned = [[tree for trees in plan_batches(items(), max_tokens=1) for tree in trees]]
    with torch.no_grad():
        assert_close(read(model, planned), alone(model, items()))
    assert masks == [None, None]


def test_what_flex_attention_is_told_is_the_mask() -> None:
    """With and without a window, place by place."""
    (trees,) = plan_batches(items(), max_tokens=1000)
    batch = make_batch(trees)
    assert batch.branch_of is not None
    places = torch.arange(batch.branch_of.shape[1])
    for window in (None, WINDOW):
        allowed = TreeShape(batch.branch_of).allowed(window)
        positions = batch.position_ids
        for b, mask in enumerate(dense_mask(batch.branch_of)[:, 0]):
            near = positions[b][:, None] - positions[b][None] < (window or len(places))
            told = allowed(torch.tensor(b), None, places[:, None], places[None])
            real = batch.branch_of[b] != attention.PADDING
            assert torch.equal(told[real], (mask & near)[real])


def test_models_that_keep_a_state_read_each_rollout_by_itself() -> None:
    model = make_model(CONFIGS["llama"])
    model.config.layer_types = ["linear_attention", "full_attention"]
    assert (takes_trees(model), tree_tokens(model, items())) == (False, 0)
    assert all(
        len(tree.branches) == 1 for trees in plan_batches(items(), max_tokens=1000, shared_tokens=0) for tree in trees
    )


def test_models_whose_attention_is_their_own_share_short_prefixes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask within what is dense, else one sequence a rollout; the same numbers."""
    model = make_model(CONFIGS["llama"], "eager")
    assert most_shared(model, 100) == attention.DENSE_TOKENS
    monkeypatch.setattr(attention, "DENSE_TOKENS", 16)
    planned = plan_batches(items(), max_tokens=1000, shared_tokens=tree_tokens(model, items()))
    several = [tree.length for trees in planned for tree in trees if len(tree.branches) > 1]
    assert several and max(several) <= 16
    for trees in planned:
        assert make_batch(trees).branch_of is None or max(tree.length for tree in trees) <= 16
    with torch.no_grad():
        assert_close(read(model, planned), alone(model, items()))


def test_a_model_with_a_window_and_attention_of_its_own_shares_no_prefix() -> None:
    model = make_model(CONFIGS["mistral"], "eager")
    assert [most_shared(model, longest) for longest in (WINDOW, WINDOW + 1)] == [attention.DENSE_TOKENS, 0]


def test_a_saved_config_does_not_name_our_attention(tmp_path: Any) -> None:
    model = make_model(CONFIGS["llama"])
    assert takes_trees(model)
    model.save_pretrained(tmp_path)
    assert attention.NAME not in (tmp_path / "config.json").read_text()
