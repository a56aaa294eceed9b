"""Decides every ``auto`` of a stack file by the facts of its host, and the versions."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Literal

from paddock.deploy import catalog as data
from paddock.deploy.host import Host
from paddock.deploy.resolve import HostView, Stack, Wish, from_host, lock, make, resolve
from paddock.deploy.stackfile import Stackfile
from paddock.errors import CatalogError, UsageError

FRAMEWORKS = {"ascend": "mindspore", "nvidia": "torch", "cpu": "paddock"}
"""The framework of each kind of accelerator where none is asked for."""

ENGINES: tuple[Literal["docker", "podman", "isula"], ...] = ("docker", "podman", "isula")
"""Container engines in the order in which ``auto`` tries them."""

OWN = "paddock"
"""The framework that is this program's own runtimes, which need no versions matched."""


def view(host: Host) -> HostView:
    """The facts that decide versions."""
    return from_host(host, data.load())


def decide(file: Stackfile, host: Host, inside: Host) -> Stackfile:
    """The file without an ``auto`` but Python's version, which is the stack's.

    ``inside`` are the facts of where the software goes. Raises UsageError where the host has
    nothing that the wish could mean.
    """
    stack, container, python = file.stack, file.container, file.python
    if stack.framework == "auto":
        stack = replace(stack, framework=FRAMEWORKS[view(host).accelerator])
    if container.engine == "auto":
        container = replace(container, engine=_engine(host))
    if container.devices == "auto":
        container = replace(container, devices=devices(host))
    if python.manager == "auto":
        conda = python.installer is not None or inside.tool("conda") or inside.tool("mamba")
        python = replace(
            python, manager="conda" if conda else "uv" if inside.tool("uv") else "venv"
        )
    return replace(file, stack=stack, container=container, python=python)


def _engine(host: Host) -> Literal["docker", "podman", "isula"]:
    found = {engine.name: engine for engine in host.engines}
    for name in ENGINES:
        if name in found and found[name].answers is not False:
            return name
    problems = "; ".join(f"{e.name}: {e.problem}" for e in host.engines if e.problem)
    raise UsageError(
        f"no container engine answers on {host.target}" + (f" ({problems})" if problems else ""),
        hint="install docker or podman there, or set container.engine: none",
    )


def devices(host: Host) -> tuple[int, ...] | Literal["none"]:
    """All cards the host has, by the number in their node's name, or ``none``."""
    if host.ascend is not None:
        found = {npu.physical_id for npu in host.ascend.npus if npu.physical_id is not None}
        found |= {int(n.path[12:]) for n in host.ascend.nodes if n.path[12:].isdecimal()}
        if found:
            return tuple(sorted(found))
    if host.nvidia is not None and host.nvidia.gpus:
        return tuple(range(len(host.nvidia.gpus)))
    return "none"


def wish(file: Stackfile) -> Wish:
    """What the resolver is asked for. Raises UsageError for what the catalogue does not know."""
    catalog = data.load()
    pins = tuple(f"{name}={version}" for name, version in file.stack.pins.items())
    known = catalog.newest_first("model")
    return make(
        catalog,
        file.stack.framework,
        model=file.model if file.model in known else None,
        pins=pins,
        python=None if file.python.version == "auto" else file.python.version,
        allow=file.stack.allow,
        with_=("mindinsight",) if file.extras.mindinsight is not None else (),
    )


def stack(file: Stackfile, host: Host, locked: Path) -> Stack | None:
    """The versions, or None for Paddock's own runtimes.

    Those of the lock at ``locked`` as long as the wish and the machine are still the same: a newer
    catalogue does not change what runs. Raises NoStack and UsageError.
    """
    if file.stack.framework == OWN:
        return None
    asked, seen = wish(file), view(host)
    try:
        known = lock.read(locked)
    except (OSError, CatalogError):
        known = None
    if known is not None and dict(known.wish) == asked.to_dict() and known.host == seen:
        return known.stack
    return resolve(data.load(), seen, asked)


def save(path: Path, file: Stackfile, host: Host, found: Stack) -> None:
    """Writes the lock, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = datetime.datetime.now(datetime.timezone.utc).date()
    lock.write(path, lock.Lock(found, view(host), wish(file).to_dict(), written))
