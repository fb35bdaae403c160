"""How trees are attended to: a prefix shared by branches, each of which sees the prefix and itself.

Up to some length a mask says so, as transformers takes it. Longer trees would want masks of gigabytes, and time for
what no branch sees: models get an attention function of ours instead, which reads the shape of the trees where the mask
would be. On a CPU it attends from each branch by itself; on a GPU FlexAttention skips the blocks that no branch sees.
Sliding windows are windows of positions: a branch goes on where its prefix ends.

Axes: B trees, L tokens of a tree, T of a branch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.weak import WeakIdKeyDictionary

NAME = "mopd_trees"
"""Of our attention function, in the registry of transformers."""
DENSE_TOKENS = 4096
"""Longest tree that gets a mask of L x L."""
CPU_DENSE_TOKENS = 512
"""The same on a CPU, for models that can do without: a branch at a time takes a third of the time there."""
BLOCK_ROWS = 512
"""Queries of a branch that attend at a time on a CPU."""
PREFIX, PADDING = -1, -2
"""Marks in the places of branch numbers."""
PLAIN_LAYERS = {"full_attention", "sliding_attention"}


class Segment(NamedTuple):
    """A run of tokens that one tree reads in a row: its prefix, or a branch after it."""

    prefix: int
    """Tokens of the prefix that come before, 0 for the prefix itself."""
    start: int
    end: int


class TreeShape:
    """What the attention of all layers takes of the trees of a batch, each made once."""

    def __init__(self, branch_BL: Tensor) -> None:
        self.branch_BL = branch_BL
        self._bands: dict[tuple[int | None, torch.dtype], Tensor] = {}
        self._block_masks: dict[int | None, Any] = {}

    @cached_property
    def segments(self) -> list[list[Segment]]:
        """Of each tree, in the order of its tokens; padding is left out."""
        return [list(_segments(row)) for row in self.branch_BL.cpu()]

    def band(self, window: int | None, dtype: torch.dtype) -> Tensor:
        """What is added to the scores [BLOCK_ROWS, L + BLOCK_ROWS] of rows whose diagonal begins at column L.

        The mask of any block of rows is a cut of it: see `_suffix_attention`.
        """
        if (window, dtype) not in self._bands:
            length, device = self.branch_BL.shape[1], self.branch_BL.device
            columns, rows = (torch.arange(size, device=device) for size in (length + BLOCK_ROWS, BLOCK_ROWS))
            ahead_RX = columns - rows[:, None] - length
            hidden_RX = ahead_RX > 0 if window is None else (ahead_RX > 0) | (ahead_RX <= -window)
            band_RX = torch.zeros(hidden_RX.shape, dtype=dtype, device=device)
            self._bands[window, dtype] = band_RX.masked_fill_(hidden_RX, -torch.inf)
        return self._bands[window, dtype]

    def block_mask(self, window: int | None) -> Any:
        """For FlexAttention."""
        if window not in self._block_masks:
            from torch.nn.attention.flex_attention import create_block_mask

            batch, length = self.branch_BL.shape
            self._block_masks[window] = create_block_mask(
                self.allowed(window), batch, None, length, length, device=self.branch_BL.device, _compile=True
            )
        return self._block_masks[window]

    def allowed(self, window: int | None) -> Any:
        """Whether a query sees a key, by their places in a tree: backwards, to the prefix or within the branch."""
        branch_BL, position_BL = self.branch_BL, self._positions()

        def mask(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
            seen = (branch_BL[b, key] == PREFIX) | (branch_BL[b, key] == branch_BL[b, query])
            near = True if window is None else position_BL[b, query] - position_BL[b, key] < window
            return (query >= key) & seen & near

        return mask

    def _positions(self) -> Tensor:
        """Of each token [B, L] in the sequence that it belongs to."""
        position_BL = torch.arange(self.branch_BL.shape[1], device=self.branch_BL.device).repeat(len(self.branch_BL), 1)
        for position_L, segments in zip(position_BL, self.segments, strict=True):
            for prefix, start, end in segments:
                position_L[start:end] += prefix - start
        return position_BL


_shapes = WeakIdKeyDictionary()
"""Shapes by the mask that stands for them, as long as it is in use."""


def _segments(branch_L: Tensor) -> Iterator[Segment]:
    marks, lengths = torch.unique_consecutive(branch_L, return_counts=True)
    start = prefix = 0
    for mark, length in zip(marks.tolist(), lengths.tolist(), strict=True):
        if mark != PADDING:
            yield Segment(prefix, start, start + length)
        if mark == PREFIX:
            prefix = length
        start += length


def dense_mask(branch_BL: Tensor) -> Tensor:
    """Allowed attention [B, 1, L, L]: backwards, to the prefix or within the same branch. Large, so made in place."""
    mask_BLL = branch_BL[:, :, None] == branch_BL[:, None, :]
    mask_BLL |= (branch_BL == PREFIX)[:, None, :]
    return mask_BLL.tril_()[:, None]


def attention_mask(model: Any, branch_BL: Tensor | None, longest: int) -> Tensor | None:
    """What `model` takes as the mask of trees whose longest sequence, prefix and a branch, has `longest` tokens.

    A mask [B, 1, L, L], or, of integers [B, 1, 1, L], the branch of each token, for our attention function. None for
    sequences alone (`branch_BL` is None): attention is causal without.
    """
    reads_shapes = takes_trees(model)
    if branch_BL is None:
        return None
    window = sliding_window(model)
    most = min(CPU_DENSE_TOKENS, DENSE_TOKENS) if reads_shapes and branch_BL.device.type == "cpu" else DENSE_TOKENS
    if branch_BL.shape[1] > most or (window is not None and longest > window):
        assert reads_shapes, "plan_batches keeps such trees from other models"
        return branch_BL[:, None, None, :]
    mask = dense_mask(branch_BL)
    if _implementation(model) == "eager":
        return torch.zeros_like(mask, dtype=torch.float32).masked_fill_(~mask, float("-inf"))
    return mask


def most_shared(model: Any, longest: int) -> int:
    """Tokens that a tree of several branches may have for `model`, if its longest sequence has `longest`; 0: none.

    Layers that carry a state from token to token, or attend in chunks, read each rollout by itself.
    """
    if getattr(model, "_is_stateful", False) or not layer_types(model) <= PLAIN_LAYERS:
        return 0
    if takes_trees(model):
        return sys.maxsize
    window = sliding_window(model)
    return DENSE_TOKENS if window is None or longest <= window else 0


def takes_trees(model: Any) -> bool:
    """Whether the model's attention is ours, which it becomes here where it can be replaced."""
    if _implementation(model) == "sdpa" and layer_types(model) <= PLAIN_LAYERS and model._can_set_attn_implementation():
        _register()
        model.set_attn_implementation(NAME)
    return bool(_implementation(model) == NAME)


def layer_types(model: Any) -> set[str]:
    """Kinds of the layers, as the config names them; none where it has one kind alone."""
    return set(getattr(_text_config(model), "layer_types", None) or ())


def sliding_window(model: Any) -> int | None:
    """Tokens that some layer sees at most; None where all see everything."""
    config, kinds = _text_config(model), layer_types(model)
    window: int | None = getattr(config, "sliding_window", None)
    return window if not kinds or "sliding_attention" in kinds else None


def _implementation(model: Any) -> str | None:
    return getattr(model.config, "_attn_implementation", None)


def _text_config(model: Any) -> Any:
    return model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, mask_of_sequences)


def mask_of_sequences(**asked: Any) -> Tensor | None:
    """The mask that transformers makes, but none for a sliding window over long sequences: `attend` knows how."""
    from transformers.masking_utils import sdpa_mask

    sequences = asked["q_length"] == asked["kv_length"] and asked.get("attention_mask") is None
    if asked.get("local_size") is not None and sequences and asked["q_length"] > DENSE_TOKENS:
        return None
    mask: Tensor | None = sdpa_mask(**asked)
    return mask


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, Any]:
    """Attention of one layer, [B, heads, L, D] to [B, L, heads, D]: as transformers' sdpa, but for long trees."""
    from transformers.integrations.flex_attention import flex_attention_forward
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    window: int | None = options.get("sliding_window")
    if attention_mask is None and window is not None and window < query.shape[2] == key.shape[2]:
        attention_mask = _sequences(len(query), query.shape[2], query.device)
    if attention_mask is None or attention_mask.dtype.is_floating_point or attention_mask.dtype == torch.bool:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    if attention_mask not in _shapes:
        _shapes[attention_mask] = TreeShape(attention_mask[:, 0, 0].clone())  # a view would keep the mask in use
    shape = _shapes[attention_mask]
    if query.is_cuda:
        return flex_attention_forward(module, query, key, value, shape.block_mask(window), **options)
    return _tree_attention(shape, query, key, value, window, **options), None


@lru_cache(maxsize=1)
def _sequences(batch: int, length: int, device: torch.device) -> Tensor:
    """The mask of trees that are prefixes alone."""
    return torch.full((batch, 1, 1, length), PREFIX, device=device)


def _tree_attention(
    shape: TreeShape, query: Tensor, key: Tensor, value: Tensor, window: int | None, **options: Any
) -> Tensor:
    sdpa = {"dropout_p": options.get("dropout", 0.0), "scale": options.get("scaling"), "enable_gqa": True}
    trees = []
    for b, segments in enumerate(shape.segments):
        parts = []
        for prefix, start, end in segments:
            keys, values = (_joined(side[b : b + 1], prefix, start, end) for side in (key, value))
            parts.append(_suffix_attention(query[b : b + 1, :, start:end], keys, values, shape, window, sdpa))
        rest = query.shape[2] - segments[-1].end
        trees.append(torch.cat([*parts, parts[-1].new_zeros(*parts[-1].shape[:2], rest, parts[-1].shape[3])], dim=2))
    return torch.cat(trees).transpose(1, 2)


def _joined(side: Tensor, prefix: int, start: int, end: int) -> Tensor:
    """Keys or values of a prefix and of a branch after it."""
    branch = side[:, :, start:end]
    return branch if prefix == 0 else torch.cat([side[:, :, :prefix], branch], dim=2)


def _suffix_attention(
    query: Tensor, key: Tensor, value: Tensor, shape: TreeShape, window: int | None, sdpa: dict[str, Any]
) -> Tensor:
    """Causal attention from the last T of the keys' places, [1, heads, T, D]; the masks of blocks are cut from one."""
    num_queries, num_keys = query.shape[2], key.shape[2]
    if window is not None and window >= num_keys:
        window = None
    if window is None and num_queries == num_keys:
        return scaled_dot_product_attention(query, key, value, is_causal=True, **sdpa)
    kind = query.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query.dtype
    band, before, parts = shape.band(window, dtype), num_keys - num_queries, []
    for start in range(0, num_queries, BLOCK_ROWS):
        end = min(start + BLOCK_ROWS, num_queries)
        first = 0 if window is None else max(0, before + start - window + 1)
        at = shape.branch_BL.shape[1] - (before + start - first)
        mask = band[: end - start, at : at + before + end - first]
        keys, values = (side[:, :, first : before + end] for side in (key, value))
        parts.append(scaled_dot_product_attention(query[:, :, start:end], keys, values, attn_mask=mask, **sdpa))
    return torch.cat(parts, dim=2)
