"""What the ranks of a model exchange while they compute: sums, rows of logits, activations."""

from __future__ import annotations

from datetime import timedelta

import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store

from paddock.inference.checkpoint.parts import Split
from paddock.inference.runtimes.torch.devices import Device

TIMEOUT_S = 600.0
"""Seconds that an exchange may wait for the slowest rank. A rank that died or is silent is found
much sooner, by the engine (runtimes/ranks): this bounds only what nobody could explain."""


class Collectives:
    """This rank's view of the group. Every method is called by all ranks of a stage alike.

    ``stage`` counts from 0; ``part`` is this rank's number within its stage.
    """

    def __init__(self, split: Split, rank: int) -> None:
        """Makes the groups of the stages: every rank of the world calls this, in the same order."""
        self.split = split
        self.rank = rank
        self.stage, self.part = divmod(rank, split.tp)
        self._stage_group: dist.ProcessGroup | None = None
        if split.tp > 1 and split.pp > 1:
            for stage in range(split.pp):
                first = stage * split.tp
                group = dist.new_group(list(range(first, first + split.tp)))
                if stage == self.stage:
                    self._stage_group = group

    @property
    def first(self) -> bool:
        """Whether this rank's stage has the embedding."""
        return self.stage == 0

    @property
    def last(self) -> bool:
        """Whether this rank's stage has the head."""
        return self.stage == self.split.pp - 1

    def sum(self, x: Tensor) -> Tensor:
        """``x`` summed over the stage's ranks, in place."""
        if self.split.tp > 1:
            dist.all_reduce(x, group=self._stage_group)
        return x

    def columns(self, x: Tensor) -> Tensor:
        """(S, n) of every rank of the stage beside each other: (S, tp * n)."""
        tp = self.split.tp
        if tp == 1:
            return x
        every = x.new_empty((tp * x.shape[0], x.shape[1]))
        dist.all_gather_single(every, x.contiguous(), group=self._stage_group)
        return every.view(tp, *x.shape).transpose(0, 1).reshape(x.shape[0], -1)

    def send(self, x: Tensor) -> None:
        """Hands ``x`` to the same part of the next stage."""
        dist.send(x.contiguous(), self.rank + self.split.tp)

    def receive(self, x: Tensor) -> Tensor:
        """Fills ``x`` with what the same part of the stage before sends."""
        dist.recv(x, self.rank - self.split.tp)
        return x


def connect(device: Device, store: Store, split: Split, rank: int) -> Collectives:
    """Joins the group that meets at ``store``; the backend is the device's own.

    Blocks until all ranks are there. ``close`` leaves it.
    """
    dist.init_process_group(
        device.collectives,
        store=store,
        rank=rank,
        world_size=split.size,
        timeout=timedelta(seconds=TIMEOUT_S),
        device_id=None if device.handle.type == "cpu" else device.handle,
    )
    return Collectives(split, rank)


def close() -> None:
    """Leaves the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def store_of(host: str, port: int, name: str, *, serves: bool = False) -> Store:
    """The key-value store at an address, below ``name``; ``serves`` where this process hosts it."""
    store = dist.TCPStore(  # type: ignore[attr-defined]  # public, and not in torch's __all__
        host, port, is_master=serves, wait_for_workers=False, timeout=timedelta(seconds=TIMEOUT_S)
    )
    return PrefixStore(name, store)
