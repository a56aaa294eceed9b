"""The hosts that lend cards to one model: which this one is, and its address."""

from __future__ import annotations

import fcntl
import socket
import struct
from dataclasses import dataclass

from paddock.errors import UsageError
from paddock.inference.checkpoint.parts import Split

PORT = 29400
"""torchrun's own default."""

ALONE = "127.0.0.1:0"
"""The endpoint of a single host: any free port, reached from nowhere else."""

_SIOCGIFADDR = 0x8915  # <linux/sockios.h>


@dataclass(frozen=True, slots=True)
class Nodes:
    """``count`` hosts, of which this is number ``rank``; they meet at host 0's ``endpoint``.

    The endpoint is ``HOST[:PORT]``, as torchrun's ``--rdzv-endpoint``; with one host it is free.
    """

    count: int = 1
    rank: int = 0
    endpoint: str = ALONE

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.rank < self.count:
            raise UsageError(
                f"this is host {self.rank} of {self.count}",
                hint="--node-rank counts from 0 and is below --nnodes",
            )
        if self.count > 1 and self.endpoint == ALONE:
            raise UsageError(
                f"{self.count} hosts need a place to meet",
                hint="give --rdzv-endpoint HOST:PORT, an address of host 0, on all of them",
            )
        if not self.split_endpoint()[0]:
            raise UsageError(f"the endpoint is {self.endpoint!r}", hint="write HOST:PORT")

    def check(self, split: Split) -> None:
        """Raises UsageError unless each host has the same number of ranks, stages kept whole."""
        per_host, left = divmod(split.size, self.count)
        if left or (per_host % split.tp and split.tp % max(per_host, 1)):
            raise UsageError(
                f"{split.size} ranks (tp {split.tp}, pp {split.pp}) cannot be shared out evenly"
                f" over {self.count} hosts",
                hint="make tp × pp a multiple of nnodes, best with pp a multiple of it",
            )

    def split_endpoint(self) -> tuple[str, int]:
        """The endpoint's host and port. Raises UsageError for a port that is none."""
        host, colon, port = self.endpoint.rpartition(":")
        if not colon or self.endpoint.endswith("]"):
            host, port = self.endpoint, str(PORT)
        if not port.isdecimal() or int(port) > 65535:
            raise UsageError(f"the endpoint is {self.endpoint!r}", hint="write HOST:PORT")
        return host.removeprefix("[").removesuffix("]"), int(port)

    @property
    def address(self) -> str:
        """This host's own address, by which the others reach it. Raises UsageError."""
        host, port = self.split_endpoint()
        try:
            if self.rank == 0:
                return str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
            family, kind, _, _, there = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, kind) as probe:
                probe.connect(there)  # of a datagram socket: looks up the route and sends nothing
                return str(probe.getsockname()[0])
        except OSError as error:
            raise UsageError(
                f"{self.endpoint} cannot be reached: {error}", hint="name an address of host 0"
            ) from None


def interface_of(address: str) -> str | None:
    """The network interface that has the IPv4 ``address``; None if none has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue  # an interface without an address
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None
