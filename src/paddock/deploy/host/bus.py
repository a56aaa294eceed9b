"""Accelerators as the kernel sees them: devices on the PCI bus and nodes under /dev."""

from __future__ import annotations

import re

from paddock.deploy.host.facts import NOT_ASKED, DeviceNode, Note, PciDevice
from paddock.deploy.host.frames import Answer
from paddock.deploy.host.values import hexadecimal

HUAWEI = "19e5"
NVIDIA = "10de"

ASCEND_CHIPS = {
    "d100": "310",
    "d500": "310P",
    "d801": "910",
    "d802": "910B",
    "d803": "910_93",
}
"""Chips by PCI device id: d801 is the first generation of the 910, d802 the 910B (A2), d803 the
910_93 (A3, which npu-smi calls Ascend910). Source: the vendor's driver installers and lspci outputs
of real hosts."""


def pci(answer: Answer, notes: list[Note]) -> tuple[PciDevice, ...]:
    """Accelerators on the bus: from /sys, else from what lspci printed."""
    frame = answer.get("pci")
    lspci = [line for f in answer.starting("lspci") for line in f.lines]
    if frame is None and not lspci:
        notes.append(Note("pci", "accelerators on the PCI bus", NOT_ASKED))
    found = []
    for line in frame.lines if frame else []:
        words = line.split()
        ids = [hexadecimal(word) for word in words[1:4]] if len(words) == 8 else [None]
        if None in ids:
            notes.append(Note("pci", "a device", f"the line cannot be read: {line!r}"))
            continue
        found.append(
            PciDevice(
                address=words[0],
                vendor=str(ids[0]),
                device=str(ids[1]),
                class_code=str(ids[2]),
                driver=None if words[4] == "-" else words[4],
                numa_node=int(words[5]) if words[5].isdecimal() else None,
                subsystem_vendor=hexadecimal(words[6]),
                subsystem_device=hexadecimal(words[7]),
            )
        )
    return tuple(found) or tuple(_from_lspci(lspci, notes))


def _from_lspci(lines: list[str], notes: list[Note]) -> list[PciDevice]:
    """``01:00.0 Processing accelerators: Huawei Technologies Co., Ltd. Device d802 (rev 20)``."""
    found = []
    for line in lines:
        match = re.match(
            r"(?:([0-9a-f]{4}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) Processing accelerators: "
            r"Huawei .*?Device ([0-9a-f]{4})\b",
            line.strip(),
        )
        if match:
            address = f"{match[1] or '0000'}:{match[2]}"
            found.append(PciDevice(address, HUAWEI, match[3], "120000"))
        elif "Processing accelerators" in line or "Huawei" in line:
            notes.append(Note("lspci", "a device", f"the line cannot be read: {line.strip()!r}"))
    if lines:
        why = f"lspci does not print them, nor whether the {len(found)} devices are all"
        notes.append(Note("lspci", "drivers and NUMA nodes", why))
    return found


def nodes(answer: Answer, notes: list[Note]) -> tuple[DeviceNode, ...]:
    """Device nodes of accelerators with owner, mode and what the one who looked may do."""
    found = []
    for line in answer.lines("nodes"):
        # Access, octal mode, ids, names, kind of file, path.
        match = re.fullmatch(
            r"([rw-]+) (\d+) (\d+) (\d+) (\S+) (\S+) ([^|]+)\|(/dev/\S+)", line.strip()
        )
        if match is None:
            notes.append(Note("device nodes", "a node", f"the line cannot be read: {line!r}"))
            continue
        found.append(
            DeviceNode(
                path=match[8],
                mode=match[2],
                uid=int(match[3]),
                gid=int(match[4]),
                owner=None if match[5] == "UNKNOWN" else match[5],
                group=None if match[6] == "UNKNOWN" else match[6],
                kind=match[7],
                readable="r" in match[1],
                writable="w" in match[1],
            )
        )
    return tuple(found)
