"""What ``npu-smi`` prints on a modelled machine, in layouts that real ones were seen to print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from paddock.deploy.rehearse.model import Card


def answers(table: Mapping[str, Any], cards: tuple[Card, ...]) -> dict[str, tuple[int, str]]:
    """Exit code and text for each question that a probe asks; ``table`` is the model's file.

    Layouts: 23.0 (910A, 910B4) and, with ``chips`` per card, 25.5 (310P3 Duo); see the recordings
    of the tests.
    """
    texts = {"info": _info(table, cards), "info -l": _list(cards)}
    texts["info -m"] = _map(table["chip"], cards)
    if "link" in table:
        texts["info -t topo"] = _topology(table["link"], cards)
    for npu, chips in groupby(cards, key=lambda card: card.npu):
        own = tuple(chips)
        texts |= {
            f"info -t board -i {npu}": _board(table, own),
            f"info -t ecc -i {npu}": _per_chip(own, _ECC),
            f"info -t usages -i {npu}": _per_chip(own, _usages(table)),
            f"info -t temp -i {npu}": _per_chip(
                own, {"NPU Temperature (C)": table["temperature_c"]}
            ),
            f"info -t power -i {npu}": _per_chip(own, {"NPU Real-time Power(W)": table["power_w"]}),
        }
        for card in own:
            texts[f"info -t health -i {npu} -c {card.chip}"] = _lines(_HEALTH)
    return {words: (0, text) for words, text in texts.items()}


_HEALTH = {"Health Status": "OK", "Error Code": "NA", "Error Information": "NA"}

_ECC = {
    f"{memory} {what}": 0
    for memory in ("DDR", "HBM")
    for what in ("Single Bit Error Count", "Double Bit Error Count", "Single Bit Aggregate Total "
                 "Err Cnt", "Double Bit Aggregate Total Err Cnt", "Single Bit Isolated Pages Count",
                 "Double Bit Isolated Pages Count")
}  # fmt: skip


def _usages(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "DDR Capacity(MB)": table["ddr_mb"],
        "DDR Usage Rate(%)": 6,
        "DDR Hugepages Total(page)": 0,
        "DDR Hugepages Usage Rate(%)": 0,
        "HBM Capacity(MB)": table["hbm_mb"],
        "HBM Usage Rate(%)": 0,
        "Aicore Usage Rate(%)": 0,
        "Aicpu Usage Rate(%)": 0,
        "Ctrlcpu Usage Rate(%)": 0,
        "DDR Bandwidth Usage Rate(%)": 0,
        "HBM Bandwidth Usage Rate(%)": 0,
    }


def _lines(values: Mapping[str, Any]) -> str:
    return "".join(f"        {key:<31}: {value}\n" for key, value in values.items())


def _per_chip(own: tuple[Card, ...], values: Mapping[str, Any]) -> str:
    head = _lines({"NPU ID": own[0].npu, "Chip Count": len(own)})
    parts = [_lines({**values, "Chip ID": card.chip}) for card in own]
    return "\n".join([head, *parts])


def _board(table: Mapping[str, Any], own: tuple[Card, ...]) -> str:
    return _lines(
        {
            "NPU ID": own[0].npu,
            "Software Version": table["driver"],
            "Firmware Version": table["firmware"],
            "Compatibility": "OK",
            "Board ID": "0x02",
            "PCB ID": "A",
            "BOM ID": 1,
            "PCIe Bus Info": own[0].bus,
            "Slot ID": own[0].npu,
            "Class ID": "NA",
            "PCI Vendor ID": "0x19E5",
            "PCI Device ID": f"0x{table['pci_device'].upper()}",
            "Subsystem Vendor ID": "0x0200",
            "Subsystem Device ID": "0x0100",
            "Chip Count": len(own),
        }
    )


def _list(cards: tuple[Card, ...]) -> str:
    parts = [
        _lines({"NPU ID": npu, "Chip Count": len(tuple(chips))})
        for npu, chips in groupby(cards, key=lambda card: card.npu)
    ]
    return "\n".join([_lines({"Total Count": len(parts)}), *parts])


def lists(chip: str, cards: tuple[Card, ...]) -> dict[str, tuple[int, str]]:
    """Exit code and text of ``-l`` and ``-m``, for a machine of which only the table is known."""
    return {"info -l": (0, _list(cards)), "info -m": (0, _map(chip, cards))}


def _map(chip: str, cards: tuple[Card, ...]) -> str:
    rows: list[tuple[object, ...]] = [("NPU ID", "Chip ID", "Chip Logic ID", "Chip Name")]
    for npu, chips in groupby(cards, key=lambda card: card.npu):
        own = tuple(chips)
        rows += [(npu, card.chip, card.node, f"Ascend {chip}") for card in own]
        rows.append((npu, len(own), "-", "Mcu"))
    return "".join("        " + "".join(f"{word!s:<31}" for word in row) + "\n" for row in rows)


def _topology(link: str, cards: tuple[Card, ...]) -> str:
    names = [f"NPU{card.node}" for card in cards]
    lines = [f"{'':<11}" + "".join(f"{name:<11}" for name in [*names, "CPU Affinity"])]
    for row in names:
        links = ["X" if column == row else link for column in names]
        lines.append(f"{row:<11}" + "".join(f"{word:<11}" for word in [*links, "0-23"]))
    return "\n".join([*lines, "", "Legend:", "", "  X    = Self", f"  {link} = {link}", ""])


def _info(table: Mapping[str, Any], cards: tuple[Card, ...]) -> str:
    two_chips = any(card.chip for card in cards)
    version = f"npu-smi {table['driver']}"
    rows = [
        (f"{version:<33}Version: {table['driver']}",),
        ("NPU   Name", "Health", "Power(W)    Temp(C)           Hugepages-Usage(page)"),
        (
            "Chip  Device" if two_chips else "Chip",
            "Bus-Id",
            "AICore(%)   Memory-Usage(MB)" + ("" if two_chips else "  HBM-Usage(MB)"),
        ),
    ]
    thin, thick = (f"+{c * 27}+{c * 15}+{c * 52}+\n" for c in "-=")
    text = f"+{'-' * 96}+\n| {rows[0][0]:<95}|\n{thin}" + _rows(rows[1:]) + thick
    for card in cards:
        power = "NA" if two_chips else table["power_w"]
        memory = f"{table['ddr_used_mb']:<5}/ {table['ddr_mb']}"
        if not two_chips:
            memory = f"{memory:<18}{table['hbm_used_mb']:<5}/ {table['hbm_mb']}"
        device = f"{card.chip:<6}{card.node}" if two_chips else str(card.chip)
        text += _rows(
            [
                (
                    f"{card.npu:<6}{table['chip']}",
                    "OK",
                    f"{power!s:<12}{table['temperature_c']:<18}0    / 0",
                ),
                (device, card.bus, f"{0:<12}{memory}"),
            ]
        )
        text += thin if two_chips and card.chip + 1 < _chips(card.npu, cards) else thick
    text += thin + f"| {'NPU     Chip':<26}| {'Process id':<14}| {'Process name':<25}"
    text += f"| {'Process memory(MB)':<24}|\n" + thick
    for npu in dict.fromkeys(card.npu for card in cards):
        text += f"| {f'No running processes found in NPU {npu}':<95}|\n" + thick
    return text


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(f"| {a:<26}| {b:<14}| {c:<51}|\n" for a, b, c in rows)


def _chips(npu: int, cards: tuple[Card, ...]) -> int:
    return sum(1 for card in cards if card.npu == npu)
