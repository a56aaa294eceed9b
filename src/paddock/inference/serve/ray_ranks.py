"""The ranks of a replica as Ray actors, one in each bundle of the replica's placement group.

Ray places and starts them; who belongs to a group and when one is lost is the engine's to say, as
with torchrun's agent (decision 0021). The engine runs in the replica's worker, which is no process
of Ray's: it says over a pipe where it can be found, and the replica starts the actors.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from paddock.errors import UsageError
from paddock.inference.checkpoint.parts import Split
from paddock.inference.runtimes.ranks.group import Meeting

RESOURCES = {"cuda": "GPU", "npu": "NPU", "cpu": "CPU"}
"""What Ray calls one of each."""


def bundles(split: Split, device: str, cpus: float) -> list[dict[str, float]]:
    """What a replica takes: the server's CPUs first, then a bundle for each rank.

    Raises UsageError unless ``device`` says what the ranks take.
    """
    kind = device.partition(":")[0]
    if kind not in RESOURCES:
        raise UsageError(
            f"device is {device!r}, and Ray must know what a rank takes",
            hint="give --device cuda, npu or cpu",
        )
    rank = {"CPU": cpus} if kind == "cpu" else {"CPU": cpus, RESOURCES[kind]: 1.0}
    return [{"CPU": cpus}, *(dict(rank) for _ in range(split.size))]


@dataclass(frozen=True, slots=True)
class PipeLauncher:
    """See Launcher: in the worker; the other end of the pipe starts the ranks. ``host`` is ours."""

    pipe: Connection
    host: str

    def start(self, meeting: Meeting) -> None:
        """See Launcher."""
        self.pipe.send_bytes(msgspec.json.encode(meeting))

    def failure(self) -> str | None:
        """See Launcher."""
        return self.pipe.recv_bytes().decode() if self.pipe.poll() else None

    def stop(self, seconds: float) -> None:
        """See Launcher: the replica is about to end, and its placement group with it."""
        with suppress(OSError):
            self.pipe.send_bytes(b"")


class RayRanks:
    """In the replica: starts actors for the meeting it hears of, anew when one of them ends."""

    def __init__(self, ray: Any, split: Split, model: str, device: str, pipe: Connection) -> None:
        self._ray, self._split, self._model, self._device = ray, split, model, device
        self._pipe = pipe
        self._group = ray.util.get_current_placement_group()
        self._actors: list[Any] = []
        threading.Thread(target=self._run, daemon=True, name="paddock-ray-ranks").start()

    def _run(self) -> None:
        refs: list[Any] = []
        meeting: Meeting | None = None
        while True:
            if self._pipe.poll(0 if refs else 0.5):
                try:
                    said = self._pipe.recv_bytes()
                except (EOFError, OSError):
                    self._end()
                    return
                # Nothing is said by a worker that ends; another may follow it.
                meeting = msgspec.json.decode(said, type=Meeting) if said else None
                refs = self._end()
            if meeting is not None and not refs:
                try:
                    refs = self._begin(meeting)
                except self._ray.exceptions.RayError as error:
                    refs, meeting = self._end(), None
                    self._pipe.send_bytes(f"Ray cannot start them: {error}".encode())
            if refs and self._ray.wait(refs, timeout=0.5)[0]:
                refs = self._end()  # one is gone: the others cannot go on without it

    def _begin(self, meeting: Meeting) -> list[Any]:
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        ray, size = self._ray, self._split.size
        actor = ray.remote(RankActor)
        for number in range(size):
            bundle = self._group.bundle_specs[number + 1]
            other = {k: v for k, v in bundle.items() if k not in ("CPU", "GPU")}
            strategy = PlacementGroupSchedulingStrategy(self._group, number + 1)
            options = actor.options(
                num_cpus=bundle.get("CPU", 0),
                num_gpus=bundle.get("GPU", 0),
                resources=other,
                scheduling_strategy=strategy,
            )
            self._actors.append(options.remote())
        places = ray.get([one.place.remote() for one in self._actors])
        neighbours = Counter(node for node, _, _ in places)
        _, host, port = places[0]
        told = (meeting.host, meeting.port, meeting.secret)
        return [
            one.run.remote(
                (number, size, neighbours[places[number][0]], host, port),
                (self._split.tp, self._split.pp), self._model, self._device, told,
            )
            for number, one in enumerate(self._actors)
        ]  # fmt: skip

    def _end(self) -> list[Any]:
        for one in self._actors:
            self._ray.kill(one)
        self._actors.clear()
        return []


class RankActor:
    """One rank in a process of Ray's."""

    def place(self) -> tuple[str, str, int]:
        """Its node, its address and a port that is free there."""
        import ray

        address = ray.util.get_node_ip_address()
        with socket.socket() as probe:
            probe.bind((address, 0))
            return ray.get_runtime_context().get_node_id(), address, probe.getsockname()[1]

    def run(
        self,
        seat: tuple[int, int, int, str, int],
        split: tuple[int, int],
        model: str,
        device: str,
        meeting: tuple[str, int, str],
    ) -> None:
        """Computes until the engine says stop. Raises or ends the process where ranks are lost."""
        import ray

        from paddock import settings
        from paddock.inference.runtimes.ranks import environment
        from paddock.inference.runtimes.ranks.nodes import interface_of
        from paddock.inference.runtimes.torch.parallel import rank

        own = ray.util.get_node_ip_address()
        settings.export(environment.network(interface_of(own), own))
        number, size, neighbours, host, port = seat
        # Ray shows each actor its own card only, as number 0.
        place = rank.Seat(number, size, 0, neighbours, (host, port), serves_store=number == 0)
        rank.run(place, Split(*split), model, device, meeting)


def split_of(options: Mapping[str, Any]) -> Split:
    """How many ranks a replica has. Raises UsageError for hosts that Ray is there to find."""
    for name in ("nnodes", "node_rank", "rdzv_endpoint"):
        if options.get(name):
            raise UsageError(f"{name} with --ray", hint="leave it out: Ray finds the hosts")
    return Split(options.get("tp", 1), options.get("pp", 1))
