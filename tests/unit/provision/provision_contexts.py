"""Contexts of typical machines for the tests of steps."""

from __future__ import annotations

from dataclasses import replace

from paddock.deploy import catalog
from paddock.deploy.host.facts import Ascend, DeviceNode, Host, System
from paddock.deploy.provision import Context
from paddock.deploy.resolve import HostView, Stack, make, resolve
from paddock.deploy.stackfile import (
    ContainerWish,
    ExtrasWish,
    Mirrors,
    PythonWish,
    SshWish,
    Stackfile,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3k0Yq2m6H6bU0X8mP3Xf1Wb7h4n2f6cQWm0o0Zq3xT ada@npu"

NODES = tuple(
    DeviceNode(path=f"/dev/{name}", mode="660", uid=1000, gid=1000)
    for name in ("davinci0", "davinci1", "davinci_manager", "devmm_svm", "hisi_hdc")
)


def stack(framework: str, chip: str, arch: str = "aarch64", *pins: str) -> Stack:
    """What the resolver says for a planned machine."""
    data = catalog.load()
    accelerator = chip if chip in ("cpu", "nvidia") else "ascend"
    view = HostView(accelerator=accelerator, chip=chip, arch=arch)
    return resolve(data, view, make(data, framework, pins=tuple(pins)))


def context(
    framework: str | None = "mindspore",
    chip: str = "910",
    *,
    engine: str = "docker",
    folder: str = "/var/lib/paddock",
    artifacts: str | None = None,
    mirrors: Mirrors | None = None,
    python: PythonWish | None = None,
    ssh: SshWish | None = None,
    extras: ExtrasWish | None = None,
    pins: tuple[str, ...] = (),
    inside: Host | None = None,
) -> Context:
    """A context, by default that of the notes: an Atlas 800 (9000) with a container of Ubuntu."""
    system = System(id="ubuntu", version="20.04", codename="focal", arch="aarch64")
    ascend = None if chip in ("cpu", "nvidia") else Ascend(nodes=NODES)
    host = Host(system=system, ascend=ascend)
    file = replace(
        Stackfile(),
        name="notes",
        container=ContainerWish(engine=engine),  # type: ignore[arg-type]
        mirrors=mirrors or Mirrors(),
        python=python or PythonWish(),
        ssh=ssh,
        extras=extras or ExtrasWish(),
    )
    found = None if framework is None else stack(framework, chip, "aarch64", *pins)
    return Context(file, host, inside or Host(system=system), found, folder, artifacts)
