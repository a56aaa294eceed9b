"""What ``npu-smi info -t ...``, ``-l`` and ``-m`` print: ``key : value`` lines, small tables.

A question about a card may be answered once for the card or once for each chip; the answer for a
chip ends with its ``Chip ID``. A line that an answer of its kind always ends with tells whether the
answer is whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from paddock.deploy.host.devices import NpuBoard, NpuEcc, NpuHealth, NpuUsages, Topology
from paddock.deploy.host.facts import Note
from paddock.deploy.host.values import ABSENT, decimal, hexadecimal, pairs, whole

T = TypeVar("T")

Block = dict[str, str]
"""One answer: keys as printed, values as printed."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A line of ``npu-smi info -m``. ``logic_id`` is None for the card's controller (Mcu)."""

    npu: int
    chip: int
    logic_id: int | None
    name: str


def blocks(
    text: str, where: str, notes: list[Note], *, last: Callable[[Block], bool]
) -> list[Block]:
    """The answers in ``text``, one for each chip or one for the card, each with the card's lines.

    ``last`` tells whether a block has the line that answers of this kind end with.
    """
    head: Block = {}
    found: list[Block] = []
    block: Block = {}
    for line in text.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            continue
        if not key:
            notes.append(Note(where, "a value", f"the line has no key: {line.strip()!r}"))
            continue
        if key in ("NPU ID", "Chip Count") and not block:
            head[key] = value
            continue
        block[key] = value
        if key in ("Chip ID", "Chip Name") and len(block) > 1 and not _describes_chip(block):
            found.append(head | block)
            block = {}
    if block or not found:
        found.append(head | block)
    for each in found:
        if blank := [key for key, value in each.items() if not value]:
            notes.append(Note(where, ", ".join(blank), "the value is blank"))
        if not last(each):
            notes.append(Note(where, "the rest of the answer", "it ends early"))
    return found


def _describes_chip(block: Block) -> bool:
    """``-t board -i N -c M`` begins with the chip instead of ending with it."""
    return list(block)[:1] == ["Chip ID"] or "Chip Type" in block


def board(text: str, where: str, notes: list[Note]) -> NpuBoard:
    """``-t board -i N``."""
    block = _one(blocks(text, where, notes, last=_board_is_whole))
    return NpuBoard(
        product=_text(block, "Product Name"),
        model=_text(block, "Model"),
        manufacturer=_text(block, "Manufacturer"),
        software_version=_text(block, "Software Version"),
        firmware_version=_text(block, "Firmware Version"),
        compatibility=_text(block, "Compatibility"),
        board_id=hexadecimal(_text(block, "Board ID")),
        bus_id=_text(block, "PCIe Bus Info"),
        pci_vendor=hexadecimal(_text(block, "PCI Vendor ID")),
        pci_device=hexadecimal(_text(block, "PCI Device ID")),
        chip_count=whole(block.get("Chip Count")),
    )


def _board_is_whole(block: Block) -> bool:
    # For a chip it ends with the firmware, for a card with the number of chips.
    return "Firmware Version" in block if "Chip ID" in block else "Chip Count" in block


def _one(found: list[Block]) -> Block:
    """All lines in one table: for answers that speak of the card as a whole."""
    together: Block = {}
    for block in found:
        together |= block
    return together


def per_chip(
    build: Callable[[Block], T], text: str, where: str, notes: list[Note]
) -> dict[int | None, T]:
    """For each chip of a card what ``build`` makes of its answer; None is the key of an answer
    that names no chip, and so is for the card's only one. Answers of the controller are left out.
    """
    found = blocks(text, where, notes, last=lambda b: "Chip ID" in b or "Chip Name" in b)
    chips: dict[int | None, T] = {}
    for block in found:
        if block.get("Chip Name", "").upper() != "MCU" and len(block) > 1:
            chips.setdefault(whole(block.get("Chip ID")), build(block))
    return chips


def usages(block: Block) -> NpuUsages:
    """One chip of ``-t usages -i N``."""
    return NpuUsages(
        ddr_capacity_mb=whole(block.get("DDR Capacity(MB)")),
        ddr_percent=whole(block.get("DDR Usage Rate(%)")),
        hbm_capacity_mb=whole(block.get("HBM Capacity(MB)")),
        hbm_percent=whole(block.get("HBM Usage Rate(%)")),
        ai_core_percent=whole(block.get("Aicore Usage Rate(%)")),
        ai_cpu_percent=whole(block.get("Aicpu Usage Rate(%)")),
        control_cpu_percent=whole(block.get("Ctrlcpu Usage Rate(%)")),
        ddr_bandwidth_percent=whole(block.get("DDR Bandwidth Usage Rate(%)")),
        hbm_bandwidth_percent=whole(block.get("HBM Bandwidth Usage Rate(%)")),
    )


def ecc(block: Block) -> NpuEcc:
    """One chip of ``-t ecc -i N``. Source of the keys: the vendor's manual of npu-smi."""
    return NpuEcc(
        ddr_single_bit=whole(block.get("DDR Single Bit Error Count")),
        ddr_double_bit=whole(block.get("DDR Double Bit Error Count")),
        hbm_single_bit=whole(block.get("HBM Single Bit Error Count")),
        hbm_double_bit=whole(block.get("HBM Double Bit Error Count")),
        hbm_single_bit_isolated_pages=whole(block.get("HBM Single Bit Isolated Pages Count")),
        hbm_double_bit_isolated_pages=whole(block.get("HBM Double Bit Isolated Pages Count")),
    )


def temperature(block: Block) -> float | None:
    """One chip of ``-t temp -i N``, in degrees Celsius."""
    return decimal(block.get("NPU Temperature (C)", block.get("Temperature (C)")))


def power(block: Block) -> float | None:
    """One chip of ``-t power -i N``, in watts."""
    return decimal(block.get("NPU Real-time Power(W)", block.get("Power Dissipation(W)")))


def health(text: str, where: str, notes: list[Note]) -> NpuHealth:
    """``-t health -i N -c M``."""
    found = blocks(text, where, notes, last=lambda b: "Error Information" in b or "Error Code" in b)
    block = _one(found)
    if "Error Code" in block and "Error Information" not in block:
        notes.append(Note(where, "Error Information", "the answer ends early"))
    return NpuHealth(
        status=_text(block, "Health Status"),
        error_code=_text(block, "Error Code"),
        error_information=_text(block, "Error Information"),
    )


def cards(text: str, where: str, notes: list[Note]) -> list[tuple[int, int]]:
    """The cards that ``-l`` lists, each with its number of chips; a note where it counts others."""
    total = whole(pairs(text, ":").get("Total Count"))
    found: list[tuple[int, int]] = []
    npu: int | None = None
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "NPU ID":
            npu = whole(value)
        elif key == "Chip Count" and npu is not None and (chips := whole(value)) is not None:
            found.append((npu, chips))
            npu = None
    if total is None:
        notes.append(Note(where, "the number of cards", "there is no line Total Count"))
    elif len(found) != total:
        why = f"it counts {total} cards and {len(found)} could be read"
        notes.append(Note(where, "the list of cards", why))
    return found


def mapping(text: str, where: str, notes: list[Note]) -> list[Mapped]:
    """The lines of ``-m`` that are chips; the cards' controllers are left out."""
    found = []
    for line in text.splitlines():
        row = re.fullmatch(r"\s*(\d+)\s+(\d+)\s+(\d+|-)\s+(\S.*?)\s*", line)
        if row is None or row[4] == "Ascend":
            if line.strip() and line.split()[:2] != ["NPU", "ID"]:
                notes.append(Note(where, "a chip", f"the line cannot be read: {line.strip()!r}"))
        elif row[4].lower() != "mcu":
            # "Ascend 910B4" is what the table of chips calls "910B4".
            name = row[4].removeprefix("Ascend ")
            found.append(Mapped(int(row[1]), int(row[2]), whole(row[3]), name))
    if not found:
        notes.append(Note(where, "chips", "it lists none"))
    return found


def topology(text: str, where: str, notes: list[Note]) -> Topology | None:
    """``-t topo``: a square of links, and for each device the CPUs near to it."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    head = next((line for line in lines if len(line) > 1 and line[0].endswith("0")), None)
    if head is None:
        notes.append(Note(where, "topology", "there is no line that names the devices"))
        return None
    devices = tuple(word for word in head if re.fullmatch(r"[A-Z][A-Za-z]*\d+", word))
    rows: dict[str, tuple[str, ...]] = {}
    cpus: dict[str, str] = {}
    for words in lines:
        if words[0] not in devices or words is head:
            continue
        links = [word for word in words[1:] if re.fullmatch(r"[A-Z][A-Z_]*", word)]
        others = words[1 + len(links) :]
        cpu_list = re.compile(r"\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*")
        alien = len(others) > 1 or not all(map(cpu_list.fullmatch, others))
        if len(links) != len(devices) or words[1:] != links + others or alien:
            why = f"the line has {len(links)} links for {len(devices)} devices"
            notes.append(Note(where, f"links of {words[0]}", why))
            continue
        rows[words[0]] = tuple(links)
        if others:
            cpus[words[0]] = others[0]
    if missing := [name for name in devices if name not in rows]:
        notes.append(Note(where, f"links of {', '.join(missing)}", "the lines are missing"))
        return None
    affinity = tuple(cpus.get(name) for name in devices)
    if None in affinity:
        notes.append(Note(where, "CPU affinity", "it is missing for some devices"))
    return Topology(devices, tuple(rows[name] for name in devices), affinity)


def _text(block: Mapping[str, str], key: str) -> str | None:
    value = block.get(key)
    return None if not value or value in ABSENT else value
