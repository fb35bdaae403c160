"""One forward pass over many rollouts, the shared prefix computed once.

Rollouts that follow the same prefix (a prompt, or a prompt with its peer context) become one *tree*: the prefix, then
each rollout as a branch that sees the prefix and itself. Trees are padded on the right into batches of bounded size.
Full-vocabulary logits exist for one chunk of positions at a time, in training too (they are recomputed in backward).

Axes: B trees, L tokens of a tree, N predicted tokens of a batch, H hidden size, K support ids, V vocabulary.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mopd.errors import InputError
from mopd.pulse import beat
from mopd.reading.attention import PADDING, PREFIX, attention_mask, most_shared
from mopd.timeline import span


@dataclass(frozen=True, eq=False)
class Branch:
    """A rollout to be read after a prefix, both as int32. `row` is its index in the caller's list."""

    row: int
    prefix: np.ndarray
    tokens: np.ndarray

    def __eq__(self, other: object) -> bool:
        """Whether the same is read for the same row."""
        if not isinstance(other, Branch) or self.row != other.row:
            return False
        return np.array_equal(self.prefix, other.prefix) and np.array_equal(self.tokens, other.tokens)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Tree:
    """A prefix and the rollouts that follow it. The last token of a rollout predicts nothing and is not fed."""

    prefix: np.ndarray
    branches: tuple[Branch, ...]

    @property
    def length(self) -> int:
        return len(self.prefix) + sum(len(branch.tokens) - 1 for branch in self.branches)


class Batch(NamedTuple):
    """Tensors of a batch of trees, on the device."""

    input_ids: Tensor  # [B, L]
    position_ids: Tensor  # [B, L]
    branch_of: Tensor | None  # [B, L] number of the branch, PREFIX or PADDING; None: every tree has one branch
    longest: int  # tokens of the longest sequence, a prefix and one branch
    source: Tensor  # [N] index into the flattened B * L positions whose hidden state predicts the token
    targets: Tensor  # [N] the sampled token ids
    rows: list[tuple[int, int]]  # (row, number of tokens), in the order of N


@dataclass(frozen=True)
class Blend:
    """Models that are read as one: their logits, each times its weight, add up.

    The functions below take a blend wherever they take a model; its hidden states are those of its models side by side.
    """

    models: tuple[Any, ...]
    weights: tuple[float, ...]
    num_ids: int
    """The vocabulary: logits from this id on are left out (padding of a head that is larger than the student's)."""


def branches(prefixes: Sequence[np.ndarray], responses: Sequence[np.ndarray]) -> list[Branch]:
    """One branch a rollout; empty responses have nothing to score and are left out."""
    return [
        Branch(row, np.asarray(prefix, dtype=np.int32), np.asarray(response, dtype=np.int32))
        for row, (prefix, response) in enumerate(zip(prefixes, responses, strict=True))
        if len(response) > 0
    ]


def plan_batches(items: Sequence[Branch], *, max_tokens: int, shared_tokens: int = sys.maxsize) -> list[list[Tree]]:
    """Group branches into trees by prefix and trees into batches of at most `max_tokens` padded tokens.

    A branch that alone exceeds the bound gets a batch of its own. Every branch appears exactly once. Where a tree has
    several branches, no tree of its batch has more than `shared_tokens` (of `tree_tokens`).
    """
    by_prefix: dict[bytes, list[Branch]] = {}
    for branch in items:
        by_prefix.setdefault(branch.prefix.tobytes(), []).append(branch)
    trees = [tree for group in by_prefix.values() for tree in _split(group, max_tokens, shared_tokens)]
    trees.sort(key=lambda tree: (tree.length, tree.branches[0].row))
    batches: list[list[Tree]] = []
    for tree in trees:
        fits = batches and (len(batches[-1]) + 1) * tree.length <= max_tokens
        if fits and (tree.length <= shared_tokens or all_plain([*batches[-1], tree])):
            batches[-1].append(tree)
        else:
            batches.append([tree])
    return batches


def all_plain(trees: Sequence[Tree]) -> bool:
    """Whether each tree is one sequence."""
    return all(len(tree.branches) == 1 for tree in trees)


def _split(group: list[Branch], max_tokens: int, shared_tokens: int) -> Iterator[Tree]:
    prefix, length = group[0].prefix, len(group[0].prefix)
    taken: list[Branch] = []
    for branch in group:
        fed = len(branch.tokens) - 1
        if taken and length + fed > min(max_tokens, shared_tokens):
            yield Tree(prefix, tuple(taken))
            taken, length = [], len(prefix)
        taken.append(branch)
        length += fed
    yield Tree(prefix, tuple(taken))


def make_batch(trees: Sequence[Tree], device: torch.device | str = "cpu") -> Batch:
    """Pad trees on the right and say which position predicts which token."""
    length = max(tree.length for tree in trees)
    ids, positions, branch_of = (np.zeros((len(trees), length), dtype=np.int64) for _ in range(3))
    branch_of.fill(PADDING)
    source: list[int] = []
    targets: list[np.ndarray] = []
    for b, tree in enumerate(trees):
        start = len(tree.prefix)
        ids[b, :start], positions[b, :start], branch_of[b, :start] = tree.prefix, np.arange(start), PREFIX
        at = start
        for number, branch in enumerate(tree.branches):
            fed = len(branch.tokens) - 1
            ids[b, at : at + fed] = branch.tokens[:-1]
            positions[b, at : at + fed] = np.arange(start, start + fed)
            branch_of[b, at : at + fed] = number
            source += [b * length + start - 1, *range(b * length + at, b * length + at + fed)]
            targets.append(branch.tokens)
            at += fed
    plain = all_plain(trees)
    if plain:  # counted on over the padding: where positions begin anew, transformers sees packed sequences
        positions[:] = np.arange(length)
    return Batch(
        input_ids=torch.from_numpy(ids).to(device),
        position_ids=torch.from_numpy(positions).to(device),
        branch_of=None if plain else torch.from_numpy(branch_of).to(device),
        longest=max(len(branch.prefix) + len(branch.tokens) - 1 for tree in trees for branch in tree.branches),
        source=torch.tensor(source, device=device),
        targets=torch.from_numpy(np.concatenate(targets).astype(np.int64)).to(device),
        rows=rows_of(trees),
    )


def rows_of(trees: Sequence[Tree]) -> list[tuple[int, int]]:
    """The (row, number of tokens) of each branch, in the order of the batch."""
    return [(branch.row, len(branch.tokens)) for tree in trees for branch in tree.branches]


@span("transformer", "device")
def hidden_states(model: Any, batch: Batch) -> Tensor:
    """Hidden states [N, H] that predict the batch's tokens."""
    if isinstance(model, Blend):
        return torch.cat([hidden_states(part, batch) for part in model.models], dim=-1)
    beat()
    output = model.base_model(
        input_ids=batch.input_ids,
        attention_mask=attention_mask(model, batch.branch_of, batch.longest),
        position_ids=batch.position_ids,
        use_cache=False,
    )
    return output.last_hidden_state.flatten(0, 1)[batch.source]


def tree_tokens(model: Any, items: Sequence[Branch]) -> int:
    """Tokens that a tree of several of these branches may have for `model`; 0 where it reads each by itself."""
    longest = max((len(branch.prefix) + len(branch.tokens) - 1 for branch in items), default=0)
    parts = model.models if isinstance(model, Blend) else (model,)
    return min(most_shared(part, longest) for part in parts)


def check_window(lengths: Sequence[int], window: int) -> None:
    """InputError if a sequence is longer than the model can read."""
    longest = max(lengths, default=0)
    if longest > window:
        raise InputError(
            f"a context with its rollout has {longest} tokens and the model reads {window}; "
            "lower condition.max_context_tokens or generate.max_tokens"
        )
