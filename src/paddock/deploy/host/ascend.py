"""Everything of Ascend's from the answer, put together: chips, nodes, software, network."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from paddock.deploy.host import components, hccn, npu_detail, npu_table
from paddock.deploy.host.bus import HUAWEI
from paddock.deploy.host.facts import (
    NOT_ASKED,
    Ascend,
    DeviceNode,
    Note,
    Npu,
    NpuHealth,
    NpuSmi,
    PciDevice,
    Topology,
)
from paddock.deploy.host.frames import Answer, Frame
from paddock.deploy.host.values import pairs

T = TypeVar("T")

_NODES = re.compile(
    "/dev/(?:davinci|devmm_svm|hisi_hdc|dvpp_cmdlist|svm0|ts_aisle|upgrade|ummu|uburma|xsmem_dev"
    "|event_sched|log_drv)"
)


def ascend(
    answer: Answer,
    environment: dict[str, str],
    pci: tuple[PciDevice, ...],
    nodes: tuple[DeviceNode, ...],
    notes: list[Note],
) -> Ascend | None:
    """The facts, or None where there is no trace of Ascend on the machine."""
    smi, npus = _npus(answer, pci, notes)
    info = answer.file("/etc/ascend_install.info")
    ours = tuple(node for node in nodes if _NODES.match(node.path))
    namespace = answer.get("file /proc/uda/namespace_node")
    hooks = [f.name.removeprefix("docker runtime ") for f in answer.starting("docker runtime ")]
    found = Ascend(
        npu_smi=smi,
        npus=npus,
        topology=_topology(answer, notes),
        nodes=ours,
        components=components.components(answer, environment, notes),
        install_info=_install_info(info, notes) if info else {},
        hccn=hccn.ports(answer, len(npus), notes),
        rank_tables=hccn.rank_tables(answer, notes),
        installs=components.installs(answer),
        scripts=tuple(f.name.removeprefix("script ") for f in answer.starting("script ")),
        platform=components.platform(answer),
        docker_runtime=hooks[0] if hooks else None,
        namespace=namespace.text if namespace else None,
        paths=_paths(answer),
    )
    there = any(device.vendor == HUAWEI for device in pci)
    return found if there or found != Ascend() else None


def _paths(answer: Answer) -> tuple[str, ...] | None:
    """None also where there is none of them: then there is nothing of Ascend's."""
    frame = answer.get("ascend paths")
    return tuple(line for line in frame.lines if line.strip()) or None if frame else None


_INSTALL_KEYS = (
    "UserName",
    "UserGroup",
    "Firmware_Install_Type",
    "Firmware_Install_Path_Param",
    "Driver_Install_Type",
    "Driver_Install_Path_Param",
    "Driver_Install_For_All",
)


def _install_info(frame: Frame, notes: list[Note]) -> dict[str, str]:
    table = pairs(frame.text)
    wanted = dict.fromkeys([*_INSTALL_KEYS, *table])
    if missing := [key for key in wanted if not table.get(key)]:
        notes.append(Note(frame.path, ", ".join(missing), "the file has no such line or no value"))
    return {key: value for key, value in table.items() if value}


def _npus(
    answer: Answer, pci: tuple[PciDevice, ...], notes: list[Note]
) -> tuple[NpuSmi | None, tuple[Npu, ...]]:
    path, frame = answer.get("npu-smi path"), answer.get("npu-smi info")
    asked = list(answer.starting("npu-smi "))
    if not asked:
        if any(device.vendor == HUAWEI for device in pci):
            looked = answer.get("pci") is not None
            why = "there is no such program on the PATH or where drivers put it"
            notes.append(Note("npu-smi", "chips", why if looked else NOT_ASKED))
        return None, ()
    smi = NpuSmi(path=path.text if path else None)
    npus: tuple[Npu, ...] = ()
    if frame is None:
        notes.append(Note("npu-smi info", "chips", NOT_ASKED))
    elif frame.exit_code != 0 or "|" not in frame.text:
        smi = _failed(smi, frame, notes)
    else:
        table = npu_table.parse(frame.text, notes)
        npus = table.npus
        smi = replace(smi, version=table.version, driver_version=table.driver_version, exit_code=0)
    npus = _listed(answer, _mapped(answer, npus, notes), notes)
    return smi, tuple(_detailed(answer, npu, npus, pci, notes) for npu in npus)


def _failed(smi: NpuSmi, frame: Frame, notes: list[Note]) -> NpuSmi:
    """What it printed instead of the table, kept word by word for the doctor."""
    said = frame.text.strip()
    code = re.search(r"\bret is (-?\d+)", said)
    why = said.splitlines()[-1] if said else f"no word, exit code {frame.exit_code}"
    if frame.exit_code == 124:
        why = "it did not answer in time"
    notes.append(Note(frame.name, "chips", why))
    return replace(
        smi, exit_code=frame.exit_code, error=said or why, code=int(code[1]) if code else None
    )


def _mapped(answer: Answer, npus: tuple[Npu, ...], notes: list[Note]) -> tuple[Npu, ...]:
    """The chips with their logic ids from ``-m``; where there is no table, its chips alone."""
    frame = answer.get("npu-smi info -m")
    if frame is None or frame.exit_code != 0:
        return npus
    rows = npu_detail.mapping(frame.text, frame.name, notes)
    if not npus:
        if answer.get("npu-smi info -l") is None:
            why = f"it lists {len(rows)}, and nothing else tells whether these are all"
            notes.append(Note(frame.name, "chips", why))
        return tuple(Npu(r.npu, r.chip, logic_id=r.logic_id, name=r.name) for r in rows)
    logic = {(row.npu, row.chip): row.logic_id for row in rows}
    cards = [npu.npu for npu in npus]
    return tuple(
        replace(npu, logic_id=logic.get((npu.npu, npu.chip or 0)))
        if npu.logic_id is None and (npu.chip is not None or cards.count(npu.npu) == 1)
        else npu
        for npu in npus
    )


def _listed(answer: Answer, npus: tuple[Npu, ...], notes: list[Note]) -> tuple[Npu, ...]:
    """The chips, checked against ``-l``; where nothing else names any, the cards alone."""
    frame = answer.get("npu-smi info -l")
    if frame and frame.exit_code == 0:
        cards = npu_detail.cards(frame.text, frame.name, notes)
        if not npus:
            return tuple(
                Npu(card, chip if chips > 1 else None)
                for card, chips in cards
                for chip in range(chips)
            )
        if missing := sorted({card for card, _ in cards} - {npu.npu for npu in npus}):
            why = "it is listed, and its row could not be read"
            notes.append(Note(frame.name, f"NPU {', '.join(map(str, missing))}", why))
    elif not npus:
        asked = re.findall(
            r"(?m)^npu-smi info .*-i (\d+)", "\n".join(f.name for f in answer.frames)
        )
        return tuple(Npu(int(card)) for card in dict.fromkeys(asked))
    return npus


def _detailed(
    answer: Answer,
    npu: Npu,
    npus: tuple[Npu, ...],
    pci: tuple[PciDevice, ...],
    notes: list[Note],
) -> Npu:
    """The chip with what the questions about its card say, and its device id from the bus."""
    chips = [other for other in npus if other.npu == npu.npu]
    # One answer may speak for two chips; what is wrong with it is noted once.
    card = _Card(answer, npu, alone=len(chips) == 1, notes=notes if chips[0] is npu else [])
    npu = replace(
        npu,
        board=card.ask("board", npu_detail.board),
        usages=card.ask_chip("usages", npu_detail.usages),
        ecc=card.ask_chip("ecc", npu_detail.ecc),
        health_detail=_health(answer, npu, notes),
    )
    if npu.temperature_c is None:
        npu = replace(npu, temperature_c=card.ask_chip("temp", npu_detail.temperature))
    if npu.power_w is None:
        npu = replace(npu, power_w=card.ask_chip("power", npu_detail.power))
    if npu.bus_id is None and npu.board and len(chips) == 1:
        npu = replace(npu, bus_id=npu.board.bus_id)
    return replace(npu, pci_device=_device_id(npu, pci))


@dataclass(frozen=True, slots=True)
class _Card:
    """The questions about one chip's card; ``alone`` where the card has no other chip."""

    answer: Answer
    npu: Npu
    alone: bool
    notes: list[Note]

    def ask(self, kind: str, read: Callable[[str, str, list[Note]], T]) -> T | None:
        """What ``read`` makes of the answer about the card, None where there is none."""
        for frame in self.answer.starting("npu-smi info"):
            words = frame.name.split()
            if frame.exit_code == 0 and _asks(words, kind, self.npu.npu) and "-c" not in words:
                return read(frame.text, frame.name, self.notes)
        return None

    def ask_chip(self, kind: str, build: Callable[[npu_detail.Block], T]) -> T | None:
        """What ``build`` makes of this chip's part of the answer about the card."""
        read = functools.partial(npu_detail.per_chip, build)
        found = self.ask(kind, read) or {}
        if self.alone and len(found) == 1:
            return next(iter(found.values()))
        return found.get(self.npu.chip)


def _health(answer: Answer, npu: Npu, notes: list[Note]) -> NpuHealth | None:
    for frame in answer.starting("npu-smi info"):
        words = frame.name.split()
        chip = words[words.index("-c") + 1 :][:1] if "-c" in words else []
        ours = chip == [str(npu.chip or 0)]
        if frame.exit_code == 0 and ours and _asks(words, "health", npu.npu):
            return npu_detail.health(frame.text, frame.name, notes)
    return None


def _asks(words: list[str], kind: str, card: int) -> bool:
    """Whether a command line asks ``kind`` of a card, in whichever order its options stand."""
    options = dict(itertools.pairwise(words))
    return options.get("-t") == kind and options.get("-i") == str(card)


def _device_id(npu: Npu, pci: tuple[PciDevice, ...]) -> str | None:
    """From the bus by the chip's address there, else what the card's firmware says."""
    address = (npu.bus_id or "").lower()
    on_bus = next((device.device for device in pci if device.address.lower() == address), None)
    return on_bus or (npu.board.pci_device if npu.board else None)


def _topology(answer: Answer, notes: list[Note]) -> Topology | None:
    frame = answer.get("npu-smi info -t topo")
    if frame is None or frame.exit_code != 0:
        return None
    return npu_detail.topology(frame.text, frame.name, notes)
