"""One forward pass over many rollouts, the shared prefix computed once.

Rollouts that follow the same prefix (a prompt, or a prompt with its peer context) become one *tree*: the prefix, then
each rollout as a branch that sees the prefix and itself. Trees are padded on the right into batches of bounded size.
Full-vocabulary logits exist for one chunk of positions at a time, in training too (they are recomputed in backward).

Axes: B trees, L tokens of a tree, N predicted tokens of a batch, H hidden size, K support ids, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mopd.errors import InputError


@dataclass(frozen=True)
class Branch:
    """A rollout to be read after a prefix. `row` is its index in the caller's list."""

    row: int
    prefix: tuple[int, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Tree:
    """A prefix and the rollouts that follow it. The last token of a rollout predicts nothing and is not fed."""

    prefix: tuple[int, ...]
    branches: tuple[Branch, ...]

    @property
    def length(self) -> int:
        return len(self.prefix) + sum(len(branch.tokens) - 1 for branch in self.branches)


class Batch(NamedTuple):
    """Tensors of a batch of trees, on the device."""

    input_ids: Tensor  # [B, L]
    position_ids: Tensor  # [B, L]
    mask: Tensor | None  # [B, 1, L, L] bool, true where attention is allowed; None: plain causal
    source: Tensor  # [N] index into the flattened B * L positions whose hidden state predicts the token
    targets: Tensor  # [N] the sampled token ids
    rows: list[tuple[int, int]]  # (row, number of tokens), in the order of N


class TokenLogps(NamedTuple):
    """Log-probabilities at the sampled tokens and on a support, at the rollout temperature, in nats."""

    sampled_N: Tensor
    support_ids_NK: Tensor
    support_logps_NK: Tensor


def branches(prefixes: Sequence[np.ndarray], responses: Sequence[np.ndarray]) -> list[Branch]:
    """One branch a rollout; empty responses have nothing to score and are left out."""
    return [
        Branch(row, tuple(map(int, prefix)), tuple(map(int, response)))
        for row, (prefix, response) in enumerate(zip(prefixes, responses, strict=True))
        if len(response) > 0
    ]


def plan_batches(items: Sequence[Branch], *, max_tokens: int) -> list[list[Tree]]:
    """Group branches into trees by prefix and trees into batches of at most `max_tokens` padded tokens.

    A branch that alone exceeds the bound gets a batch of its own. Every branch appears exactly once.
    """
    by_prefix: dict[tuple[int, ...], list[Branch]] = {}
    for branch in items:
        by_prefix.setdefault(branch.prefix, []).append(branch)
    trees = [tree for group in by_prefix.values() for tree in _split(group, max_tokens)]
    trees.sort(key=lambda tree: (tree.length, tree.branches[0].row))
    batches: list[list[Tree]] = []
    for tree in trees:
        if batches and (len(batches[-1]) + 1) * tree.length <= max_tokens:
            batches[-1].append(tree)
        else:
            batches.append([tree])
    return batches


def _split(group: list[Branch], max_tokens: int) -> Iterator[Tree]:
    prefix, length = group[0].prefix, len(group[0].prefix)
    taken: list[Branch] = []
    for branch in group:
        fed = len(branch.tokens) - 1
        if taken and length + fed > max_tokens:
            yield Tree(prefix, tuple(taken))
            taken, length = [], len(prefix)
        taken.append(branch)
        length += fed
    yield Tree(prefix, tuple(taken))


def make_batch(trees: Sequence[Tree], device: torch.device | str = "cpu") -> Batch:
    """Pad trees on the right and say which position predicts which token."""
    length = max(tree.length for tree in trees)
    ids, positions, branch_of = (np.zeros((len(trees), length), dtype=np.int64) for _ in range(3))
    branch_of.fill(-2)  # padding; -1 marks the prefix
    source: list[int] = []
    targets: list[int] = []
    rows: list[tuple[int, int]] = []
    for b, tree in enumerate(trees):
        start = len(tree.prefix)
        ids[b, :start], positions[b, :start], branch_of[b, :start] = tree.prefix, np.arange(start), -1
        at = start
        for number, branch in enumerate(tree.branches):
            fed = len(branch.tokens) - 1
            ids[b, at : at + fed] = branch.tokens[:-1]
            positions[b, at : at + fed] = np.arange(start, start + fed)
            branch_of[b, at : at + fed] = number
            source += [b * length + start - 1, *range(b * length + at, b * length + at + fed)]
            targets += branch.tokens
            rows.append((branch.row, len(branch.tokens)))
            at += fed
    plain = all(len(tree.branches) == 1 for tree in trees)
    return Batch(
        input_ids=torch.from_numpy(ids).to(device),
        position_ids=torch.from_numpy(positions).to(device),
        mask=None if plain else _tree_mask(torch.from_numpy(branch_of).to(device)),
        source=torch.tensor(source, device=device),
        targets=torch.tensor(targets, device=device),
        rows=rows,
    )


def _tree_mask(branch_BL: Tensor) -> Tensor:
    """Allowed attention [B, 1, L, L]: backwards, to the prefix or within the same branch."""
    length = branch_BL.shape[1]
    causal_LL = torch.ones(length, length, dtype=torch.bool, device=branch_BL.device).tril()
    query, key = branch_BL[:, :, None], branch_BL[:, None, :]
    return (causal_LL & ((key == -1) | (query == key)))[:, None]


def hidden_states(model: Any, batch: Batch) -> Tensor:
    """Hidden states [N, H] that predict the batch's tokens."""
    attention: Tensor | None = batch.mask
    if attention is not None and model.config._attn_implementation == "eager":
        attention = torch.zeros_like(attention, dtype=torch.float32).masked_fill(~attention, float("-inf"))
    output = model.base_model(
        input_ids=batch.input_ids, attention_mask=attention, position_ids=batch.position_ids, use_cache=False
    )
    return output.last_hidden_state.flatten(0, 1)[batch.source]


def vocabulary_logps(model: Any, hidden_NH: Tensor, temperature: float) -> Tensor:
    """Full-vocabulary log-probabilities [N, V] in fp32 at `temperature`. Only ever called on a chunk."""
    logits_NV = model.get_output_embeddings()(hidden_NH).float()
    cap = getattr(model.config, "final_logit_softcapping", None)
    if cap is not None:
        logits_NV = torch.tanh(logits_NV / cap) * cap
    return torch.log_softmax(logits_NV / temperature, dim=-1)


def token_logps(
    model: Any,
    hidden_NH: Tensor,
    targets_N: Tensor,
    *,
    temperature: float,
    chunk: int,
    support_ids_NK: Tensor | None = None,
    top_k: int | None = None,
) -> TokenLogps:
    """Log-probabilities of the sampled tokens and of a support: the given ids, or the model's own top k."""
    assert (support_ids_NK is None) != (top_k is None), "give the support or its size"

    def of_chunk(hidden_CH: Tensor, targets_C: Tensor, ids_CK: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        logps_CV = vocabulary_logps(model, hidden_CH, temperature)
        if ids_CK is None:
            assert top_k is not None
            ids_CK = logps_CV.topk(min(top_k, logps_CV.shape[-1]), dim=-1).indices
        return logps_CV.gather(1, targets_C[:, None]).squeeze(1), ids_CK, logps_CV.gather(1, ids_CK)

    parts = []
    for start in range(0, len(targets_N), chunk):
        cut = slice(start, start + chunk)
        arguments = hidden_NH[cut], targets_N[cut], None if support_ids_NK is None else support_ids_NK[cut]
        needs_gradient = torch.is_grad_enabled() and hidden_NH.requires_grad
        parts.append(checkpoint(of_chunk, *arguments, use_reentrant=False) if needs_gradient else of_chunk(*arguments))
    sampled, ids, support = (torch.cat(column) for column in zip(*parts, strict=True))
    return TokenLogps(sampled, ids, support)


@torch.no_grad()
def check_head(model: Any) -> None:
    """InputError if our logits of a token are not the model's own: some architectures scale them after the head."""
    ids = torch.tensor([[1]], device=model.device)
    own = torch.log_softmax(model(ids).logits[0].float(), dim=-1)
    ours = vocabulary_logps(model, model.base_model(ids).last_hidden_state[0], 1.0)
    if not torch.allclose(own, ours, atol=1e-3):
        raise InputError(
            f"model.path: {model.config.model_type} models change their logits in a way that mopd does not know; "
            "choose another model, or teach mopd.forward.vocabulary_logps"
        )


def check_window(lengths: Sequence[int], window: int) -> None:
    """InputError if a sequence is longer than the model can read."""
    longest = max(lengths, default=0)
    if longest > window:
        raise InputError(
            f"a context with its rollout has {longest} tokens and the model reads {window}; "
            "lower condition.max_context_tokens or generate.max_tokens"
        )
