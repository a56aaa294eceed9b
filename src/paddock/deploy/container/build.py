"""From the wish and the facts to the spec: what is given, what is refused, what is only said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from paddock.deploy.container import ascend, nvidia, ports, words
from paddock.deploy.container.argv import argv
from paddock.deploy.container.images import image
from paddock.deploy.container.process import command
from paddock.deploy.container.spec import ContainerSpec, EngineName, Mount
from paddock.deploy.host import Host
from paddock.deploy.host.facts import Engine
from paddock.deploy.resolve.stack import Stack
from paddock.deploy.stackfile import Stackfile
from paddock.errors import UsageError

ENGINES = ("docker", "podman", "isula")
"""The engines that containers are made with, in the order in which ``auto`` tries them."""

SHM = 16 * 2**30
"""Bytes of /dev/shm of a container with accelerators, unless wished otherwise: processes of one
model exchange tensors there, and the engines' 64 MiB are too few. A bound: nothing is taken."""

SYS_RESOURCE = 1 << 24
"""The bit of CAP_SYS_RESOURCE. Source: capabilities(7)."""


@dataclass(frozen=True, slots=True)
class Built:
    """A spec, with what a person should know of it: each note says what, with which value."""

    spec: ContainerSpec
    notes: tuple[str, ...] = ()


def from_facts(
    file: Stackfile, host: Host, stack: Stack | None, *, folders: tuple[str, ...] = ()
) -> ContainerSpec:
    """The container that ``file`` wishes for on ``host``; see ``build``."""
    return build(file, host, stack, folders=folders).spec


def build(
    file: Stackfile, host: Host, stack: Stack | None, *, folders: tuple[str, ...] = ()
) -> Built:
    """The spec and the notes about it. ``folders`` of the host are given read only besides.

    Pure. Raises UsageError for a wish that contradicts itself or these facts, with the value and
    what to do.
    """
    wish, notes = file.container, list[str]()
    engine = _engine(file, host)
    name = _name(file.container_name)
    ours = any(c.name == name and c.engine == engine.name for c in host.containers)
    values: dict[str, Any] = {
        "name": name,
        "image": image(file, stack),
        "engine": cast(EngineName, engine.name),
        "deployment": file.name,
        "command": command(),
        "network": wish.network,
        "hostname": name if wish.network == "bridge" else None,
        "workdir": wish.workdir,
        "user": wish.user,
        "environment": dict(wish.environment),
        "privileged": wish.privileged,
        "cap_add": wish.cap_add,
        "restart": _restart(wish.restart, engine.name, notes),
        "pids": wish.pids,
        "ports": ports.published(file, host, ours),
    }
    given = _accelerators(file, host, engine, values, notes)
    values["mounts"] = tuple(_mounts(file, host, given, folders))
    accelerated = any(values.get(key) for key in ("devices", "gpus", "cdi", "runtime"))
    values |= _memory(file, host, accelerated, notes)
    values["ulimits"] = _ulimits(file, host, engine.name, notes)
    if wish.privileged:
        notes.append(
            "container.privileged makes root inside root on the host; the nodes of its cards are"
            " enough for a container that runs models"
        )
    spec = ContainerSpec(**values)
    argv(spec)  # what the engine has no option for is refused now
    return Built(spec, tuple(notes))


def _engine(file: Stackfile, host: Host) -> Engine:
    """The engine that is wished for, or the first that answers. Raises UsageError."""
    wished = file.container.engine
    if wished == "none":
        raise UsageError(
            "container.engine is 'none': there is no container to describe",
            hint=f"set it to {', '.join(ENGINES)} or auto",
        )
    there = {engine.name: engine for engine in host.engines}
    for name in ENGINES if wished == "auto" else (wished,):
        # podman has no daemon, and what has no storage yet was not asked.
        if name in there and (there[name].answers or name == "podman"):
            return there[name]
    if wished in there:
        raise UsageError(
            f"{wished} does not answer on {host.target}: {there[wished].problem or 'no word'}",
            hint=f"systemctl start {wished}; or join the group that may use it",
        )
    problems = [f"{e.name}: {e.problem or 'no word'}" for e in there.values() if e.name in ENGINES]
    raise UsageError(
        f"no container engine answers on {host.target} ({'; '.join(problems) or 'none is there'})"
        if wished == "auto"
        else f"there is no {wished} on {host.target} (found: {', '.join(there) or 'none'})",
        hint="install one, or set container.engine to none",
    )


def _name(name: str) -> str:
    """Source of the pattern: the engine's own message for a name that it refuses."""
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", name):
        raise UsageError(
            f"{name!r} is not a container's name",
            hint="two or more letters, digits, _ . and -, the first a letter or digit",
        )
    return name


def _restart(policy: str, engine: str, notes: list[str]) -> str:
    if engine == "isula" and policy == "unless-stopped":
        notes.append("isula knows no restart policy 'unless-stopped': it is given 'always'")
        return "always"
    known = ("no", "always", "unless-stopped", "on-reboot", "on-failure")
    if policy.partition(":")[0] not in known:
        raise UsageError(f"container.restart is {policy!r}", hint=f"known are {', '.join(known)}")
    return policy


def _accelerators(
    file: Stackfile, host: Host, engine: Engine, values: dict[str, Any], notes: list[str]
) -> list[Mount]:
    """Fills in devices, runtime, variables and groups; returns the driver's mounts."""
    kind = "ascend" if host.ascend else "nvidia" if host.nvidia else ""
    if file.container.devices == "none" or not kind:
        if isinstance(file.container.devices, tuple) and file.container.devices:
            raise UsageError(
                f"container.devices is {list(file.container.devices)}, and {host.target} has no"
                " accelerators",
                hint="set it to auto or none",
            )
        return []
    if kind == "nvidia":
        values |= nvidia.options(host, engine, file.container.devices)
        return []
    return _ascend(file, host, engine, values, notes)


def _ascend(
    file: Stackfile, host: Host, engine: Engine, values: dict[str, Any], notes: list[str]
) -> list[Mount]:
    assert host.ascend is not None, "the caller has looked"
    facts = host.ascend
    numbers = ascend.wished(facts, file.container.devices)
    if not numbers:
        raise UsageError(
            f"{host.target} has no /dev/davinciN",
            hint="load the driver (paddock doctor says what is wrong), or set container.devices to"
            " none",
        )
    for holder in ascend.holders(host, numbers, values["name"]):
        what = f"card {holder.card} is held by {holder.who}"
        if holder.container:
            every = ascend.holders(host, list(ascend.cards(facts)), values["name"])
            held = {each.card for each in every if each.container}
            free = [number for number in ascend.cards(facts) if number not in held]
            raise UsageError(
                f"{what}, and a card serves one container at a time (-8020 for the second)",
                hint=f"stop it, or set container.devices to others, as {free}",
            )
        notes.append(f"{what}: its memory is shared with that")
    all_cards = numbers == list(ascend.cards(facts))
    if not all_cards and facts.hccn:
        notes.append(
            "/etc/hccn.conf is not mounted: it numbers all cards of the host, and the container"
            f" has {len(numbers)} of them, from 0"
        )
    there, common = ascend.cards(facts), ascend.common(facts)
    nodes = [*(there[n] for n in numbers), *common]
    values["groups"] = ascend.groups(nodes)
    if engine.name == "docker" and ascend.RUNTIME in engine.runtimes:
        values["runtime"] = ascend.RUNTIME
        values["environment"][ascend.VISIBLE] = ascend.ranges(numbers)
        notes.append("ascend-docker-runtime gives the cards and the driver")
        return []
    if not any(node.path == "/dev/davinci_manager" for node in common):
        raise UsageError(
            f"{host.target} has cards and no /dev/davinci_manager",
            hint="the driver is not loaded whole: look at paddock doctor",
        )
    values["devices"] = tuple(node.path for node in nodes)
    mounts = list(ascend.mounts(facts, all_cards))
    if not any(m.target.endswith("/driver") for m in mounts):
        notes.append("the driver's folder was not found: npu-smi and CANN will miss its libraries")
    return mounts


def _mounts(
    file: Stackfile, host: Host, given: list[Mount], folders: tuple[str, ...]
) -> Iterator[Mount]:
    """The wished mounts, then ours where nothing else is wished at the same place."""
    wished = [words.mount(text, host.user.home) for text in file.container.mounts]
    targets = [mount.target for mount in wished]
    for mount in wished:
        if targets.count(mount.target) > 1:
            raise UsageError(
                f"container.mounts has {mount.target} twice", hint="remove one of them"
            )
    yield from wished
    local = [file.model] if file.model and file.model.startswith("/") else []
    ours = [*given, *(Mount(path, path, read_only=True) for path in (*folders, *local))]
    for mount in dict.fromkeys(ours):
        if mount.target not in targets:
            yield mount


def _memory(file: Stackfile, host: Host, accelerators: bool, notes: list[str]) -> dict[str, Any]:
    wish = file.container
    shm = words.size(wish.shm, "container.shm") if wish.shm else None
    if wish.ipc == "host" and shm is not None:
        raise UsageError(
            f"container.shm is {wish.shm!r} and container.ipc is 'host', whose /dev/shm is the"
            " host's: docker ignores the size, podman refuses it",
            hint="remove container.shm, or container.ipc",
        )
    if shm is None and accelerators and wish.ipc in (None, "private", "shareable"):
        shm = SHM
    if shm is not None and host.memory.total is not None and shm > host.memory.total:
        notes.append(f"container.shm is {shm} bytes, and the host has {host.memory.total} in all")
    return {"ipc": wish.ipc, "shm": shm}


def _ulimits(file: Stackfile, host: Host, engine: str, notes: list[str]) -> dict[str, int]:
    """The wished limits. Raises UsageError for one that this machine may not give."""
    wish = dict(file.container.ulimits)
    may_raise = host.user.capabilities is None or host.user.capabilities & SYS_RESOURCE
    # The daemon of somebody who is not root has rights that this user's do not tell of.
    bound = not may_raise and (host.user.uid == 0 or engine == "podman")
    for name, value in wish.items():
        hard = host.hard_limits.get(name)
        if bound and hard is not None and hard != -1 and (value == -1 or value > hard):
            raise UsageError(
                f"container.ulimits has {name}: {value}, above this machine's hard limit {hard},"
                " which nobody here may raise (no CAP_SYS_RESOURCE)",
                hint=f"set it to {hard} or less, or raise the limit of the machine",
            )
    if bound and engine == "podman":
        # Its own defaults are above what it may give, and it fails unless told otherwise.
        for name in ("nofile", "nproc"):
            hard = host.hard_limits.get(name, -1)
            if name not in wish and hard != -1:
                wish[name] = hard
                notes.append(f"podman may not raise {name}: it is given the hard limit, {hard}")
    return wish
