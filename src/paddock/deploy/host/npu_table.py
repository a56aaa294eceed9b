"""The two tables of ``npu-smi info`` in every layout: chips, and processes on them.

The layouts differ in their columns, and the column heads say which one it is; npu_cells.py reads a
row by them. What does not fit is left out with a note.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from paddock.deploy.host.devices import Npu, NpuProcess
from paddock.deploy.host.facts import Note
from paddock.deploy.host.npu_cells import (
    INT,
    NUM,
    PAIR,
    TEXT,
    Layout,
    by_kind,
    by_place,
    columns_of,
)
from paddock.deploy.host.values import ABSENT, decimal, whole

WHERE = "npu-smi info"

_FIRST = {
    "NPU ID": ("npu", INT),
    "NPU": ("npu", INT),
    "Name": ("name", TEXT),
    "Health": ("health", TEXT),
    "Power(W)": ("power", NUM),
    "Temp(C)": ("temperature", NUM),
    "Hugepages-Usage(page)": ("hugepages", PAIR),
}
_SECOND = {
    "Chip": ("chip", INT),
    "Device": ("logic_id", INT),
    "Phy-ID": ("physical_id", INT),
    "Bus-Id": ("bus_id", TEXT),
    "AICore(%)": ("utilization", NUM),
    "NPU Util(%)": ("utilization", NUM),
    "Memory-Usage(MB)": ("memory", PAIR),
    "HBM-Usage(MB)": ("hbm", PAIR),
}
_PROCESS = {
    "NPU ID": ("npu", INT),
    "NPU": ("npu", INT),
    "Chip": ("chip", INT),
    "Process id": ("pid", INT),
    "Process name": ("name", TEXT),
    "Process memory(MB)": ("memory_mb", INT),
    "Process memory(B)": ("memory_b", INT),
}
_HEADS = (
    ("processes", _PROCESS, {"npu", "pid", "name"}),
    ("chips", _FIRST, {"npu", "name", "health", "power", "temperature"}),
    ("second", _SECOND, {"bus_id", "utilization", "memory"}),
)
"""The three lines of column heads, and the columns that every layout has."""

_BUS_ID = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]")
_VERSION = re.compile(r"npu-smi(?:\s+(?!Version:)(\S+))?\s+Version:\s*(\S*)")
_IDLE = re.compile(r"No running processes found in NPU (\d+)")


@dataclass(frozen=True, slots=True)
class Table:
    """What the tables say. Empty and None where the text is no such table."""

    version: str | None = None
    driver_version: str | None = None
    npus: tuple[Npu, ...] = ()


@dataclass(slots=True)
class _Reader:
    """The tables while they are read."""

    notes: list[Note]
    layouts: dict[str, Layout] = field(default_factory=dict)
    whole_heads: dict[str, bool] = field(default_factory=dict)
    part: str = "version"
    by_card: bool = False  # the 950's layout, which counts cards and has no column for chips
    versions: tuple[str | None, str | None] = (None, None)
    npus: list[Npu] = field(default_factory=list)
    pending: dict[str, str | None] | None = None
    broken: bool = False
    processes: list[tuple[int | None, int | None, NpuProcess]] = field(default_factory=list)
    idle: set[int] = field(default_factory=set)
    closed: bool = False

    def note(self, what: str, why: str) -> None:
        self.notes.append(Note(WHERE, what, why))


def parse(text: str, notes: list[Note]) -> Table:
    """The tables in ``text``; what could not be read is appended to ``notes``."""
    reader = _Reader(notes)
    for line in text.splitlines():
        _line(line.strip(), reader)
    _finish_chip(reader)
    if "chips" not in reader.layouts:
        reader.note("chips", "the table has no line of column heads that is known")
    elif not reader.npus:
        reader.note("chips", "the table has no rows")
    elif "processes" not in reader.layouts and not reader.closed:
        reader.note("chips", f"the table breaks off after {len(reader.npus)} rows")
    if "processes" not in reader.layouts:
        why = f"the output ends after {len(reader.npus)} chips, with no table of processes"
        reader.note("processes", why)
    elif not reader.closed:
        reader.note("processes", "the table of processes breaks off")
    if reader.versions[1] is None:
        reader.note("version", "the line with the driver's version is missing or blank")
    npus = tuple(_with_processes(npu, reader) for npu in reader.npus)
    unknown = sorted({npu.npu for npu in npus if npu.processes is None})
    if unknown and "processes" in reader.layouts:
        cards = ", ".join(map(str, unknown))
        reader.note(f"processes on NPU {cards}", "the table of processes does not speak of it")
    return Table(*reader.versions, npus)


def _line(line: str, reader: _Reader) -> None:
    if not line:
        return
    reader.closed = line.startswith("+")
    if reader.closed:
        _finish_chip(reader)
        return
    if not (line.startswith("|") and line.endswith("|") and len(line) > 1):
        reader.note("a row", f"not a whole line of a table: {line[:40]!r}")
        return
    row = line[1:-1].split("|")
    if match := _VERSION.search(line):
        reader.versions = (match[1], match[2].strip("| ") or None)
    elif match := _IDLE.search(line):
        reader.idle.add(int(match[1]))
    elif not _heads(row, reader):
        _row(row, reader)


def _heads(cells: list[str], reader: _Reader) -> bool:
    """Whether the line names columns; then it sets how the rows after it are read."""
    for part, known, needed in _HEADS:
        layout = [columns_of(cell, known) for cell in cells]
        names = {column.name for columns in layout for column in columns}
        own = names - ({"npu", "chip", "name"} if part == "processes" else {"npu"})
        if len(names) < 2 or not own or (part == "chips" and "processes" in reader.layouts):
            continue
        reader.layouts[part] = layout
        reader.part = "chips" if part == "second" else part
        if part == "chips":
            reader.by_card = re.search(r"\bNPU ID\b", "|".join(cells)) is not None
        elif part == "second" and not reader.by_card:
            needed = needed | {"chip"}
        missing = sorted(needed - names)
        if missing:
            reader.note(", ".join(missing), "the table has no such column head")
        # Counting values against heads proves nothing where a head was not recognised.
        reader.whole_heads[part] = not missing
        return True
    return False


def _row(cells: list[str], reader: _Reader) -> None:
    layout = reader.layouts.get(reader.part)
    if layout is None:
        return  # something above the heads; parse() says that they are missing if they are
    if len(cells) != len(layout):
        reader.note("a row", f"it has {len(cells)} cells, the heads have {len(layout)}")
        reader.broken = reader.part == "chips"
        return
    if reader.part == "processes":
        _process(_values(cells, "processes", reader), reader)
    elif reader.broken:
        reader.broken = False  # the second line of a chip whose first one was unreadable
    elif reader.pending is None:
        if any(_BUS_ID.fullmatch(cell.strip()) for cell in cells):
            reader.note("a chip", "its first line is missing")
            return
        reader.pending = _values(cells, "chips", reader)
    else:
        second = reader.layouts.get("second")
        fits = second is not None and len(second) == len(cells)
        found = _values(cells, "second", reader) if fits else None
        _chip(reader.pending, found, reader)
        reader.pending = None


def _finish_chip(reader: _Reader) -> None:
    """A separator, or the end: a first line that waits for its second one waits in vain."""
    reader.broken = False
    if reader.pending is not None:
        _chip(reader.pending, None, reader)
        reader.pending = None


def _values(cells: list[str], part: str, reader: _Reader) -> dict[str, str | None]:
    """The text of each column; None with a note where it is blank or cannot be told."""
    found: dict[str, str | None] = {}
    for cell, columns in zip(cells, reader.layouts[part], strict=True):
        if not columns:
            continue
        texts = by_place(cell, columns)
        # One number alone may be that of a neighbour whose head is missing.
        alone = len(columns) == 1 and columns[0].kind == INT
        if texts is None and reader.whole_heads[part] and not alone:
            texts = by_kind(cell, columns)
        if texts is None:
            texts = [""] * len(columns)
            why = f"the values in {cell.strip()!r} do not stand below the heads"
            reader.note(", ".join(column.name for column in columns), why)
        elif blank := [c.name for c, text in zip(columns, texts, strict=True) if not text]:
            reader.note(", ".join(blank), "the cell is blank")
        found |= {c.name: text or None for c, text in zip(columns, texts, strict=True)}
    return found


def _chip(
    first: dict[str, str | None], second: dict[str, str | None] | None, reader: _Reader
) -> None:
    number = _integer(first, "npu", reader)
    if number is None:
        reader.note("a chip", "its NPU ID is missing, so it cannot be told which one it is")
        return
    if second is None:
        reader.note(f"NPU {number}", "the second line of the chip is missing")
        second = {}
    pages, memory, hbm = (
        _pair(row, key, reader)
        for row, key in ((first, "hugepages"), (second, "memory"), (second, "hbm"))
    )
    bus = second.get("bus_id")
    if bus is not None and bus not in ABSENT and not _BUS_ID.fullmatch(bus):
        reader.note("bus_id", f"{bus!r} is not an address on the PCI bus")
        bus = None
    reader.npus.append(
        Npu(
            npu=number,
            chip=_integer(second, "chip", reader),
            logic_id=_integer(second, "logic_id", reader),
            physical_id=_integer(second, "physical_id", reader),
            name=_printed(first.get("name")),
            bus_id=_printed(bus),
            health=_printed(first.get("health")),
            power_w=_number(first, "power", reader),
            temperature_c=_number(first, "temperature", reader),
            utilization_percent=_number(second, "utilization", reader),
            memory_used_mb=memory[0],
            memory_total_mb=memory[1],
            hbm_used_mb=hbm[0],
            hbm_total_mb=hbm[1],
            hugepages_used=pages[0],
            hugepages_total=pages[1],
        )
    )


def _process(row: dict[str, str | None], reader: _Reader) -> None:
    memory = _integer(row, "memory_mb", reader)
    if memory is not None:
        memory *= 2**20
    elif (memory := _integer(row, "memory_b", reader)) is None and row.keys().isdisjoint(
        {"memory_mb", "memory_b"}
    ):
        reader.note("process memory", "its column head is missing, and so the unit")
    process = NpuProcess(_integer(row, "pid", reader), _printed(row.get("name")), memory)
    npu = _integer(row, "npu", reader)
    if npu is None:
        reader.note("a process", f"its NPU ID is missing: process {process.pid}")
        return
    reader.processes.append((npu, _integer(row, "chip", reader), process))


def _with_processes(npu: Npu, reader: _Reader) -> Npu:
    """The chip with its processes: those of its row, none where the table says so, else unknown."""
    cards = sum(other.npu == npu.npu for other in reader.npus)
    mine = [
        process
        for number, chip, process in reader.processes
        if number == npu.npu
        # Where a chip's number is unknown, only a card with one chip leaves no doubt.
        and (cards == 1 if None in (chip, npu.chip) else chip == npu.chip)
    ]
    listed = any(number == npu.npu for number, _, _ in reader.processes)
    unplaced = any(n == npu.npu and c is None for n, c, _ in reader.processes) and cards > 1
    if mine or npu.npu in reader.idle or (listed and not unplaced and reader.closed):
        return replace(npu, processes=tuple(mine))
    return npu


def _printed(text: str | None) -> str | None:
    return None if text is None or text in ABSENT else text


def _number(row: Mapping[str, str | None], key: str, reader: _Reader) -> float | None:
    text = row.get(key)
    if text is None or text in ABSENT:
        return None
    if (value := decimal(text)) is None:
        reader.note(key, f"{text!r} is not a number")
    return value


def _integer(row: Mapping[str, str | None], key: str, reader: _Reader) -> int | None:
    text = row.get(key)
    if text is None or text in ABSENT:
        return None
    if (value := whole(text)) is None:
        reader.note(key, f"{text!r} is not a whole number")
    return value


def _pair(
    row: Mapping[str, str | None], key: str, reader: _Reader
) -> tuple[int | None, int | None]:
    """``used / total``; a side that is blank is None with a note."""
    text = row.get(key)
    if text is None:
        return None, None
    match = re.fullmatch(r"(\S*?)\s*/ ?(\S*)", text)
    sides = (match[1], match[2]) if match else ("", "")
    values = (whole(sides[0]), whole(sides[1]))
    for name, side, value in zip(("used", "total"), sides, values, strict=True):
        if value is None and side not in ABSENT:
            reader.note(f"{key} {name}", f"it cannot be read from {text!r}")
    return values
