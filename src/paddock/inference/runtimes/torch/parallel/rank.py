"""One rank's process: finds the engine, loads its part, computes what it is told to.

A rank never decides: what all ranks refuse alike is an answer, and whatever else goes wrong ends
the process, because the others are in the middle of an exchange with it.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch.distributed.distributed_c10d import Store

from paddock.errors import PaddockError, RanksLost, UsageError
from paddock.inference.checkpoint.base import Checkpoint
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.memory import resident_bytes
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.parts import Split
from paddock.inference.checkpoint.quantized import quantized
from paddock.inference.checkpoint.shard import Shard
from paddock.inference.runtimes.ranks import wire
from paddock.inference.runtimes.ranks.wire import Link, Message
from paddock.inference.runtimes.torch import devices
from paddock.inference.runtimes.torch.build import build, room
from paddock.inference.runtimes.torch.parallel import collectives
from paddock.inference.runtimes.torch.parallel.transform import spread
from paddock.inference.runtimes.torch.runtime import TorchRuntime

LOST = 75
"""The exit status of a rank that lost the others or the engine (EX_TEMPFAIL of sysexits.h)."""

MEET_S = 30.0
"""Seconds that the engine's address is tried."""


STOP_S = 3.0
"""Seconds that a rank has to end in order once it is told to."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Which rank this is, of how many; ``local`` of ``neighbours`` on this host.

    ``store`` is where the ranks meet, hosted by the launcher or, if ``serves_store``, here.
    """

    rank: int
    size: int
    local: int
    neighbours: int
    store: tuple[str, int]
    serves_store: bool = False


def run(seat: Seat, split: Split, model: str, device: str, meeting: tuple[str, int, str]) -> None:
    """The process's work, up to the engine's Stop. ``meeting``: its address, port and secret.

    Ends the process with LOST when the engine or another rank is lost.
    """
    hello = wire.Hello(meeting[2], seat.rank, seat.size, socket.gethostname(), os.getpid())
    engine = _Engine(_called(meeting[0], meeting[1]), hello)
    begin = engine.next()
    if not isinstance(begin, wire.Begin):
        return
    try:
        runtime, ranks = _load(seat, split, model, device, begin, engine)
    except PaddockError as error:
        engine.link.send(wire.Failed(type(error).__name__, error.message, error.hint))
        engine.next()  # Stop, sooner or later
        return
    answers = ranks.last and ranks.part == 0
    while isinstance(message := engine.next(), wire.Step):
        answer = _compute(runtime, message, ranks)
        # All refuse alike, before anything is exchanged, or the one that chooses does, after it.
        if answers:
            engine.link.send(answer)
    runtime.close()
    collectives.close()


class _Engine:
    """The engine's end: one thread reads, another says that we live, whatever the main one does."""

    def __init__(self, connection: socket.socket, hello: wire.Hello) -> None:
        self.link = Link(connection)
        self.link.send(hello)  # before anything else, or we are not listened to
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        for target in (self._read, self._beat):
            threading.Thread(target=target, daemon=True).start()

    def next(self) -> Message:
        return self._messages.get()

    def _read(self) -> None:
        try:
            while True:
                message = self.link.receive()
                self._messages.put(message)
                if isinstance(message, wire.Stop):
                    # The main thread may wait for ranks that have ended already.
                    time.sleep(STOP_S)
                    os._exit(0)
        except (OSError, RanksLost):
            # The main thread may be in an exchange that will never end.
            os._exit(LOST)

    def _beat(self) -> None:
        try:
            while True:
                time.sleep(wire.BEAT_S)
                self.link.send(wire.Beat())
        except OSError:
            return  # the reader ends the process, or it is ending


def _called(host: str, port: int) -> socket.socket:
    """A connection to the engine. Raises RanksLost if nobody answers."""
    end = time.monotonic() + MEET_S
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=5)
        except OSError as error:
            if time.monotonic() > end:
                raise RanksLost(f"the engine at {host}:{port} does not answer: {error}") from None
            time.sleep(0.2)
        else:
            connection.settimeout(None)
            return connection


def _load(
    seat: Seat, split: Split, model: str, device: str, begin: wire.Begin, engine: _Engine
) -> tuple[TorchRuntime, collectives.Collectives]:
    options: dict[str, Any] = dict(begin.options)
    quant = options.pop("quant", None)
    whole = open_checkpoint(model)
    _check_same(whole, begin.config, model)
    # A part has fewer rows than there are ids.
    options["vocab_size"] = options.get("vocab_size") or whole.config().vocab_size
    part: Checkpoint = Shard(whole, split, seat.rank)
    if quant != "fp8":
        # What is quantized while it is loaded is cut before, group by group the same numbers.
        part, quant = quantized(part, quant), None
    name = device_of(device, seat.local)
    chosen = devices.select(name)
    store = collectives.store_of(*seat.store, f"round{begin.round}", serves=seat.serves_store)
    options["dtype"] = _agreed(store, seat.rank, str(options.get("dtype", "auto")), chosen, part)
    # Of all ranks of this host together, as of a single process.
    threads = options.get("threads") or len(os.sched_getaffinity(0))
    options["threads"] = max(1, threads // seat.neighbours)
    ranks = collectives.connect(chosen, store, split, seat.rank)
    started, used, (before, _) = time.perf_counter(), time.process_time(), resident_bytes()
    runtime = build(
        part,
        device=name,
        quant=quant,
        graphs=False,
        transform=lambda llama: spread(llama, ranks),
        sharers=seat.neighbours,
        **options,
    )
    took, used = time.perf_counter() - started, time.process_time() - used
    _, peak = resident_bytes()
    weights = sum(t.nbytes for t in (*runtime.model.parameters(), *runtime.model.buffers()))
    engine.link.send(
        wire.Ready(runtime.limits, took, used, weights, before, peak, name, options["dtype"])
    )
    return runtime, ranks


def device_of(device: str, local: int) -> str:
    """The device of the ``local``-th rank of a host: the card of that number, or the CPU."""
    kind = devices.select(device).kind if device == "auto" else device
    if ":" in kind:
        raise UsageError(f"device is {kind!r}", hint="with several ranks each takes one of its own")
    return kind if kind == "cpu" else f"{kind}:{local}"


def _check_same(found: Checkpoint, wanted: ModelConfig, model: str) -> None:
    """Raises UsageError unless this host's model is the engine's."""
    mine, theirs = found.config().to_dict(), wanted.to_dict()
    name = next((name for name in mine if mine[name] != theirs[name]), None)
    if name is not None:
        raise UsageError(
            f"{model} on {socket.gethostname()} is another model than the engine's: its {name} is"
            f" {mine[name]}, not {theirs[name]}",
            hint="give all hosts the same model",
        )


def _agreed(store: Store, rank: int, asked: str, chosen: devices.Device, part: Checkpoint) -> str:
    """The dtype, decided by rank 0 for all: the free memory that it depends on may differ."""
    if rank == 0:
        # Of all ranks on a host together no more is used than a single process would use.
        found = chosen.choose_dtype(asked, part.config(), room(chosen))
        store.set("dtype", found)
        return found
    return store.get("dtype").decode()


def _compute(
    runtime: TorchRuntime, step: wire.Step, ranks: collectives.Collectives
) -> wire.Choices | wire.Logits | wire.Refused:
    """This rank's share of a step; what it returns matters on the rank that answers only."""
    batch = step.batch
    try:
        # A stage that hands on hands on every position.
        logits = runtime.logits(batch, everywhere=step.everywhere or not ranks.last)
        if not ranks.last or ranks.part:
            return wire.Choices([])
        if step.logits:
            rows = logits.to("cpu", torch.float32).contiguous()
            return wire.Logits(len(rows), rows.numpy().tobytes())
        with torch.inference_mode():
            return wire.Choices(runtime.choose(batch, logits))
    except PaddockError as error:
        return wire.Refused(error.message, error.hint)


def fail(error: BaseException) -> None:
    """Says on standard error why this rank ends, in one line, and ends it."""
    sys.stderr.write(f"a rank ends: {type(error).__name__}: {error}\n")
    sys.stderr.flush()
    os._exit(LOST)
