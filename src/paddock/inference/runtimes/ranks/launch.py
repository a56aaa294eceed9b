"""From a checkpoint and a wish for several ranks to a GroupRuntime that runs them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from paddock.errors import UsageError
from paddock.inference.checkpoint.base import Checkpoint
from paddock.inference.checkpoint.parts import Split
from paddock.inference.runtimes.ranks import environment
from paddock.inference.runtimes.ranks.group import GroupRuntime, Launcher, Meeting
from paddock.inference.runtimes.ranks.nodes import ALONE, Nodes, interface_of

if TYPE_CHECKING:
    from paddock.inference.runtimes.torch.parallel.agent import Orders

OPTIONS = ("tp", "pp", "nnodes", "node_rank", "rdzv_endpoint", "launcher")
"""What only several ranks have."""


@dataclass(frozen=True, slots=True)
class Group:
    """Which ranks there shall be, and where."""

    split: Split
    nodes: Nodes
    launcher: Launcher | None = None

    @classmethod
    def take(cls, options: dict[str, Any]) -> Group | None:
        """Takes OPTIONS out of ``options``; None if they ask for one rank only.

        Raises UsageError for what cannot be.
        """
        given = {name: options.pop(name) for name in OPTIONS if name in options}
        given = {name: value for name, value in given.items() if value is not None}
        split = Split(given.get("tp", 1), given.get("pp", 1))
        if split.size == 1:
            if extra := given.keys() - {"tp", "pp"}:
                raise UsageError(
                    f"{', '.join(sorted(extra))} without tp or pp", hint="one rank needs one host"
                )
            return None
        endpoint = given.get("rdzv_endpoint", ALONE)
        nodes = Nodes(given.get("nnodes", 1), given.get("node_rank", 0), endpoint)
        nodes.check(split)
        return cls(split, nodes, given.get("launcher"))


def open_group(
    checkpoint: Checkpoint, group: Group, *, device: str = "auto", **options: Any
) -> GroupRuntime:
    """Starts ``group``'s ranks with ``checkpoint``; ``options`` are those of the torch runtime.

    Raises what ``GroupRuntime`` raises, UsageError for a model that cannot be cut so.
    """
    if group.nodes.rank:
        raise UsageError(
            f"this is host {group.nodes.rank}, which only lends its cards",
            hint="the first host (--node-rank 0) answers",
        )
    group.split.check(checkpoint.config())
    launcher = group.launcher or ElasticLauncher(orders(group, str(checkpoint.path), device))
    return GroupRuntime(group.split, launcher, options, checkpoint.config())


def join(group: Group, model: str, device: str = "auto") -> None:
    """Lends this host's cards to the engine of host 0, until that ends."""
    from paddock.inference.runtimes.torch.parallel import agent

    agent.join(orders(group, model, device))


def orders(group: Group, model: str, device: str) -> Orders:
    """What an agent on this host is told."""
    from paddock.inference.runtimes.torch.parallel.agent import Orders

    found: Mapping[str, str] = environment.network("lo")
    if group.nodes.count > 1:
        own = group.nodes.address
        found = environment.network(interface_of(own), own)
    if device.partition(":")[0] == "npu":
        found = {**found, **environment.ascend()}
    return Orders(group.split, group.nodes, model, device, tuple(found.items()))


class ElasticLauncher:
    """See Launcher: torchrun's elastic agent in a process beside this one."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self.host = orders.nodes.address if orders.nodes.count > 1 else "127.0.0.1"
        self._process: Any = None
        self._pipe: Connection | None = None

    def start(self, meeting: Meeting) -> None:
        """See Launcher."""
        from paddock.inference.runtimes.torch.parallel import agent

        context = get_context("spawn")
        theirs, self._pipe = context.Pipe(duplex=False)
        told = replace(self._orders, meeting=(meeting.host, meeting.port, meeting.secret))
        self._process = context.Process(
            target=agent.run, args=(told, theirs), name="paddock-ranks", daemon=False
        )
        self._process.start()
        theirs.close()

    def failure(self) -> str | None:
        """See Launcher."""
        if self._process is None or self._process.exitcode is None:
            return None
        return f"their agent ended with exit code {self._process.exitcode}"

    def stop(self, seconds: float) -> None:
        """See Launcher."""
        if self._process is None:
            return
        self._process.join(seconds)
        if self._pipe is not None:
            with suppress(OSError):
                self._pipe.close()  # the agent ends its ranks, then itself
        self._process.join(5)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join(5)
