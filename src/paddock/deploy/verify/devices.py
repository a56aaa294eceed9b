"""The accelerators as the container sees them."""

from __future__ import annotations

from collections.abc import Iterator

from paddock.deploy.host import Host, probe
from paddock.deploy.provision import Context
from paddock.deploy.step import Machine
from paddock.deploy.verify import hardware
from paddock.deploy.verify.report import Check
from paddock.errors import RunnerError

NAME, TITLE = "devices", "The vendor's tool sees the cards"


def wished(context: Context) -> int | None:
    """How many cards the deployment has; None where the facts do not tell."""
    devices = context.file.container.devices
    if context.place != "host" and isinstance(devices, tuple):
        return len(devices)
    if context.host.ascend:
        nodes = [n for n in context.host.ascend.nodes if n.path[len("/dev/davinci") :].isdecimal()]
        return len(nodes) or None
    return len(context.host.nvidia.gpus) if context.host.nvidia else None


def check(context: Context, machine: Machine) -> Iterator[Check]:
    """npu-smi or nvidia-smi inside: how many cards, and in what health."""
    kind = hardware.accelerator(context)
    if kind == "cpu":
        yield Check(NAME, TITLE, "skipped", "the deployment is for the CPU")
        return
    try:
        inside = probe.read(machine.runner)
    except RunnerError as error:
        yield Check(NAME, TITLE, "failed", error.message, hint=error.hint)
        return
    found = _ascend(inside) if kind == "ascend" else _nvidia(inside)
    if isinstance(found, str):
        hint = "paddock doctor says what is wrong"
        yield Check(NAME, TITLE, "failed", found, hint=hint)
        return
    wanted = wished(context)
    if wanted is not None and len(found) != wanted:
        detail = f"{len(found)} of {wanted}: {', '.join(found)}"
        yield Check(NAME, TITLE, "failed", detail, hint="is a card held by another container?")
        return
    yield Check(NAME, TITLE, "passed", f"{len(found)}: {', '.join(dict.fromkeys(found))}")


def _ascend(inside: Host) -> list[str] | str:
    facts = inside.ascend
    if facts is None or facts.npu_smi is None:
        return "there is no npu-smi inside"
    if facts.npu_smi.error:
        return f"npu-smi: {facts.npu_smi.error.splitlines()[-1]}"
    bad = [n for n in facts.npus if n.health not in (None, "OK")]
    if bad:
        return f"card {bad[0].npu} is in health {bad[0].health}"
    return [npu.name or "?" for npu in facts.npus] or "npu-smi lists no card"


def _nvidia(inside: Host) -> list[str] | str:
    facts = inside.nvidia
    if facts is None:
        return "there is no nvidia-smi inside"
    if facts.error:
        return f"nvidia-smi: {facts.error.splitlines()[-1]}"
    return [gpu.name or "?" for gpu in facts.gpus] or "nvidia-smi lists no GPU"
