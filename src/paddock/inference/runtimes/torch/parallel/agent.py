"""Starts a host's ranks by torchrun's elastic agent, which starts all of them again when one ends.

The agent runs in a process of its own beside the engine, or is all there is on the other hosts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous.api import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from paddock import settings
from paddock.errors import RanksLost
from paddock.inference.checkpoint.parts import Split
from paddock.inference.runtimes.ranks.nodes import Nodes
from paddock.inference.runtimes.torch.parallel import collectives, rank

RESTARTS = 1_000_000
"""As often as it takes: whether there is a point in it is the engine's to decide."""

GRACE_S = 3
"""Seconds that ranks in the middle of something have after SIGTERM."""

PORT_S = 30.0
"""Seconds that the agent of an engine that died may still hold the place of meeting."""

STORE, KEY = "paddock", "engine"


@dataclass(frozen=True, slots=True)
class Orders:
    """What an agent needs to know. ``meeting`` is None where only the other hosts know it."""

    split: Split
    nodes: Nodes
    model: str
    device: str
    environment: tuple[tuple[str, str], ...] = ()
    meeting: tuple[str, int, str] | None = None


def run(orders: Orders, parent: Connection) -> None:
    """The main function of the process beside the engine; ends when ``parent`` is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the engine's to answer
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    end = time.monotonic() + PORT_S
    with contextlib.suppress(SignalException):
        while True:
            try:
                return _launch(orders)
            except RendezvousError:
                if time.monotonic() > end:
                    raise
                time.sleep(1)


def join(orders: Orders) -> None:
    """Lends this host's cards to the engine of the first host, until it ends or we are told to.

    Where the first host is not there (yet, or any more) it is waited for.
    """
    while True:
        try:
            _launch(orders)
        except RendezvousError:
            time.sleep(1)  # its store is gone with it
        except ChildFailedError:
            time.sleep(1)
        else:
            return


def _launch(orders: Orders) -> None:
    """Runs this host's ranks until they end well. Raises what the agent raises."""
    settings.export(dict(orders.environment))
    # Its loggers have levels of their own, but nobody hears what does not pass this one.
    elastic = logging.getLogger("torch.distributed.elastic")
    elastic.handlers, elastic.propagate = [logging.NullHandler()], False
    nodes = orders.nodes
    with tempfile.TemporaryDirectory(prefix="paddock-ranks-") as folder:
        config = LaunchConfig(
            min_nodes=nodes.count,
            max_nodes=nodes.count,
            nproc_per_node=orders.split.size // nodes.count,
            run_id="paddock",
            role="rank",
            rdzv_backend="c10d",
            rdzv_endpoint=nodes.endpoint,
            rdzv_configs={"timeout": 900, "is_host": nodes.rank == 0},
            max_restarts=RESTARTS,
            monitor_interval=0.1,
            start_method="spawn",
            local_addr=nodes.address,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            shutdown_timeout=GRACE_S,
        )
        elastic_launch(config, _rank)(orders)


def _rank(orders: Orders) -> None:
    """A rank's main function, in a process that the agent started and told its number."""
    number = settings.elastic_rank()
    # With several hosts they meet where host 0's agent has its store, whichever host the agents
    # have given rank 0. A single host's own is at a port that only the agent knows.
    alone = orders.nodes.count == 1
    where = number.store if alone else orders.nodes.split_endpoint()
    try:
        store = collectives.store_of(*where, STORE)
        meeting = orders.meeting
        if meeting is not None:
            store.set(KEY, "\n".join(map(str, meeting)))
        else:
            host, port, secret = store.get(KEY).decode().split("\n")
            meeting = host, int(port), secret
        seat = rank.Seat(number.rank, number.size, number.local, number.neighbours, where)
        rank.run(seat, orders.split, orders.model, orders.device, meeting)
    except (RuntimeError, OSError, RanksLost) as error:
        # Another rank is gone, most often; the agent's report of a trace for each would hide why.
        rank.fail(error)


def _end_with(parent: Connection) -> None:
    """Ends this process, and with it the ranks, when the engine's end of the pipe is closed."""
    with contextlib.suppress(EOFError, OSError):
        parent.recv_bytes()
    os.kill(os.getpid(), signal.SIGTERM)
