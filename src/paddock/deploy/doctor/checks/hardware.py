"""Checks of the chips themselves: their state, their memory, how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from paddock.deploy.doctor.checks.registry import check
from paddock.deploy.doctor.finding import Evidence
from paddock.deploy.doctor.subject import Subject
from paddock.deploy.host.facts import Npu

HELD_MB = 4096
HELD_SHARE = 0.15
"""What a driver keeps for itself on an idle chip stays below both: 2654 of 32768 MB on a 910B4 and
3133 of 65536 on an A3 in recordings of fresh machines."""


def called(npu: Npu) -> str:
    """A chip as npu-smi names it."""
    return f"NPU {npu.npu}" + (f" chip {npu.chip}" if npu.chip else "")


def _values(npu: Npu) -> dict[str, str]:
    device = npu.npu if npu.physical_id is None else npu.physical_id
    return {"npu": str(npu.npu), "chip": str(npu.chip or 0), "device": str(device)}


@check
def chip_health(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Chips whose health is one of the words in ``states``."""
    states = args["states"].split()
    for npu in subject.ascend.npus:
        if (npu.health or "") in states:
            detail = npu.health_detail
            code = f", error code {detail.error_code}" if detail and detail.error_code else ""
            said = detail.error_information if detail else None
            said = f": {said}" if said else ""
            fact = f"{called(npu)} ({npu.name or '?'}) reports {npu.health}{code}{said}"
            yield Evidence(fact, "npu-smi info", _values(npu))


@check
def memory_uncorrected(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Chips that counted memory errors which could not be corrected."""
    for npu in subject.ascend.npus:
        ecc = npu.ecc
        for kind, count in (
            ("HBM", ecc.hbm_double_bit if ecc else None),
            ("DDR", ecc.ddr_double_bit if ecc else None),
        ):
            if count:
                fact = f"{called(npu)}: {count} double-bit errors of {kind}"
                yield Evidence(fact, f"npu-smi info -t ecc -i {npu.npu}", _values(npu))
    for gpu in subject.host.nvidia.gpus if subject.host.nvidia else ():
        if gpu.ecc_uncorrected:
            fact = f"GPU {gpu.index}: {gpu.ecc_uncorrected} uncorrected memory errors"
            yield Evidence(fact, "nvidia-smi", {"gpu": str(gpu.index)})


@check
def memory_isolated(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Chips that took pages of their memory out of use."""
    for npu in subject.ascend.npus:
        ecc = npu.ecc
        pages = (
            (ecc.hbm_single_bit_isolated_pages, ecc.hbm_double_bit_isolated_pages) if ecc else ()
        )
        if count := sum(p or 0 for p in pages):
            fact = f"{called(npu)}: {count} pages of HBM are isolated"
            yield Evidence(fact, f"npu-smi info -t ecc -i {npu.npu}", _values(npu))


@check
def memory_held(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Chips whose memory is used although npu-smi knows of no process."""
    for npu in subject.ascend.npus:
        used, total = npu.hbm_used_mb, npu.hbm_total_mb
        if used and total and npu.processes == () and used > max(HELD_MB, HELD_SHARE * total):
            fact = f"{called(npu)}: {used} of {total} MB of HBM are used, and no process is listed"
            yield Evidence(fact, "npu-smi info", _values(npu))


@check
def chips_unanswered(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Chips on the PCI bus that npu-smi does not list, where it lists others.

    In a container the bus shows the host's chips, and npu-smi those that were passed in.
    """
    npus = subject.ascend.npus
    listed = {(npu.bus_id or "").lower() for npu in npus}
    if not npus or "" in listed or subject.host.confinement:
        return
    known = {r.facts.get("pci") for r in subject.catalog.releases["chip"]}
    for device in subject.host.pci:
        ours = device.vendor == "19e5" and device.device in known
        if ours and device.address.lower() not in listed:
            fact = f"the chip at {device.address} ({device.vendor}:{device.device}) is not listed"
            yield Evidence(fact, "PCI bus against npu-smi info", {"bus": device.address})


@check
def chips_undriven(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Chips on the PCI bus of a machine that was asked and has no trace of a driver."""
    ascend, host = subject.ascend, subject.host
    driver = ascend.component("driver") or ascend.nodes or ascend.npus
    if driver or host.confinement or not subject.asked("npu-smi"):
        return
    if any(module.startswith(("davinci", "drv_", "ascend")) for module in host.system.modules):
        return
    known = {r.facts.get("pci"): r.version for r in subject.catalog.releases["chip"]}
    found = [d for d in host.pci if d.vendor == "19e5" and d.device in known]
    if found and host.system.kernel is not None:
        chip = known[found[0].device]
        fact = (
            f"{len(found)} chips ({found[0].vendor}:{found[0].device}, generation {chip}) and no "
            "driver's module, version file or device node"
        )
        yield Evidence(fact, "PCI bus, /proc/modules, /dev", {"generation": chip})


@check
def chips_mixed(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Chips of more than one generation in a machine."""
    for note in subject.view.notes:
        if note.startswith("chips of different generations"):
            yield Evidence(note, "PCI bus, npu-smi info")


@check
def ids_sparse(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """npu-smi's ids that do not count up from 0."""
    cards = sorted({npu.npu for npu in subject.ascend.npus})
    if cards and cards[0] == 0 and cards != list(range(len(cards))):
        shown = ", ".join(map(str, cards[:10]))
        yield Evidence(f"the NPU ids are {shown}", "npu-smi info")


@check
def name_of_a3(subject: Subject, args: Mapping[str, str]) -> Iterator[Evidence]:
    """Chips that call themselves Ascend910 and are not of the first generation."""
    names = {npu.name for npu in subject.ascend.npus}
    if "Ascend910" in names and subject.view.chip == "a3":
        ids = sorted({npu.pci_device for npu in subject.ascend.npus if npu.pci_device})
        by = f" (PCI id {', '.join(ids)})" if ids else " (its table has a Phy-ID column)"
        yield Evidence(f"npu-smi prints Ascend910; the chip is an A3{by}", "npu-smi info")
