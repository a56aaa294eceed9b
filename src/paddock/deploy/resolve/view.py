"""The few facts of a host that decide which versions fit, taken from ``Host`` or given by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from paddock.deploy.catalog import Catalog
from paddock.deploy.resolve.driver import VersionFile
from paddock.errors import UsageError, nearest

if TYPE_CHECKING:
    from paddock.deploy.host import Host
    from paddock.deploy.host.facts import Component

ACCELERATORS = ("ascend", "nvidia", "cpu")


@dataclass(frozen=True, slots=True)
class HostView:
    """What a resolver needs to know of a machine. None: not known, so not taken into account.

    ``chip`` is the catalogue's generation (``910``, ``910b``), ``chip_name`` what npu-smi prints.
    ``driver`` and ``firmware`` are those installed, with their version files; ``toolkits`` the
    installed CANN toolkits by version, whose files go before the catalogue's. ``os`` reads
    ``ubuntu:20.04``, ``apt`` names the list its sources come from. ``capability`` is the lowest
    compute capability of the GPUs.
    """

    accelerator: str = "cpu"
    chip: str | None = None
    chip_name: str | None = None
    arch: str = "x86_64"
    os: str | None = None
    glibc: str | None = None
    apt: str | None = None
    driver: VersionFile | None = None
    firmware: VersionFile | None = None
    toolkits: Mapping[str, VersionFile] = field(default_factory=dict)
    nvidia_driver: str | None = None
    capability: str | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The facts as plain JSON values; what is not known is left out."""
        found: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, VersionFile):
                value = _plain(value)
            elif isinstance(value, Mapping):
                value = {name: _plain(file) for name, file in value.items()}
            elif isinstance(value, tuple):
                value = list(value)
            if value:
                found[each.name] = value
        return found

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HostView:
        """The facts that ``to_dict`` gave; raises UsageError for an unknown or unfitting key."""
        known = {each.name for each in fields(cls)}
        if unknown := set(values) - known:
            name = min(unknown)
            raise UsageError(f"unknown fact {name!r} of a host{nearest(name, known)}")
        given = dict(values)
        try:
            for name in ("driver", "firmware"):
                if name in given:
                    given[name] = _version_file(given[name])
            toolkits = {k: _version_file(v) for k, v in given.get("toolkits", {}).items()}
            view = cls(**{**given, "toolkits": toolkits, "notes": tuple(given.get("notes", ()))})
        except (TypeError, AttributeError) as error:
            raise UsageError(f"these are not facts of a host: {error}") from error
        if view.accelerator not in ACCELERATORS:
            raise UsageError(
                f"the accelerator is {view.accelerator!r}, which is none of "
                f"{', '.join(ACCELERATORS)}"
            )
        return view

    def with_(self, **changes: Any) -> HostView:
        """A copy with other facts."""
        return replace(self, **changes)


def _plain(file: VersionFile) -> dict[str, Any]:
    plain: dict[str, Any] = {"version": file.version}
    if file.inner:
        plain["inner"] = file.inner
    if file.compatible:
        plain["compatible"] = list(file.compatible)
    if file.partners:
        plain["partners"] = file.partners
    if file.origin != "catalogue":
        plain["origin"] = file.origin
    return plain


def _version_file(value: Any) -> VersionFile:
    if isinstance(value, str):
        return VersionFile(value)
    return VersionFile(**{**value, "compatible": tuple(value.get("compatible", ()))})


def from_host(host: Host, catalog: Catalog, *, arch: str | None = None) -> HostView:
    """The view of a ``Host``. Says in ``notes`` what it could not tell, and guesses nothing.

    ``arch`` stands in where the facts do not have the architecture (a recording of npu-smi alone).
    Raises UsageError where there is none, or another one.
    """
    notes: list[str] = []
    system = host.system
    view = HostView(
        arch=_arch(system.arch, arch),
        os=f"{system.id}:{system.version}" if system.id and system.version else None,
        glibc=system.libc_version if system.libc == "glibc" else None,
        apt=_apt(host, catalog),
    )
    if _has_ascend(host, catalog):
        view = view.with_(**_ascend(host, catalog, notes))
    elif host.nvidia and host.nvidia.gpus:
        view = view.with_(**_nvidia(host, notes))
    else:
        view = view.with_(chip="cpu")
    return view.with_(notes=tuple(notes))


def _arch(found: str | None, given: str | None) -> str:
    known = {"arm64": "aarch64", "amd64": "x86_64"}.get(found or "", found)
    if known and given and known != given:
        raise UsageError(f"the machine is {known} and not {given}", hint="leave --arch away")
    if not (known or given):
        raise UsageError("the facts do not tell the processor's architecture", hint="give --arch")
    return known or given or ""


def _nvidia(host: Host, notes: list[str]) -> dict[str, Any]:
    assert host.nvidia is not None
    numbers = {gpu.compute_capability for gpu in host.nvidia.gpus if gpu.compute_capability}
    ordered = sorted(numbers, key=lambda number: [int(part) for part in number.split(".")])
    if len(ordered) > 1:
        notes.append(f"GPUs of compute capability {', '.join(ordered)}: the lowest decides here")
    return {
        "accelerator": "nvidia",
        "chip": "nvidia",
        "chip_name": host.nvidia.gpus[0].name,
        "nvidia_driver": host.nvidia.driver_version,
        "capability": ordered[0] if ordered else None,
    }


def _ascend(host: Host, catalog: Catalog, notes: list[str]) -> dict[str, Any]:
    assert host.ascend is not None
    components = host.ascend.components
    names = {npu.name for npu in host.ascend.npus if npu.name}
    devices = {npu.pci_device for npu in host.ascend.npus if npu.pci_device}
    devices |= set(_pci(host, "19e5", catalog))
    chips = _chips(catalog, devices, names)
    if len(chips) > 1:
        notes.append(f"chips of different generations are installed: {', '.join(chips)}")
    elif not chips:
        seen = ", ".join(sorted(names | devices)) or "nothing that names one was read"
        notes.append(f"the chip is not known: {seen}")
    driver = _file(components, "driver")
    smi = host.ascend.npu_smi
    if driver is None and smi is not None and smi.driver_version:
        driver = VersionFile(smi.driver_version, origin="npu-smi")
        notes.append("driver/version.info was not read; the driver's version is npu-smi's")
    toolkits = {c.version: _read(c) for c in components if c.kind == "toolkit" and c.version}
    return {
        "accelerator": "ascend",
        "chip": chips[0] if len(chips) == 1 else None,
        "chip_name": min(names) if len(names) == 1 else None,
        "driver": driver,
        "firmware": _file(components, "firmware"),
        "toolkits": toolkits,
    }


def _has_ascend(host: Host, catalog: Catalog) -> bool:
    """Whether there are Ascend chips, or at least what only a host with some has."""
    found = host.ascend
    if found is None:
        return False
    driver = any(component.kind == "driver" for component in found.components)
    return bool(found.npus or driver or found.nodes or _pci(host, "19e5", catalog))


def _chips(catalog: Catalog, devices: set[str], names: set[str]) -> list[str]:
    """Generations by PCI id, which does not lie; by name only where there is no id."""
    releases = catalog.releases["chip"]
    by_id = [r.version for r in releases if r.facts.get("pci") in devices]
    return by_id or [r.version for r in releases if names & set(r.facts.get("names", "").split())]


def _pci(host: Host, vendor: str, catalog: Catalog) -> list[str]:
    known = {release.facts.get("pci") for release in catalog.releases["chip"]}
    return [p.device for p in host.pci if p.vendor == vendor and p.device in known]


def _file(components: Iterable[Component], kind: str) -> VersionFile | None:
    found = [c for c in components if c.kind == kind and c.version]
    active = [c for c in found if c.active]
    return _read((active or found)[0]) if found else None


def _read(component: Component) -> VersionFile:
    assert component.version is not None
    return VersionFile(
        version=component.version,
        inner=component.inner_version,
        compatible=tuple(c.strip("[]") for c in component.compatible),
        partners=component.compatible_firmware or component.compatible_driver,
        origin=component.path,
    )


def _apt(host: Host, catalog: Catalog) -> str | None:
    """The list that the apt sources come from; the wrong one if there is one."""
    known = set(catalog.newest_first("apt"))
    lists = []
    for index in host.indexes:
        if index.tool == "apt" and index.suite:
            ports = "Ports-" if "ports" in index.url else ""
            lists.append(f"Ubuntu-{ports}{index.suite.partition('-')[0]}")
    found = [name for name in lists if name in known]
    wrong = [name for name in found if not name.endswith(f"-{host.system.codename}")]
    return next(iter((*wrong, *found)), None)
