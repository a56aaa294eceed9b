"""Which ports of a container are published, and whether they can be."""

from __future__ import annotations

from collections.abc import Iterator

from paddock.deploy.container import words
from paddock.deploy.container.spec import Published
from paddock.deploy.host import Host
from paddock.deploy.stackfile import Stackfile
from paddock.errors import UsageError


def published(file: Stackfile, host: Host, ours: bool) -> tuple[Published, ...]:
    """The wished ports and those of what Paddock runs inside. Raises UsageError for a taken one.

    ``ours``: the container runs already, and its ports are taken by itself.
    """
    wish = file.container
    asked = [words.port(text) for text in wish.ports]
    if wish.network != "bridge" and asked and wish.network in ("host", "none"):
        raise UsageError(
            f"container.ports has {wish.ports[0]!r}, and container.network is"
            f" {wish.network!r}, where published ports are ignored",
            hint="remove container.ports (what listens inside uses the outer port itself), or set"
            " container.network to bridge",
        )
    inner = {port.container for port in asked}
    implied = [port for port in _implied(file) if port.container not in inner]
    listening = [*asked, *implied]
    seen: dict[int, Published] = {}
    for port in listening:
        if port.host in seen:
            raise UsageError(
                f"port {port.host} is wished for twice: for {seen[port.host].container} and"
                f" {port.container} in the container",
                hint="change one of them in container.ports",
            )
        seen[port.host] = port
        taken = [p for p in host.ports if p.port == port.host and _meet(p.address, port.address)]
        if taken and not ours:
            by = f" by {taken[0].process}" if taken[0].process else ""
            raise UsageError(
                f"port {port.host} of {host.target} is taken{by} ({taken[0].address})",
                hint="stop it, or choose another port in the stack file",
            )
    return tuple(listening) if wish.network not in ("host", "none") else ()


def _implied(file: Stackfile) -> Iterator[Published]:
    """What Paddock itself runs in the container, each on the port that is its own."""
    if file.ssh is not None:
        yield Published(file.ssh.port, file.ssh.port)
    if file.serve.enabled:
        yield Published(file.serve.port, file.serve.port, _address(file.serve.host))
    for number in (file.extras.jupyter, file.extras.tensorboard, file.extras.mindinsight):
        if number is not None:
            yield Published(number, number, "127.0.0.1")


def _address(host: str) -> str:
    named = {"0.0.0.0": "", "::": "", "localhost": "127.0.0.1"}  # noqa: S104 - every address is ""
    return named.get(host, host)


def _meet(listening: str, wished: str) -> bool:
    """Whether two listeners on these addresses exclude each other."""
    every = ("", "*", "0.0.0.0", "::", "[::]")  # noqa: S104
    return listening in every or wished in every or listening == wished
