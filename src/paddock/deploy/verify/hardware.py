"""Whether the accelerator that a stack is for is here, and is real."""

from __future__ import annotations

from paddock.deploy.host import Host
from paddock.deploy.provision import Context
from paddock.deploy.step import Machine

MEMORY_MAJOR = "1"
"""The major number of /dev/null and its kin: a card's node that has it is a stand-in.
Source: the kernel's list of devices (Documentation/admin-guide/devices.txt)."""


def accelerator(context: Context) -> str:
    """``ascend``, ``nvidia`` or ``cpu``: what the deployment is to run on."""
    if context.file.container.devices == "none" and context.place != "host":
        return "cpu"
    if context.stack is not None:
        return context.stack.accelerator
    return "ascend" if _has(context.host, "ascend") else "cpu"


def _has(host: Host, kind: str) -> bool:
    return getattr(host, kind) is not None


def unreal(context: Context, machine: Machine) -> str | None:
    """Why nothing that is seen here was seen on the hardware; None where it is there.

    A simulated host's cards are stand-ins, which their device numbers tell.
    """
    kind = accelerator(context)
    if kind == "cpu":
        return None
    node = "/dev/davinci0" if kind == "ascend" else "/dev/nvidia0"
    script = 'for each in "$1"*; do [ -c "$each" ] && stat -c "%t" "$each"; done; true'
    stem = node.rstrip("0")
    numbers = set(machine.sh(script, stem).stdout.split())
    if not numbers:
        return f"there is no {node} on {machine.target}"
    if MEMORY_MAJOR in numbers:
        return f"the cards of {machine.target} are simulated"
    return None
