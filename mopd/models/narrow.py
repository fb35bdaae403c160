"""Weights kept in the precision that they are read in.

Under autocast a linear layer casts its weight and bias at each use; kept in that type they give the very same numbers
in half the memory. Embeddings and norms are read as they are, and stay float32: so does an embedding that is the output
layer too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from mopd.models.folders import autocast_dtype, load_model


def linear_parameters(model: Any) -> list[nn.Parameter]:
    """Weights and biases of the linear layers, those left out that a module of another kind shares."""
    from transformers.pytorch_utils import Conv1D

    linear: dict[int, nn.Parameter] = {}
    others: set[int] = set()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if type(module) in (nn.Linear, Conv1D):
                linear[id(parameter)] = parameter
            else:
                others.add(id(parameter))
    return [parameter for number, parameter in linear.items() if number not in others]


def load_reader(folder: str | Path, device: torch.device, precision: str) -> Any:
    """The model of a folder, to be read and never trained, in passes of `model.precision`. Raises InputError."""
    model = load_model(folder, "cpu").requires_grad_(False)
    narrow(model, autocast_dtype(precision, device))
    return model.to(device)


@torch.no_grad()
def narrow(model: Any, dtype: torch.dtype | None) -> None:
    """Keep frozen linear layers in the type that they compute in; None leaves them as they are."""
    for parameter in linear_parameters(model) if dtype is not None else ():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
