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
from mopd.timeline import span


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


@span("load model", "load")
def load_reader(folder: str | Path, device: torch.device, precision: str) -> Any:
    """The model of a folder, to be read and never trained, in passes of `model.precision`. Raises InputError."""
    model, dtype = load_model(folder, "cpu").requires_grad_(False), autocast_dtype(precision, device)
    narrow(model, dtype)
    if dtype is not None and device.type == "cpu":
        _let_go_of_files(model)
    return model.to(device)


@torch.no_grad()
def _let_go_of_files(model: Any) -> None:
    """Copy what is still mapped from the files of the weights: one tensor would hold all of their pages."""
    for parameter in model.parameters():
        if parameter.dtype == torch.float32:
            parameter.data = parameter.data.clone()


@torch.no_grad()
def narrow(model: Any, dtype: torch.dtype | None) -> None:
    """Keep frozen linear layers in the type that they compute in; None leaves them as they are.

    The others are copied: on a CPU what was loaded is the file itself, mapped as a whole, as long as any part is used.
    """
    if dtype is None:
        return
    linear = {id(parameter) for parameter in linear_parameters(model)}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(dtype) if id(parameter) in linear else parameter.data.clone()
