"""How far a long computation is: tokens of whole micro-batches, and decoder layers within one.

On a slow machine one micro-batch takes minutes; a model's layers are the smallest steps that can be watched from
outside. Watching changes no number.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from mopd.pulse import beat

FORWARD, BACKWARD = 1, 2
"""What a layer costs either way, in passes."""
QUIET_SECONDS = 1.0
"""Time between two reports."""

Tell = Callable[[float, int], None]
"""Takes the share of the work that is done, and the tokens that it comes to."""


class Gauge:
    """Watches a model read `num_tokens` tokens, `passes` being the cost of each: forward 1, backward 2 more."""

    def __init__(self, model: Any, num_tokens: int, passes: int, tell: Tell) -> None:
        self._num_tokens, self._passes, self._tell = num_tokens, passes, tell
        self._layers = decoder_layers(model)
        self._done, self._batch, self._steps = 0.0, 0, 0
        self._cost, self._is_backward = FORWARD, False
        self._told = 0.0
        self._hooks: list[Any] = []

    def __enter__(self) -> Gauge:
        self._hooks = [layer.register_forward_hook(self._after_layer) for layer in self._layers]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for hook in self._hooks:
            hook.remove()

    def begin(self, num_tokens: int) -> None:
        """A micro-batch of so many tokens comes next; the one before is done."""
        self.end()
        self._batch, self._cost = num_tokens, FORWARD + (BACKWARD if torch.is_grad_enabled() else 0)

    def end(self) -> None:
        """The micro-batch is done."""
        self._done += self._batch * self._cost
        self._batch, self._steps, self._is_backward = 0, 0, False
        self._say()

    def _after_layer(self, _: Any, __: Any, output: Any) -> None:
        """A layer was read; where a gradient will come back to it, that is noted too."""
        if self._is_backward:
            return  # it is read again for its gradient
        self._step(FORWARD)
        hidden = output if isinstance(output, Tensor) else output[0]
        if hidden.requires_grad:
            hidden.register_hook(self._before_gradient)

    def _before_gradient(self, _: Tensor) -> None:
        """A layer's gradient comes next: those behind it are done."""
        self._step(BACKWARD if self._is_backward else 0)
        self._is_backward = True

    def _step(self, cost: int) -> None:
        beat()
        self._steps += cost
        self._say()

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._told >= QUIET_SECONDS:
            self._told = now
            within = self._batch * self._steps / max(len(self._layers), 1)
            share = min(1.0, (self._done + within) / max(self._num_tokens * self._passes, 1))
            self._tell(share, int(share * self._num_tokens))


def decoder_layers(model: Any) -> list[Any]:
    """The layers of a model, in order; none where they lie in no list of their own."""
    number = model.config.get_text_config().num_hidden_layers
    lists = (module for module in model.modules() if isinstance(module, torch.nn.ModuleList))
    return list(next((layers for layers in lists if len(layers) == number), []))
