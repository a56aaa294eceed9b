"""What a container needs of an Ascend host: nodes, the driver's folders, Ascend's own runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from paddock.deploy.container.spec import Mount
from paddock.deploy.host import Host
from paddock.deploy.host.facts import Ascend, Container, DeviceNode, Npu
from paddock.errors import UsageError

RUNTIME = "ascend"
"""The name under which ascend-docker-runtime is registered, and what it reads."""

VISIBLE = "ASCEND_VISIBLE_DEVICES"

_CARD = re.compile(r"/dev/davinci(\d+)")

WRITTEN = ("/var/log/npu/slog", "/var/log/npu/profiling", "/var/log/npu/dump", "/usr/slog")
"""Log folders that programs inside write to; everything else of the driver's is read only."""


def cards(ascend: Ascend) -> dict[int, DeviceNode]:
    """The cards' nodes by the number in their names, ascending."""
    found = {int(m[1]): node for node in ascend.nodes if (m := _CARD.fullmatch(node.path))}
    return dict(sorted(found.items()))


def common(ascend: Ascend) -> list[DeviceNode]:
    """The nodes that every container with a card needs, as far as this host has them."""
    return [
        node
        for node in ascend.nodes
        if not _CARD.fullmatch(node.path) and (node.kind or "character").startswith("character")
    ]


def wished(ascend: Ascend, devices: str | tuple[int, ...]) -> list[int]:
    """The numbers of the cards that are wished for. Raises UsageError for one that is not there."""
    there = cards(ascend)
    if devices == "none":
        return []
    if isinstance(devices, str):
        return list(there)
    for number in devices:
        if number not in there:
            known = ", ".join(map(str, there)) or "none"
            raise UsageError(
                f"container.devices has card {number}, and there is no /dev/davinci{number}",
                hint=f"this host has {known}; the numbers are those of /dev/davinciN",
            )
    return sorted(set(devices))


def groups(nodes: list[DeviceNode]) -> tuple[int, ...]:
    """The groups that may read and write these nodes, root's own left out."""
    return tuple(sorted({n.gid for n in nodes if n.gid and n.mode and int(n.mode[-2]) & 6 == 6}))


def mounts(ascend: Ascend, all_cards: bool) -> Iterator[Mount]:
    """The driver's folders and files that are there, each under its own path.

    ``all_cards``: whether every card of the host goes into the container; /etc/hccn.conf numbers
    all of them and is right for no other container.
    """
    info = ascend.install_info.get("Driver_Install_Path_Param", "/usr/local/Ascend")
    there = set(ascend.paths or ()) | _implied(ascend)
    wanted = [
        *(f"{info}/driver", f"{info}/firmware", f"{info}/add-ons"),
        *(ascend.npu_smi.path if ascend.npu_smi and ascend.npu_smi.path else "",),
        *("/usr/local/dcmi", "/etc/ascend_install.info"),
        *(["/etc/hccn.conf"] if all_cards else []),
        *("/etc/vnpu.cfg", "/var/queue_schedule", "/var/log/npu/conf/slog/slog.conf"),
        *("/var/log/npu/slog", "/var/log/npu/profiling", "/var/log/npu/dump"),
    ]
    given: list[str] = []
    for path in wanted:
        if path in there and not any(path.startswith(f"{folder}/") for folder in given):
            given.append(path)
            yield Mount(path, path, read_only=path not in WRITTEN)
    # Where slog's own programs look. Source: the notes' isula command.
    if "/var/log/npu" in there:
        yield Mount("/var/log/npu", "/usr/slog")


def _implied(ascend: Ascend) -> set[str]:
    """Paths that other facts prove to be there."""
    found = set()
    if ascend.npu_smi and ascend.npu_smi.path:
        found.add(ascend.npu_smi.path)
    if ascend.install_info:
        found.add("/etc/ascend_install.info")
    return found


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a card: a container's name, or a process."""

    card: int
    who: str
    container: bool


def holders(host: Host, numbers: list[int], name: str) -> Iterator[Holder]:
    """Who else has these cards; the container ``name`` is the one that is meant."""
    for container in host.containers:
        if container.name == name:
            continue
        for number in _given(container):
            if number in numbers:
                yield Holder(number, f"the container {container.name}", True)
    if any(container.name == name for container in host.containers):
        return  # the processes are most likely its own
    for number, npu in _chips(host.ascend or Ascend()):
        for process in npu.processes or ():
            if number in numbers:
                title = f"process {process.pid}" + (f" ({process.name})" if process.name else "")
                yield Holder(number, title, False)


def _given(container: Container) -> Iterator[int]:
    for device in container.devices:
        if match := _CARD.fullmatch(device):
            yield int(match[1])
    # ``0-2,4``; by name (``npu-3``) the numbers are others.
    for part in (container.visible_devices or "").split(","):
        if match := re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip()):
            yield from range(int(match[1]), int(match[2] or match[1]) + 1)


def _chips(ascend: Ascend) -> Iterator[tuple[int, Npu]]:
    """The chips with the number of their node: physical id, else logic id, else the order."""
    for order, npu in enumerate(ascend.npus):
        ids = (npu.physical_id, npu.logic_id, order)
        yield next(each for each in ids if each is not None), npu


def ranges(numbers: list[int]) -> str:
    """``0-2,4`` of 0, 1, 2, 4: what ASCEND_VISIBLE_DEVICES takes."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
