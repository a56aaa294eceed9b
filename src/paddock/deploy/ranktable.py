"""HCCL's rank tables: made from what hosts say of their chips' network, written, read, checked.

Two forms are in use: version 1.0 (``server_list``), which CANN, MindSpore from 0.2 on, MindIE and
torch_npu read, and the older one (``group_list``). Sources: MindSpore's pages on distributed
training (r0.1, r2.2), CANN's "rank table configuration", MindIE's multi-node guide.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from paddock.deploy.host.devices import Rank
from paddock.deploy.host.facts import Host
from paddock.errors import FactsError, UsageError

FORMS = ("1.0", "legacy")


@dataclass(frozen=True, slots=True)
class Server:
    """One host of a table: its address, its devices in order, and its container's address.

    ``devices`` are physical numbers, as in /dev/davinciN and /etc/hccn.conf, with the address of
    each one's own network port; programs inside a container may count them anew.
    """

    address: str
    devices: tuple[tuple[int, str | None], ...]
    container: str | None = None


def from_host(
    host: Host, address: str, devices: Sequence[int] | None = None, container: str | None = None
) -> Server:
    """What ``host`` brings into a table: ``devices`` of it (None: all), reached at ``address``.

    Raises UsageError for an address that other hosts cannot use and for a device without one.
    """
    _check_address(address, f"the address of {host.hostname or host.target}")
    if container is not None:
        _check_address(container, "the container's address")
    ports = {} if host.ascend is None else {port.device: port for port in host.ascend.hccn}
    wanted = sorted(ports) if devices is None else list(devices)
    if not wanted:
        raise UsageError(
            f"{host.target} has no chip with a network port of its own",
            hint="look at /etc/hccn.conf: paddock host shows what was read of it",
        )
    found: list[tuple[int, str | None]] = []
    for device in wanted:
        port = ports.get(device)
        # What the port really has goes before what the file says that it should have.
        own = port and (port.live_address or port.address)
        if not own:
            raise UsageError(
                f"device {device} of {host.target} has no address in /etc/hccn.conf",
                hint=f"it has devices {', '.join(map(str, sorted(ports))) or 'none'}; set one with:"
                f" hccn_tool -i {device} -ip -s address ADDRESS netmask MASK",
            )
        found.append((device, own))
    return Server(address, tuple(found), container)


def ranks(servers: Sequence[Server]) -> tuple[Rank, ...]:
    """Ranks 0 and up: servers in the order of their addresses, devices as each lists them.

    So the same hosts make the same table, whoever lists them in which order. By the address's
    number, not by its text, which puts 10.0.0.10 before 10.0.0.2. Raises UsageError as ``check``.
    """
    ordered = sorted(servers, key=lambda server: _number(server.address))
    found: list[Rank] = []
    for server in ordered:
        for device, address in server.devices:
            found.append(Rank(len(found), device, address, server.address))
    check(found)
    return tuple(found)


def check(table: Sequence[Rank]) -> None:
    """Raises UsageError for the first thing that would make HCCL fail or wait for ever."""
    numbers = sorted(rank.rank for rank in table)
    if not numbers or numbers != list(range(len(numbers))):
        raise UsageError(
            f"the ranks are {_shown(numbers)}", hint="they must be 0 and up, without a gap"
        )
    for what, values in (
        ("the device", [f"{r.device} of {r.server}" for r in table]),
        ("the address", [r.device_address for r in table if r.device_address]),
    ):
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            raise UsageError(f"{what} {twice[0]} is in the table twice", hint="each has one rank")
    for rank in table:
        if rank.server is None or (rank.device_address is None and len(table) > 1):
            missing = "server" if rank.server is None else "address of its device"
            raise UsageError(f"rank {rank.rank} has no {missing}", hint="HCCL connects by it")
        if rank.device < 0:
            raise UsageError(f"rank {rank.rank} has device {rank.device}", hint="0 or more")
        _check_address(rank.server, f"the server of rank {rank.rank}")
        if rank.device_address is not None:
            _check_address(rank.device_address, f"the device of rank {rank.rank}")
    sizes = Counter(rank.server for rank in table)
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{server}: {count}" for server, count in sizes.items())
        raise UsageError(
            f"the servers have different numbers of devices ({listed})",
            hint="give each as many as the one that has fewest",
        )
    order = [rank.server for rank in sorted(table, key=lambda rank: rank.rank)]
    if list(sizes) != [s for i, s in enumerate(order) if s not in order[:i]] or any(
        order[i] != order[i - 1] and order[i] in order[:i] for i in range(1, len(order))
    ):
        raise UsageError(
            "the ranks of a server do not follow one another", hint="number server by server"
        )


def write(
    table: Sequence[Rank], form: str = "1.0", containers: Mapping[str, str] | None = None
) -> str:
    """The table as JSON text, the same for the same ranks: every host must have the same bytes.

    ``containers`` maps a server's address to its container's (MindIE). Raises UsageError for a
    table that HCCL cannot use or a form that is not known.
    """
    check(table)
    if form not in FORMS:
        raise UsageError(f"the form is {form!r}", hint=f"use {' or '.join(FORMS)}")
    if form == "legacy":
        if containers:
            raise UsageError("the legacy form has no place for a container's address")
        return _text(_legacy(table))
    servers = []
    for address, of_server in _by_server(table):
        entry: dict[str, Any] = {
            "server_id": address,
            "device": [
                {
                    "device_id": str(rank.device),
                    **({"device_ip": rank.device_address} if rank.device_address else {}),
                    "rank_id": str(rank.rank),
                }
                for rank in of_server
            ],
            "host_nic_ip": "reserve",
        }
        if containers and address in containers:
            entry["container_ip"] = containers[address]
        servers.append(entry)
    return _text(
        {
            "version": "1.0",
            "server_count": str(len(servers)),
            "server_list": servers,
            "status": "completed",
        }
    )


def read(text: str, origin: str = "the rank table") -> tuple[str, tuple[Rank, ...]]:
    """Form and ranks of either form, checked.

    Raises FactsError, naming ``origin``, for what is no rank table, for counts that do not agree
    with what is listed and for everything that ``check`` refuses.
    """
    try:
        table = json.loads(text, object_pairs_hook=_unique)
        form = "1.0" if "server_list" in table else "legacy"
        found = tuple(_of_servers(table) if form == "1.0" else _of_groups(table))
        if form == "1.0" and table.get("version") != "1.0":
            raise ValueError(f"its version is {table.get('version')!r}, 1.0 is what is known")
        if table.get("status") != "completed":
            # HCCL waits until somebody completes it.
            raise ValueError(f"its status is {table.get('status')!r}, not 'completed'")
        check(found)
    except UsageError as error:
        raise FactsError(f"{origin}: {error.message}", hint=error.hint) from None
    except KeyError as error:
        raise FactsError(f"{origin} is no rank table: {error} is missing") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise FactsError(f"{origin} is no rank table: {error}") from None
    return form, found


def _legacy(table: Sequence[Rank]) -> dict[str, Any]:
    servers = _by_server(table)
    most = len(servers[0][1])
    names = [f"eth{number}" for number in range(most)]
    return {
        "board_id": "0x0000",
        "chip_info": "910",
        "deploy_mode": "lab",
        "group_count": "1",
        "group_list": [
            {
                "device_num": str(len(table)),
                "server_num": str(len(servers)),
                "group_name": "",
                "instance_count": str(len(table)),
                "instance_list": [
                    {
                        "devices": [
                            {"device_id": str(r.device), "device_ip": r.device_address or ""}
                        ],
                        "rank_id": str(r.rank),
                        "server_id": r.server,
                    }
                    for r in table
                ],
            }
        ],
        "para_plane_nic_location": "device",
        "para_plane_nic_name": names,
        "para_plane_nic_num": str(most),
        "status": "completed",
    }


def _of_servers(table: Mapping[str, Any]) -> Iterator[Rank]:
    servers = table["server_list"]
    _agree("server_count", table["server_count"], len(servers))
    for server in servers:
        for device in server["device"]:
            yield Rank(
                int(device["rank_id"]), int(device["device_id"]), device.get("device_ip") or None,
                server["server_id"],
            )  # fmt: skip


def _of_groups(table: Mapping[str, Any]) -> Iterator[Rank]:
    groups = table["group_list"]
    _agree("group_count", table["group_count"], len(groups))
    for group in groups:
        instances = group["instance_list"]
        _agree("instance_count", group["instance_count"], len(instances))
        _agree("device_num", group["device_num"], sum(len(i["devices"]) for i in instances))
        for instance in instances:
            (device,) = instance["devices"]
            yield Rank(
                int(instance["rank_id"]), int(device["device_id"]),
                device.get("device_ip") or None, instance["server_id"],
            )  # fmt: skip


def _agree(name: str, said: Any, found: int) -> None:
    if str(said) != str(found):
        raise ValueError(f"its {name} is {said}, and {found} are listed")


def _by_server(table: Sequence[Rank]) -> list[tuple[str, list[Rank]]]:
    found: dict[str, list[Rank]] = {}
    for rank in sorted(table, key=lambda rank: rank.rank):
        found.setdefault(str(rank.server), []).append(rank)
    return list(found.items())


def _check_address(address: str, what: str) -> None:
    """Raises UsageError for what is no address that another host could connect to."""
    parsed = _parsed(address)
    if parsed is None:
        raise UsageError(f"{what} is {address!r}", hint="give an IP address, not a name")
    if parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast:
        # A name that /etc/hosts maps to 127.0.1.1 is how other generators come to write this.
        raise UsageError(
            f"{what} is {address}, which other hosts cannot reach",
            hint="give the address of an interface that they can",
        )


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def _number(address: str) -> tuple[int, int]:
    parsed = ip_address(address)
    return parsed.version, int(parsed)


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: two devices run into one are none."""
    table = dict(items)
    if len(table) != len(items):
        raise ValueError(f"a key stands twice among {', '.join(key for key, _ in items)}")
    return table


def _shown(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def _text(table: Mapping[str, Any]) -> str:
    return json.dumps(table, indent=2) + "\n"
