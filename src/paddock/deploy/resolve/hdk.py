"""The pairs that version files decide: toolkit with driver, driver with firmware.

Matched pairs of the catalogue go first, then the rule of ``driver``, over the host's own files
where it has them. What is reported bad goes over both.
"""

from __future__ import annotations

from collections.abc import Mapping

from paddock.deploy.catalog import Catalog, Pairing
from paddock.deploy.resolve.cells import from_rows
from paddock.deploy.resolve.driver import Verdict, VersionFile, pair, same, within
from paddock.deploy.resolve.problem import DERIVED, NOT_VERIFIED, Cell, Edge, Value
from paddock.deploy.resolve.view import HostView
from paddock.deploy.resolve.wish import UNVERIFIED

Variables = Mapping[str, tuple[Value, ...]]


def toolkit_and_driver(
    catalog: Catalog,
    view: HostView,
    variables: Variables,
    rows: tuple[Pairing, ...],
) -> Edge:
    """The pairs of ``cann`` and ``driver``, and why the rule refuses others."""
    refusals: dict[tuple[int, int], str] = {}
    toolkits = [v and toolkit_file(catalog, view, v) for v in variables["cann"]]
    drivers = [v and driver_file(catalog, view, v) for v in variables["driver"]]
    cells = from_rows(variables["cann"], variables["driver"], rows)
    for i, toolkit in enumerate(toolkits):
        for j, driver in enumerate(drivers):
            known = cells[i, j].rows if (i, j) in cells else ()
            if toolkit and driver and not known:
                ruled = _ruled(toolkit, driver, pair(toolkit, driver))
                cells.pop((i, j), None)
                if ruled is not None:
                    cells[i, j] = ruled
                else:
                    refusals[i, j] = (
                        f"the toolkit is {toolkit.family} and works with {_short(toolkit)}, "
                        f"the driver is {driver.family} and works with {_short(driver)}"
                    )
    return Edge("cann", "driver", cells, refusals)


def _ruled(one: VersionFile, other: VersionFile, verdict: Verdict) -> Cell | None:
    families = f"{one.family or 'unknown'} and {other.family or 'unknown'}"
    if verdict is Verdict.admitted:
        return Cell(DERIVED, rule=f"the version files admit the families {families}")
    if verdict is Verdict.unknown:
        rule = f"the version files that are known do not tell (families {families})"
        return Cell(NOT_VERIFIED, needs=UNVERIFIED, rule=rule)
    return None


def _short(file: VersionFile) -> str:
    """The families a version file lists, without what they have in common."""
    return ", ".join(name.replace("V100R001", "") for name in file.compatible)


def driver_and_firmware(
    catalog: Catalog, view: HostView, variables: Variables, rows: tuple[Pairing, ...]
) -> Edge:
    """The pairs of ``driver`` and ``firmware``: matched, or in the intervals that both print."""
    cells = from_rows(variables["driver"], variables["firmware"], rows)
    drivers = [v and driver_file(catalog, view, v) for v in variables["driver"]]
    for i, driver in enumerate(drivers):
        for j, firmware in enumerate(variables["firmware"]):
            if not driver or not firmware or ((i, j) in cells and cells[i, j].rows):
                continue
            cells.pop((i, j), None)
            ruled = _within(view, driver, firmware)
            if ruled is not None:
                cells[i, j] = ruled
    return Edge("driver", "firmware", cells)


def _within(view: HostView, driver: VersionFile, firmware: str) -> Cell | None:
    installed = view.firmware if view.firmware and same(view.firmware.version, firmware) else None
    said = [within(firmware, driver.partners) if driver.partners else None]
    if installed and installed.partners:
        said.append(within(driver.version, installed.partners))
    if False in said:
        return None
    if True in said:
        return Cell(DERIVED, rule="it lies in the interval that the files print")
    # Both are on the host already, and nothing says that they do not fit.
    return Cell(0) if installed else None


def toolkit_file(catalog: Catalog, view: HostView, version: str) -> VersionFile:
    """What a toolkit says of itself: the host's own file if it is installed, else the catalogue."""
    for name, file in view.toolkits.items():
        if same(name, version) and file.inner:
            return file
    return _from_catalogue(catalog, "cann", version)


def driver_file(catalog: Catalog, view: HostView, version: str) -> VersionFile:
    """What a driver says of itself: the host's own file if it is installed, else the catalogue."""
    if view.driver and same(view.driver.version, version) and view.driver.inner:
        return view.driver
    return _from_catalogue(catalog, "driver", version)


def _from_catalogue(catalog: Catalog, component: str, version: str) -> VersionFile:
    release = catalog.release(component, version)
    facts = release.facts if release else {}
    return VersionFile(
        version,
        facts.get("inner"),
        tuple(facts.get("compatible", "").split()),
        facts.get("firmware_range"),
    )
