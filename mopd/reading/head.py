"""From hidden states to log-probabilities, a chunk of positions at a time: the logits of a batch never exist together.

A chunk is multiplied with the output layer at once; what is made of its logits (a softmax, a divergence) is made for a
block of few rows at a time. The backward pass computes a chunk's logits again and writes their gradient over them: it
too takes one tensor of the chunk's size, and one gradient of the output layer, to which every chunk adds.

Axes: N predicted tokens of a batch, C of a chunk, R of a block, H hidden size, K support ids, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from mopd.errors import InputError
from mopd.reading.forward import Blend
from mopd.timeline import span

BLOCK_ENTRIES = 2**22
"""Logits of a block: in fp32 16 MB, and as much for each temporary of what is made of them."""
WEIGHT_ROWS = 2**14
"""Rows of the output layer whose gradient is computed at a time where it must be cast before it is added."""

Tensors = tuple[Tensor | None, ...]


class TokenLogps(NamedTuple):
    """Log-probabilities at the sampled tokens and on a support, at the rollout temperature, in nats."""

    sampled_N: Tensor
    support_ids_NK: Tensor  # distinct at each position; -1: no id, its log-probability is -inf
    support_logps_NK: Tensor


class Head(NamedTuple):
    """The output layer of a model, in the precision that it is multiplied in."""

    weight_VH: Tensor
    bias_V: Tensor | None
    cap: float | None
    """Beyond which logits are squashed, `final_logit_softcapping` of some models."""

    @classmethod
    def of(cls, model: Any) -> Head:
        """Cast once here, not once a chunk, where autocast is on."""
        layer = model.get_output_embeddings()
        dtype = product_dtype(layer.weight)
        bias = None if layer.bias is None else layer.bias.to(dtype)
        return cls(layer.weight.to(dtype), bias, getattr(model.config, "final_logit_softcapping", None))

    def product(self, hidden_NH: Tensor) -> Tensor:
        """[N, V], in the layer's own precision."""
        return linear(hidden_NH.to(self.weight_VH.dtype), self.weight_VH, self.bias_V)

    def logits(self, product_NV: Tensor) -> Tensor:
        """In at least fp32, before temperature."""
        logits_NV = product_NV.to(torch.promote_types(product_NV.dtype, torch.float32))
        return logits_NV if self.cap is None else torch.tanh(logits_NV / self.cap) * self.cap


def product_dtype(weight: Tensor) -> torch.dtype:
    """The precision in which a layer of these weights is multiplied here."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


class Heads(NamedTuple):
    """The output layers of a model, or of those that a blend is made of."""

    heads: tuple[Head, ...]
    weights: tuple[float, ...]
    num_ids: int | None
    """Logits from this id on are left out."""

    @classmethod
    def of(cls, model: Any) -> Heads:
        if isinstance(model, Blend):
            return cls(tuple(Head.of(part) for part in model.models), model.weights, model.num_ids)
        return cls((Head.of(model),), (1.0,), None)

    def products(self, hidden_NH: Tensor) -> list[Tensor]:
        """Of each layer with its own part of the hidden states."""
        widths = [head.weight_VH.shape[1] for head in self.heads]
        return [head.product(part) for head, part in zip(self.heads, hidden_NH.split(widths, dim=-1), strict=True)]

    def logits(self, products: list[Tensor]) -> Any:
        """In at least fp32, before temperature; those of a blend add up."""
        parts = [head.logits(product[:, : self.num_ids]) for head, product in zip(self.heads, products, strict=True)]
        if len(parts) == 1:
            return parts[0]
        return sum(weight * part for weight, part in zip(self.weights, parts, strict=True))


@dataclass(frozen=True)
class LogitMap:
    """What is made of the logits of each position: see `map_logits`."""

    model: Any
    function: Callable[..., tuple[Tensor, ...]]
    beside: Callable[[slice], Tensors]
    chunk: int

    def chunks(self, num_positions: int) -> list[slice]:
        return [slice(start, start + self.chunk) for start in range(0, num_positions, self.chunk)]

    def blocks(self, products: list[Tensor], cut: slice) -> Iterator[tuple[slice, Tensors]]:
        """Rows of a chunk, and what stands beside them."""
        beside = self.beside(cut)
        length, step = len(products[0]), max(1, BLOCK_ENTRIES // products[0].shape[1])
        for start in range(0, length, step):
            rows = slice(start, start + step)
            yield rows, tuple(None if tensor is None else tensor[rows] for tensor in beside)

    def values(self, hidden_NH: Tensor) -> tuple[Tensor, ...]:
        """The function's tensors, of N entries; without gradient."""
        parts, heads = [], Heads.of(self.model)
        for cut in self.chunks(len(hidden_NH)):
            products = heads.products(hidden_NH[cut])
            for rows, beside in self.blocks(products, cut):
                parts.append(self.function(heads.logits([product[rows] for product in products]), *beside))
            del products  # before the next ones are made
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))

    def slope(self, head: Head, hidden_NH: Tensor, cut: slice, slopes: list[Tensor | None]) -> Tensor:
        """The gradient [C, V] by a chunk's products, in their place, given those by the function's tensors."""
        product_CV = head.product(hidden_NH[cut])
        for rows, beside in self.blocks([product_CV], cut):
            with torch.enable_grad():
                block_RV = product_CV[rows].detach().requires_grad_()
                outputs = self.function(head.logits(block_RV), *beside)
            pairs = [(output, slope[rows]) for output, slope in zip(outputs, slopes, strict=True) if slope is not None]
            differentiated, given = zip(*pairs, strict=True)
            (product_CV[rows],) = torch.autograd.grad(differentiated, block_RV, given)
        return product_CV


def map_logits(
    model: Any,
    function: Callable[..., tuple[Tensor, ...]],
    hidden_NH: Tensor,
    beside: Callable[[slice], Tensors],
    *,
    chunk: int,
) -> tuple[Tensor, ...]:
    """What `function` makes of the logits of each position; with a gradient, but for a blend.

    It is given logits [R, V] in at least fp32, before temperature, and R entries of what `beside` gives for the
    positions of a chunk (tensors of C entries, or None, handed on); it makes tensors of R entries. Gradients go
    to the hidden states and to the model's output layer, and to nothing beside.
    """
    mapping = LogitMap(model, function, beside, chunk)
    if isinstance(model, Blend):
        with torch.no_grad():
            return mapping.values(hidden_NH)
    layer = model.get_output_embeddings()
    outputs: tuple[Tensor, ...] = _MapLogits.apply(hidden_NH, layer.weight, layer.bias, mapping)
    return outputs


class _MapLogits(torch.autograd.Function):
    """`LogitMap.values`, with a gradient by hidden states, weight and bias of the output layer."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, mapping: LogitMap
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(hidden_NH, weight_VH, bias_V)
        kind = hidden_NH.device.type
        ctx.mapping, ctx.dtype = mapping, torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        ctx.set_materialize_grads(False)
        outputs = mapping.values(hidden_NH)
        ctx.mark_non_differentiable(*(output for output in outputs if not output.is_floating_point()))
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor | None) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        if all(slope is None for slope in slopes):
            return None, None, None, None
        hidden_NH, *_ = ctx.saved_tensors
        with torch.autocast(hidden_NH.device.type, dtype=ctx.dtype, enabled=ctx.dtype is not None):
            return *_gradients(ctx.mapping, hidden_NH, slopes, ctx.needs_input_grad), None


def _gradients(
    mapping: LogitMap, hidden_NH: Tensor, slopes: tuple[Tensor | None, ...], wanted: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """By hidden states, weight and bias; None for what isn't wanted. Chunks go backwards, as in autograd."""
    layer, head = mapping.model.get_output_embeddings(), Head.of(mapping.model)
    by_hidden, by_weight, by_bias = (
        torch.zeros_like(tensor, dtype=torch.promote_types(tensor.dtype, torch.float32)) if want else None
        for tensor, want in zip((hidden_NH, layer.weight, layer.bias), wanted)
    )
    for cut in reversed(mapping.chunks(len(hidden_NH))):
        slope_CV = mapping.slope(head, hidden_NH, cut, [None if slope is None else slope[cut] for slope in slopes])
        if by_hidden is not None:
            by_hidden[cut] = slope_CV @ head.weight_VH
        if by_weight is not None:
            _add_product(by_weight, slope_CV, hidden_NH[cut].to(slope_CV.dtype))
        if by_bias is not None:
            by_bias += slope_CV.sum(dim=0)
        del slope_CV  # before the next one is made
    sums = zip((by_hidden, by_weight, by_bias), (hidden_NH, layer.weight, layer.bias))
    by_hidden, by_weight, by_bias = (None if total is None else total.to(tensor.dtype) for total, tensor in sums)
    return by_hidden, by_weight, by_bias


def _add_product(total_VH: Tensor, slope_CV: Tensor, hidden_CH: Tensor) -> None:
    """Add what a chunk gives to the gradient of the output layer, in that gradient's precision."""
    if slope_CV.is_cuda and slope_CV.dtype != total_VH.dtype:  # rounded to bf16 first, sums of many chunks would drift
        torch.addmm(total_VH, slope_CV.t(), hidden_CH, out_dtype=total_VH.dtype, out=total_VH)
        return
    for start in range(0, len(total_VH), WEIGHT_ROWS):
        rows = slice(start, start + WEIGHT_ROWS)
        total_VH[rows] += slope_CV[:, rows].t() @ hidden_CH


def num_ids(model: Any) -> int:
    """Token ids that a model gives logits for."""
    return int(model.get_output_embeddings().weight.shape[0])


def vocabulary_logps(model: Any, hidden_NH: Tensor, temperature: float) -> Tensor:
    """Full-vocabulary log-probabilities [N, V], in at least fp32, at `temperature`. Only ever called on a chunk."""
    heads = Heads.of(model)
    return torch.log_softmax(heads.logits(heads.products(hidden_NH)) / temperature, dim=-1)


@span("head", "device")
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
    """Log-probabilities of the sampled tokens and of a support.

    The support is the given ids, the model's own `top_k`, or, with both, the given ids and then those of the top k that
    are not among them, padded with -1 to their common width; with neither it is empty. Given ids may be padded too.
    """

    def of_logits(logits_RV: Tensor, targets_R: Tensor, ids_RK: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        logps_RV = torch.log_softmax(logits_RV / temperature, dim=-1)
        ids_RK = _support(logps_RV.detach(), ids_RK, top_k)
        support_RK = logps_RV.gather(1, ids_RK.clamp(min=0)).masked_fill(ids_RK < 0, -torch.inf)
        return logps_RV.gather(1, targets_R[:, None]).squeeze(1), ids_RK, support_RK

    def beside(cut: slice) -> tuple[Tensor, Tensor | None]:
        return targets_N[cut], None if support_ids_NK is None else support_ids_NK[cut]

    return TokenLogps(*map_logits(model, of_logits, hidden_NH, beside, chunk=chunk))


def _support(logps_RV: Tensor, given_RK: Tensor | None, top_k: int | None) -> Tensor:
    """Ids [R, K] of the support, see `token_logps`. A union has room for all its ids, or for the whole vocabulary."""
    if top_k is None:
        return given_RK if given_RK is not None else torch.zeros(len(logps_RV), 0, dtype=torch.long).to(logps_RV.device)
    own_RK = logps_RV.topk(min(top_k, logps_RV.shape[-1]), dim=-1).indices
    if given_RK is None:
        return own_RK
    known_RK = (own_RK[:, :, None] == given_RK[:, None, :]).any(dim=-1)
    ids_RK = torch.cat([given_RK, own_RK.masked_fill(known_RK, -1)], dim=-1)
    order_RK = (ids_RK < 0).int().argsort(dim=-1, stable=True)
    return ids_RK.gather(1, order_RK)[:, : logps_RV.shape[-1]]


@torch.no_grad()
def check_head(model: Any, setting: str = "model.path") -> None:
    """InputError if our logits of a token are not the model's own: some architectures scale them after the head."""
    ids = torch.tensor([[1]], device=model.device)
    expected = torch.log_softmax(model(ids).logits[0].float(), dim=-1)
    recomputed = vocabulary_logps(model, model.base_model(ids).last_hidden_state[0], 1.0)
    if not torch.allclose(expected, recomputed, atol=1e-3):
        raise InputError(
            f"{setting}: {model.config.model_type} models change their logits in a way that mopd does not know; "
            "choose another model, or teach mopd.reading.head"
        )
