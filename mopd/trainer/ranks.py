"""Ranks: processes that train one policy together. All run the same code on the same rows; here they exchange numbers.

A rank's part of an update are some of its micro-batches. What is added up over all is given out in the order of the
micro-batches, so that it does not depend on how many ranks there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=1)
"""For the others, in a collective: rank 0 may write to a slow disk for hours. A rank that died is seen by whoever
started them."""
LOOPBACK = ("127.0.0.1", "localhost")


class Ranks:
    """This process among those that train together; alone unless said otherwise."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which alone makes folders and files."""
        return self.rank == 0

    def deal(self, parts: Sequence[T]) -> list[tuple[int, T]]:
        """This rank's parts of an update, each with its number."""
        return list(enumerate(parts))[self.rank :: self.size]

    def collect(self, own: Sequence[T]) -> list[T]:
        """What all ranks made of the parts that they were dealt, in the order of the parts."""
        hands = self.gather(list(own))
        return [hands[number % self.size][number // self.size] for number in range(sum(map(len, hands)))]

    def gather(self, value: T) -> list[T]:
        """A small value of each rank, in their order."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def wait_for_all(self) -> None:
        """Go on when all ranks have come here."""
        self.gather(None)

    def sum(self, values: Tensor) -> None:
        """Add up a tensor over all ranks, in place; each gets the same bits."""
        if self.size > 1:
            dist.all_reduce(values)


ALONE = Ranks()


@contextmanager
def join_ranks() -> Iterator[Ranks]:
    """The ranks that the environment names as torchrun does (RANK, WORLD_SIZE, ...), to talk to; alone without.

    Where one of them fails it stays connected, until whoever started them ends them all: the others would fail too,
    and what they say of a lost connection might be taken for the cause; over NCCL it would wait for them to leave.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:  # a rank may see its own device alone, and a device mesh would go by LOCAL_RANK
        torch.cuda.init()
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    if os.environ["MASTER_ADDR"] in LOOPBACK:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=LONGEST_WAIT)
    yield Ranks(dist.get_rank(), dist.get_world_size())
    dist.destroy_process_group()  # not after an error: see above
