"""Checks of who may use the chips: device nodes, groups, the password database."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterator, Mapping

from paddock.deploy.doctor.checks.registry import check
from paddock.deploy.doctor.finding import Evidence
from paddock.deploy.doctor.subject import Subject

CONTROL = {
    **dict.fromkeys(("910", "910b", "310p"), ("davinci_manager", "devmm_svm", "hisi_hdc")),
    "a3": ("davinci_manager", "devmm_svm", "hisi_hdc"),
    "950": ("davinci_manager",),
    "310b": ("davinci_manager",),
}
"""Nodes that a program needs beside its chips', by generation: a 950 has no devmm_svm, a 310B
neither that nor hisi_hdc."""


NEEDED = re.compile(
    r"/dev/(?:davinci\d+|davinci_manager|devmm_svm|hisi_hdc|nvidia\d+|nvidiactl|nvidia-uvm)"
)
"""Nodes that a user of the chips must open; others (nvidia-caps, upgrade) are root's on purpose."""


@check
def driver_code(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """What else speaks for it where npu-smi ended with ``code``: who looked, with which nodes."""
    smi, user = subject.ascend.npu_smi, subject.host.user
    if smi is None or smi.code != int(args["code"]):
        return
    yield Evidence((smi.error or f"ret is {smi.code}").splitlines()[-1], "npu-smi info")
    groups = " ".join(group.name or str(group.id) for group in user.groups)
    if smi.code == -8005 and user.uid and "HwHiAiUser" not in groups.split():
        fact = f"the user {user.name or user.uid} is in the groups {groups or '(none)'}"
        yield Evidence(fact, "id", {"user": user.name or str(user.uid), "group": "HwHiAiUser"})
    if smi.code == -8005 and subject.asked("nodes") and not subject.ascend.nodes:
        yield Evidence("there is no device node of Ascend's", "/dev")
    if smi.code == -8020:
        for container in subject.host.containers:
            held = [d for d in container.devices if "davinci" in d]
            if held or container.privileged:
                what = ", ".join(held) or "every device (privileged)"
                fact = f"the container {container.name} has {what}"
                yield Evidence(fact, f"{container.engine} inspect", {"container": container.name})
        if subject.ascend.namespace:
            fact = subject.ascend.namespace.splitlines()[0][:200]
            yield Evidence(f"namespaces that hold cards: {fact}", "/proc/uda/namespace_node")


@check
def reboot_pending(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A driver or firmware that was installed after the machine last started and asked for one."""
    clock, uptime = subject.host.clock, subject.host.system.uptime_s
    offset = re.fullmatch(r"([+-])(\d\d):?(\d\d)", clock.utc_offset or "")
    if clock.host is None or uptime is None or offset is None:
        return
    sign = -1 if offset[1] == "-" else 1
    east = sign * (int(offset[2]) * 3600 + int(offset[3]) * 60)
    for install in subject.ascend.installs:
        try:
            local = calendar.timegm(time.strptime(install.finished, "%Y-%m-%d %H:%M:%S"))
        except ValueError:
            continue
        if install.reboot and local - east > clock.host - uptime:
            started = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(clock.host - uptime + east))
            what = f"{install.package} {install.version or ''}".strip()
            fact = f"{what} was installed {install.finished}, the machine started {started}"
            yield Evidence(fact, "installation log, /proc/uptime")


@check
def nodes_barred(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Device nodes that the user who looked may not read or write."""
    user = subject.host.user
    nvidia = subject.host.nvidia
    nodes = (*subject.ascend.nodes, *(nvidia.nodes if nvidia else ()))
    needed = [node for node in nodes if NEEDED.fullmatch(node.path)]
    barred = [node for node in needed if node.readable is False or node.writable is False]
    if not barred:
        return
    node = barred[0]
    owner = f"{node.owner or node.uid}:{node.group or node.gid} {node.mode or '?'}"
    more = f" and {len(barred) - 1} more" if len(barred) > 1 else ""
    name = user.name or (str(user.uid) if user.uid is not None else "")
    yield Evidence(
        f"{node.path}{more} ({owner}) are barred to {name or 'this user'}",
        "/dev",
        {"node": node.path, "user": name, "group": node.group or str(node.gid or "")},
    )


@check
def nodes_missing(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Chips' nodes without those that every program needs beside them."""
    names = {node.path.removeprefix("/dev/") for node in subject.ascend.nodes}
    if not any(re.fullmatch(r"davinci\d+", name) for name in names):
        return
    for name in CONTROL.get(subject.view.chip or "", ("davinci_manager",)):
        if name not in names:
            fact = f"/dev/{name} is missing beside {len(names)} other nodes"
            yield Evidence(fact, "/dev", {"node": f"/dev/{name}"})


@check
def chips_not_passed_in(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A container on a machine with chips that got none of their nodes."""
    host = subject.host
    known = {r.facts.get("pci") for r in subject.catalog.releases["chip"]}
    chips = [d for d in host.pci if d.vendor == "19e5" and d.device in known]
    if host.confinement and chips and not subject.ascend.nodes and subject.asked("nodes"):
        fact = f"{len(chips)} chips are on the bus, and the container has no /dev/davinci*"
        yield Evidence(fact, f"PCI bus, /dev, {host.confinement.evidence}")


@check
def user_without_entry(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """A user that the password database does not know."""
    user = subject.host.user
    if user.named is False and user.uid is not None:
        values = {"uid": str(user.uid), "gid": str(user.gid if user.gid is not None else user.uid)}
        yield Evidence(f"uid {user.uid} has no entry", "/etc/passwd", values)
