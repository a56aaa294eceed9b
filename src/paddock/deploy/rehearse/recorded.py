"""From a recording of a real machine (see ``deploy.host.recording``) to a model of it."""

from __future__ import annotations

from pathlib import Path

from paddock.deploy.host import Host, probe, recording
from paddock.deploy.rehearse import npu_smi
from paddock.deploy.rehearse.model import Card, MachineModel
from paddock.errors import UsageError

DRIVER_INFO = "/usr/local/Ascend/driver/version.info"
FIRMWARE_INFO = "/usr/local/Ascend/firmware/version.info"


def load(folder: Path) -> MachineModel:
    """The machine in a recording's folder; what was not recorded of it is as on one of its kind.

    Raises FactsError for a folder that is no recording and UsageError where it has no cards.
    """
    frames = recording.frames_of(folder)
    host = probe.read(recording.load(folder))
    cards = _cards(host)
    if host.ascend is None or not cards:
        raise UsageError(
            f"the recording {folder} tells of no Ascend card that could be simulated",
            hint="it needs what 'npu-smi info' prints",
        )
    files = {frame.path: frame.text for frame in frames if frame.name.startswith("file ")}
    chip = host.ascend.npus[0].name or "Ascend"
    drivers = _pairs(files.pop(DRIVER_INFO, ""))
    if not drivers and host.ascend.npu_smi is not None and host.ascend.npu_smi.driver_version:
        drivers = {"Version": host.ascend.npu_smi.driver_version}
    answers = npu_smi.lists(chip, cards)
    answers |= {
        frame.name.removeprefix("npu-smi "): (frame.exit_code, f"{frame.text}\n")
        for frame in frames
        if frame.name.startswith("npu-smi info")
    }
    return MachineModel(
        name=folder.name,
        title=f"the recording {folder.name}",
        kind="ascend",
        chip=chip,
        pci_device=host.ascend.npus[0].pci_device or "d801",
        cards=cards,
        nodes=_nodes(host),
        driver_info=drivers,
        firmware_info=_pairs(files.pop(FIRMWARE_INFO, "")),
        answers=answers,
        files={path: text for path, text in files.items() if path in KEPT},
    )


KEPT = ("/etc/hccn.conf", "/etc/ascend_install.info")
"""Recorded files that a simulated host gets as they are; others speak of what it has not."""


def _cards(host: Host) -> tuple[Card, ...]:
    if host.ascend is None:
        return ()
    found = []
    for number, npu in enumerate(host.ascend.npus):
        known = (npu.physical_id, npu.logic_id, number)
        node = next(each for each in known if each is not None)
        bus = npu.bus_id if npu.bus_id and npu.bus_id != "NA" else f"0000:{number + 1:02X}:00.0"
        found.append(Card(npu.npu, npu.chip or 0, node, bus))
    return tuple(found)


def _nodes(host: Host) -> tuple[str, ...]:
    """The nodes beside the cards' own: those recorded, else the usual ones."""
    assert host.ascend is not None, "the caller has looked"
    recorded = [node.path.removeprefix("/dev/") for node in host.ascend.nodes]
    others = [name for name in recorded if not name.removeprefix("davinci").isdecimal()]
    return tuple(others) or ("davinci_manager", "devmm_svm", "hisi_hdc")


def _pairs(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}
