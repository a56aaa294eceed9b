"""``MachineModel``: what a simulated host is a simulation of, read from a file or a recording."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from paddock.errors import UsageError, nearest

if TYPE_CHECKING:
    from importlib.abc import Traversable


@dataclass(frozen=True, slots=True)
class Card:
    """A chip: the NPU and chip id that npu-smi prints, the N of ``/dev/davinciN``, its bus id."""

    npu: int
    chip: int
    node: int
    bus: str


@dataclass(frozen=True, slots=True)
class MachineModel:
    """A kind of machine. ``kind`` is ``ascend`` or ``cpu``; the rest is empty for a CPU machine.

    ``chip`` is the name that npu-smi prints (910A). ``pci_device`` is the device's id behind
    Huawei's 19e5. ``nodes`` are device nodes beside davinciN. ``driver_info`` and
    ``firmware_info`` are their ``version.info``. ``answers`` maps words of npu-smi to an exit code
    and a text; ``files`` are further files by path.
    """

    name: str
    title: str
    kind: str
    chip: str = ""
    pci_device: str = ""
    cards: tuple[Card, ...] = ()
    nodes: tuple[str, ...] = ()
    driver_info: Mapping[str, str] = field(default_factory=dict)
    firmware_info: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def names() -> list[str]:
    """The models that come with Paddock."""
    return sorted(file.name.removesuffix(".toml") for file in _folder().iterdir())


def load(name: str) -> MachineModel:
    """The model of that name; raises UsageError for an unknown one, naming the nearest."""
    file = _folder() / f"{name}.toml"
    if not file.is_file():
        raise UsageError(
            f"no simulated machine is called {name!r}{nearest(name, names())}",
            hint=f"known are {', '.join(names())}",
        )
    return _build(name, _toml(file.read_text(encoding="utf-8")))


def _build(name: str, table: Mapping[str, Any]) -> MachineModel:
    from paddock.deploy.rehearse import npu_smi

    if table["kind"] == "cpu":
        return MachineModel(name, table["title"], "cpu")
    chips = int(table.get("chips", 1))
    first = int(table.get("first_npu", 0))
    cards = tuple(
        Card(first + i, chip, i * chips + chip, bus)
        for i, bus in enumerate(table["bus"])
        for chip in range(chips)
    )
    return MachineModel(
        name=name,
        title=table["title"],
        kind="ascend",
        chip=table["chip"],
        pci_device=table["pci_device"],
        cards=cards,
        nodes=tuple(table["nodes"]),
        driver_info=table["driver_info"],
        firmware_info=table["firmware_info"],
        answers=npu_smi.answers(table, cards),
        files=table.get("files", {}),
    )


def _folder() -> Traversable:
    return resources.files("paddock.deploy.rehearse") / "files" / "models"


def _toml(text: str) -> dict[str, Any]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    table: dict[str, Any] = toml.loads(text)
    return table
