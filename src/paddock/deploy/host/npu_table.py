"""The two tables of ``npu-smi info`` in every layout: chips, and processes on them.

The layouts differ in their columns, and the column heads say which one it is; nothing is taken by
position alone. A head names a column and the place where its values begin. A row is read by those
places if every value in it begins at one, else only if it has exactly as many values of the right
kinds as there are columns. What fits neither way is left out with a note: a cell that is blank or
was shifted never lends its number to a neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from paddock.deploy.host.devices import Npu, NpuProcess
from paddock.deploy.host.facts import Note
from paddock.deploy.host.values import ABSENT, decimal, whole

WHERE = "npu-smi info"

_INT, _NUM, _PAIR, _TEXT = "int", "num", "pair", "text"

_FIRST = {
    "NPU ID": ("npu", _INT),
    "NPU": ("npu", _INT),
    "Name": ("name", _TEXT),
    "Health": ("health", _TEXT),
    "Power(W)": ("power", _NUM),
    "Temp(C)": ("temperature", _NUM),
    "Hugepages-Usage(page)": ("hugepages", _PAIR),
}
_SECOND = {
    "Chip": ("chip", _INT),
    "Device": ("logic_id", _INT),
    "Phy-ID": ("physical_id", _INT),
    "Bus-Id": ("bus_id", _TEXT),
    "AICore(%)": ("utilization", _NUM),
    "NPU Util(%)": ("utilization", _NUM),
    "Memory-Usage(MB)": ("memory", _PAIR),
    "HBM-Usage(MB)": ("hbm", _PAIR),
}
_PROCESS = {
    "NPU ID": ("npu", _INT),
    "NPU": ("npu", _INT),
    "Chip": ("chip", _INT),
    "Process id": ("pid", _INT),
    "Process name": ("name", _TEXT),
    "Process memory(MB)": ("memory_mb", _INT),
    "Process memory(B)": ("memory_b", _INT),
}
_HEADS = (
    ("processes", _PROCESS, {"npu", "pid", "name"}),
    ("chips", _FIRST, {"npu", "name", "health", "power", "temperature"}),
    ("second", _SECOND, {"bus_id", "utilization", "memory"}),
)
"""The three lines of column heads, and the columns that every layout has."""

_KINDS = {
    _INT: r"\d+",
    _NUM: r"\d+(?:\.\d+)?|NA|-",
    _PAIR: r"(?:\d+|NA|-)\s*/ ?(?:\d+|NA|-)",
    _TEXT: r"\S+",
}
_BUS_ID = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]")
_VERSION = re.compile(r"npu-smi(?:\s+(?!Version:)(\S+))?\s+Version:\s*(\S*)")
_IDLE = re.compile(r"No running processes found in NPU (\d+)")


@dataclass(frozen=True, slots=True)
class Table:
    """What the tables say. Empty and None where the text is no such table."""

    version: str | None = None
    driver_version: str | None = None
    npus: tuple[Npu, ...] = ()


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    kind: str
    start: int


_Layout = list[list[_Column]]
"""The columns of each cell, in their order."""


@dataclass(slots=True)
class _Reader:
    """The tables while they are read."""

    notes: list[Note]
    layouts: dict[str, _Layout] = field(default_factory=dict)
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
    cells = line[1:-1].split("|")
    if match := _VERSION.search(line):
        reader.versions = (match[1], match[2].strip("| ") or None)
    elif match := _IDLE.search(line):
        reader.idle.add(int(match[1]))
    elif not _heads(cells, reader):
        _row(cells, reader)


def _heads(cells: list[str], reader: _Reader) -> bool:
    """Whether the line names columns; then it sets how the rows after it are read."""
    for part, known, needed in _HEADS:
        layout = [_columns(cell, known) for cell in cells]
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
        if missing := sorted(needed - names):
            reader.note(", ".join(missing), "the table has no such column head")
        return True
    return False


def _columns(cell: str, known: Mapping[str, tuple[str, str]]) -> list[_Column]:
    names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
    found = re.finditer(rf"(?<!\S)(?:{names})(?!\S)", cell)
    return [_Column(*known[match[0]], match.start()) for match in found]


def _row(cells: list[str], reader: _Reader) -> None:
    layout = reader.layouts.get(reader.part)
    if layout is None:
        return  # something above the heads; parse() says that they are missing if they are
    if len(cells) != len(layout):
        reader.note("a row", f"it has {len(cells)} cells, the heads have {len(layout)}")
        reader.broken = reader.part == "chips"
        return
    if reader.part == "processes":
        _process(_values(cells, layout, reader), reader)
    elif reader.broken:
        reader.broken = False  # the second line of a chip whose first one was unreadable
    elif reader.pending is None:
        if any(_BUS_ID.fullmatch(cell.strip()) for cell in cells):
            reader.note("a chip", "its first line is missing")
            return
        reader.pending = _values(cells, layout, reader)
    else:
        second = reader.layouts.get("second")
        found = _values(cells, second, reader) if second and len(second) == len(cells) else None
        _chip(reader.pending, found, reader)
        reader.pending = None


def _finish_chip(reader: _Reader) -> None:
    """A separator, or the end: a first line that waits for its second one waits in vain."""
    reader.broken = False
    if reader.pending is not None:
        _chip(reader.pending, None, reader)
        reader.pending = None


def _values(cells: list[str], layout: _Layout, reader: _Reader) -> dict[str, str | None]:
    """The text of each column; None with a note where it is blank or cannot be told."""
    found: dict[str, str | None] = {}
    for cell, columns in zip(cells, layout, strict=True):
        if not columns:
            continue
        texts = _by_place(cell, columns) or _by_kind(cell, columns)
        if texts is None:
            texts = [""] * len(columns)
            why = f"the values in {cell.strip()!r} do not stand below the heads"
            reader.note(", ".join(column.name for column in columns), why)
        elif blank := [c.name for c, text in zip(columns, texts, strict=True) if not text]:
            reader.note(", ".join(blank), "the cell is blank")
        found |= {c.name: text or None for c, text in zip(columns, texts, strict=True)}
    return found


def _by_place(cell: str, columns: list[_Column]) -> list[str] | None:
    """Each column's text, if all that is in the cell begins below a head and is of its kind."""
    starts = [column.start for column in columns]
    if cell[: starts[0]].strip():
        return None
    texts = []
    for column, start, end in zip(columns, starts, [*starts[1:], len(cell)], strict=True):
        piece = cell[start:end]
        if not piece.strip():
            texts.append("")
        elif piece[0] == " " or (start and cell[start - 1] != " ") or _is_foreign(piece, column):
            return None
        else:
            texts.append(piece.strip())
    return texts


def _is_foreign(piece: str, column: _Column) -> bool:
    """Whether a piece holds parts of two values: a cell beside it was blank, or a head was."""
    if column.kind == _PAIR:
        return re.fullmatch(r"\S+?\s*/ ?\S*\s*", piece) is None
    return re.search(r"\S\s{2,}\S", piece) is not None


def _by_kind(cell: str, columns: list[_Column]) -> list[str] | None:
    """Each column's text, if the cell holds exactly one value of each column's kind."""
    pattern = r"\s+".join(f"({_KINDS[column.kind]})" for column in columns)
    match = re.fullmatch(rf"\s*{pattern}\s*", cell)
    return list(match.groups()) if match else None


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
        if number == npu.npu and (chip == npu.chip or (cards == 1 and None in (chip, npu.chip)))
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
