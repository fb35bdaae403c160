"""Weights shared out among ranks by PyTorch's FSDP2 (`train.shard: full`): each keeps 1/N of every tensor.

A layer's weights are gathered where it is read, and let go of after it; embedding, last norm and output layer stay
gathered through a pass, since the output layer is multiplied in chunks, outside its own module (`mopd.reading.head`).
Gradients are summed and shared out after each micro-batch. What a rank has of a tensor is plain memory to the
optimizer, which knows nothing of all this.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from mopd.models.lora import trained_parameters
from mopd.trainer.gauge import decoder_layers
from mopd.trainer.ranks import Ranks

T = TypeVar("T")


def share_out(model: Any, ranks: Ranks, device: torch.device) -> None:
    """Leave this rank its share of a model that lies in the host's memory whole, on the device."""
    mesh = init_device_mesh(device.type, (ranks.size,))
    for layer in decoder_layers(model):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh, reshard_after_forward=False)
    for module in model.modules():
        if isinstance(module, FSDPModule):  # gradients are added up, not averaged
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    model.call = _call
    register_fsdp_forward_method(model, "call")


def is_shared(model: Any) -> bool:
    """Whether ranks hold shares of it."""
    return isinstance(model, FSDPModule)


def call_as_forward(model: Any, function: Callable[[], T]) -> T:
    """`function()`, which reads the model and returns tensors with its gradients: its forward pass, where shared."""
    result: T = model.call(function) if is_shared(model) else function()
    return result


def _call(function: Callable[[], T]) -> T:
    return function()


def own_weights(model: Any) -> dict[str, Tensor]:
    """Trained weights as this rank holds them: the parameters themselves, or this rank's shares of them."""
    return {name: own_part(weight) for name, weight in trained_parameters(model).items()}


def own_part(weight: Tensor) -> Tensor:
    """What this rank holds of a weight, in the same memory; the weight itself where it is whole."""
    return weight.detach().to_local() if isinstance(weight, DTensor) else weight


def take_gradients(model: Any, weights: dict[str, Tensor]) -> None:
    """Give shares (of `own_weights`) the gradients that the model has."""
    for name, parameter in trained_parameters(model).items():
        if isinstance(parameter, DTensor):
            weights[name].grad = None if parameter.grad is None else parameter.grad.to_local()  # type: ignore[attr-defined]
            parameter.grad = None


def cut_share(values: Tensor, weight: Tensor) -> Tensor:
    """This rank's share of whole values, cut as `weight` is."""
    if not isinstance(weight, DTensor):
        return values
    parts, rank = values.chunk(weight.device_mesh.size()), weight.device_mesh.get_local_rank()
    return (parts[rank] if rank < len(parts) else values[:0]).clone()


@torch.no_grad()
def join_shares(values: Tensor, weight: Tensor) -> Tensor:
    """What all ranks hold of something that is cut as `weight` is, whole. Every rank must ask."""
    if not isinstance(weight, DTensor):
        return values
    shape = {"shape": weight.shape, "stride": weight.stride()}
    mesh, placements = weight.device_mesh, weight.placements
    return DTensor.from_local(values.to(weight.device), mesh, placements, run_check=False, **shape).full_tensor()


def without_weights(model: Any) -> Any:
    """A copy of a model that takes no memory for its parameters: `with_weights` makes one of it that has some."""
    empty = {id(value): nn.Parameter(value.detach().to("meta"), value.requires_grad) for value in model.parameters()}
    return copy.deepcopy(model, dict(empty))


def with_weights(empty: Any, model: Any, ranks: Ranks) -> Any:
    """What `empty` is the structure of, with the weights of all shares of `model`, in the host's memory of rank 0.

    Every rank must ask, and the others get None.
    """
    filled: dict[int, nn.Parameter] = {}
    for (name, parameter), (same, weight) in zip(empty.named_parameters(), model.named_parameters(), strict=True):
        assert name == same, "a model keeps the order of its weights"
        whole = join_shares(own_part(weight), weight)
        if ranks.is_first:
            filled[id(parameter)] = nn.Parameter(whole.cpu(), parameter.requires_grad)
    return copy.deepcopy(empty, dict(filled)) if ranks.is_first else None
