"""Everything of NVIDIA's from the answer: nvidia-smi's query form, nodes, CDI, the toolkit."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from typing import Any

from paddock.deploy.host.bus import NVIDIA
from paddock.deploy.host.facts import DeviceNode, Gpu, Note, Nvidia, PciDevice
from paddock.deploy.host.frames import Answer, Frame
from paddock.deploy.host.values import ABSENT, decimal, whole

_QUERY = "nvidia-smi --query-gpu="
_WHOLE = {
    "index": "index",
    "memory.total": "memory_total_mb",
    "memory.used": "memory_used_mb",
    "memory.free": "memory_free_mb",
    "ecc.errors.uncorrected.volatile.total": "ecc_uncorrected",
}
_DECIMAL = {
    "utilization.gpu": "utilization_percent",
    "temperature.gpu": "temperature_c",
    "power.draw": "power_w",
    "power.limit": "power_limit_w",
}
_TEXT = {
    "name": "name",
    "uuid": "uuid",
    "pci.bus_id": "bus_id",
    "compute_cap": "compute_capability",
    "mig.mode.current": "mig",
    "persistence_mode": "persistence",
}


def nvidia(
    answer: Answer, pci: tuple[PciDevice, ...], nodes: tuple[DeviceNode, ...], notes: list[Note]
) -> Nvidia | None:
    """The facts, or None where there is no trace of NVIDIA on the machine."""
    queries = list(answer.starting(_QUERY))
    good = next((frame for frame in queries if frame.exit_code == 0), None)
    failed = queries[-1] if queries and good is None else None
    if failed is not None:
        said = failed.text.strip() or f"no word, exit code {failed.exit_code}"
        notes.append(Note("nvidia-smi", "GPUs", said.splitlines()[-1]))
    gpus, driver = _gpus(good, notes) if good else ((), None)
    on_bus = sum(device.vendor == NVIDIA for device in pci)
    if good and on_bus != len(gpus):
        why = f"it lists {len(gpus)}, and {on_bus} are known on the PCI bus"
        notes.append(Note("nvidia-smi", "GPUs", why))
    about = answer.get("nvidia-smi -q -d COMPUTE")
    cuda = re.search(r"^CUDA Version\s*:\s*([\d.]+)", about.text, re.MULTILINE) if about else None
    kernel = answer.get("file /proc/driver/nvidia/version")
    module = (
        re.search(r"Kernel Module\s+(?:for \S+\s+)?(\d[\d.]+)", kernel.text) if kernel else None
    )
    path, toolkit = answer.get("nvidia-smi path"), answer.get("nvidia-ctk --version")
    version = re.search(r"\d+(?:\.\d+)+\S*", toolkit.text) if toolkit else None
    files, names = _cdi(answer)
    ours = tuple(node for node in nodes if node.path.startswith("/dev/nvidia"))
    found = Nvidia(
        driver_version=driver or (module[1] if module else None),
        cuda_version=cuda[1] if cuda else None,
        gpus=gpus,
        nodes=ours,
        cdi=names,
        cdi_files=files,
        container_toolkit=version[0] if version else None,
        smi_path=path.text if path else None,
        exit_code=queries[-1].exit_code if queries else None,
        error=failed.text.strip() or None if failed else None,
    )
    there = any(device.vendor == NVIDIA for device in pci)
    return found if there or found != Nvidia() else None


def _gpus(frame: Frame, notes: list[Note]) -> tuple[tuple[Gpu, ...], str | None]:
    """Rows of the query; which columns they have is what was asked. Also the driver's version."""
    fields = frame.name.removeprefix(_QUERY).split()[0].split(",")
    gpus, drivers = [], set()
    for cells in csv.reader(frame.lines, skipinitialspace=True):
        if len(cells) != len(fields):
            why = f"the row has {len(cells)} values for {len(fields)} questions"
            notes.append(Note("nvidia-smi", "a GPU", why))
            continue
        row = {field: cell.strip() for field, cell in zip(fields, cells, strict=True)}
        values = _values(row, notes)
        if values.get("index") is None:
            notes.append(Note("nvidia-smi", "a GPU", "its index is missing"))
            continue
        gpus.append(Gpu(**values))
        drivers.add(row.get("driver_version") or None)
    if not gpus:
        notes.append(Note("nvidia-smi", "GPUs", "it lists none"))
    return tuple(gpus), drivers.pop() if len(drivers) == 1 else None


def _values(row: Mapping[str, str], notes: list[Note]) -> dict[str, Any]:
    """The fields of one GPU; what the tool marks as not available is left out."""
    values: dict[str, Any] = {}
    for field, text in row.items():
        if not text:
            notes.append(Note("nvidia-smi", field, "the cell is blank"))
        elif text in ABSENT or text.startswith("["):
            continue
        elif field in _TEXT:
            values[_TEXT[field]] = text
        elif field in _WHOLE or field in _DECIMAL:
            value = whole(text) if field in _WHOLE else decimal(text)
            values[(_WHOLE | _DECIMAL)[field]] = value
            if value is None:
                notes.append(Note("nvidia-smi", field, f"{text!r} is not a number"))
    return values


def _cdi(answer: Answer) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Files of the Container Device Interface and the names in them, ``nvidia.com/gpu=0``.

    Source: the CDI specification; read by line, for YAML and JSON alike.
    """
    kinds: dict[str, str] = {}
    names: list[str] = []
    for line in answer.lines("cdi"):
        match = re.fullmatch(
            r"([^:]+):[\s-]*\"?(name|kind)\"?:\s*\"?([^\s\",]+)\"?,?", line.strip()
        )
        if match and match[2] == "kind":
            kinds[match[1]] = match[3]
        elif match:
            names.append(f"{match[1]}:{match[3]}")
    whole_names = (name.split(":", 1) for name in names)
    found = [f"{kinds[path]}={name}" for path, name in whole_names if path in kinds]
    return tuple(kinds), tuple(found)
