"""Turns catalogue, host and wish into a constraint problem: variables, edges and demands.

A variable is a component with its possible versions, best first. An edge joins two of them and
knows for each pair of versions what it costs: nothing if official, more if derived, and what
nobody vouches for only if it was allowed. A demand is something that could be given up: a pin, a
fact of this host, the refusal of a pair that is reported bad.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from paddock.deploy.catalog import Catalog, Level, Pairing, Recipe
from paddock.deploy.catalog.versions import Range, is_final, key
from paddock.deploy.resolve.driver import Verdict, VersionFile, pair, same, within
from paddock.deploy.resolve.view import HostView
from paddock.deploy.resolve.wish import UNVERIFIED, Wish
from paddock.errors import UsageError

Value = str | None
"""A version, or None for a component that is left out because nothing says which one."""

DERIVED, NOT_VERIFIED, REPORTED_BAD = 1, 10**3, 10**6
"""Costs: one doubtful pair outweighs any number of derived ones, and a bad one those."""

COST = {Level.official: 0, Level.derived: DERIVED, Level.reported_bad: REPORTED_BAD}


@dataclass(frozen=True, slots=True)
class Cell:
    """One pair of versions: what it costs, the row or rule that says so, the id that allows it.

    ``rows`` is empty where no row speaks of the pair; ``needs`` is what must be allowed, or "".
    """

    cost: int
    rows: tuple[Pairing, ...] = ()
    needs: str = ""
    rule: str = ""


@dataclass(frozen=True, eq=False)
class Edge:
    """The pairs of two variables that go together. A pair that is not in ``cells`` does not.

    ``a`` is the subject: the side whose publisher says what it needs. ``refusals`` say of pairs
    that a rule refuses why it does.
    """

    a: str
    b: str
    cells: Mapping[tuple[int, int], Cell]
    refusals: Mapping[tuple[int, int], str] = field(default_factory=dict)

    @cached_property
    def names(self) -> frozenset[str]:
        """Everything that can be allowed on this edge."""
        return frozenset(cell.needs for cell in self.cells.values() if cell.needs)


@dataclass(frozen=True)
class Demand:
    """Something insisted on that could be given up.

    ``kind`` is ``pin``, ``fact`` (of this host) or ``caution``; ``text`` says it in the words of a
    sentence. A pin or fact restricts variables to the values in ``values``; a caution refuses the
    pairs that ``name`` would allow.
    """

    kind: str
    name: str
    text: str
    values: Mapping[str, frozenset[Value]]


@dataclass(frozen=True)
class Problem:
    """Variables in order of importance with their values best first, edges and demands."""

    variables: Mapping[str, tuple[Value, ...]]
    edges: tuple[Edge, ...]
    demands: tuple[Demand, ...]
    allowed: frozenset[str]


def build(catalog: Catalog, view: HostView, wish: Wish) -> Problem:
    """The problem; raises UsageError where the catalogue has no recipe for such a stack."""
    recipe = catalog.recipe(wish.framework, view.accelerator)
    if recipe is None:
        known = [r.framework for r in catalog.recipes if r.accelerator == view.accelerator]
        raise UsageError(
            f"the catalogue knows no stack of {wish.framework} on {view.accelerator}",
            hint=f"on {view.accelerator} it knows {', '.join(known)}",
        )
    restrictions = [*_wishes(catalog, wish), *_facts(view, wish, recipe)]
    names = _variables(recipe, wish, restrictions)
    restrictions = [d for d in restrictions if set(d.values) <= set(names)]
    variables = {
        name: _values(catalog, recipe, name, wish, restrictions) for name in names
    }
    demands = [_narrow(catalog, demand, variables) for demand in restrictions]
    edges = tuple(_edges(catalog, view, recipe, variables))
    cautions = sorted({name for edge in edges for name in edge.names} - wish.allow)
    demands += [
        Demand("caution", name, f"--allow {name} was not given", {}) for name in cautions
    ]
    return Problem(variables, edges, tuple(demands), wish.allow)


def _facts(view: HostView, wish: Wish, recipe: Recipe) -> Iterator[Demand]:
    """What the host brings. An image has an operating system of its own."""
    pinned = {pin.component for pin in wish.pins}
    inside = view.with_(os=None, glibc=None, apt=None) if "image" in pinned else view
    facts = {
        "driver": (view.driver and view.driver.version, "the driver"),
        "firmware": (view.firmware and view.firmware.version, "the firmware"),
        "nvidia_driver": (view.nvidia_driver, "the driver"),
        "capability": (view.capability, "the compute capability"),
        "apt": (inside.apt, "the package list"),
        "os": (inside.os, "the system"),
        "glibc": (None if inside.os else inside.glibc, "glibc"),
        "chip": (view.chip, "the chip"),
        "arch": (view.arch, "the architecture"),
    }
    for name, (value, what) in facts.items():
        # A pin of what the host has asks how it would be with another one.
        if value is None or name in pinned:
            continue
        values = {name: frozenset[Value]([value])}
        text = f"{what} {value} of this host"
        if name == "os" and inside.glibc and "glibc" in recipe.components:
            # One thing to a person: nobody replaces the C library alone.
            values["glibc"] = frozenset([inside.glibc])
            text = f"{what} {value} (glibc {inside.glibc}) of this host"
        yield Demand("fact", name, text, values)


def _wishes(catalog: Catalog, wish: Wish) -> Iterator[Demand]:
    """One demand for each option; ``kernels=910b_7.0.0`` is one that restricts two variables."""
    if wish.model is not None:
        text = f"--model {wish.model}"
        yield Demand("pin", text, text, {"model": frozenset([wish.model])})
    options: dict[str, dict[str, frozenset[Value]]] = {}
    for pin in wish.pins:
        known = dict.fromkeys((*catalog.newest_first(pin.component), *pin.versions.exact()))
        held = frozenset[Value](v for v in known if pin.versions.holds(v))
        options.setdefault(pin.text, {})[pin.component] = held
    for text, values in options.items():
        yield Demand("pin", text, text, values)
    for name in wish.with_:
        text = f"--with {name}"
        yield Demand("pin", text, text, {name: frozenset(catalog.newest_first(name))})


def _variables(recipe: Recipe, wish: Wish, restrictions: list[Demand]) -> list[str]:
    asked = {name for demand in restrictions for name in demand.values}
    if "image" in asked:
        asked |= {"os", "glibc"}  # those of the image
    names = [n for n in recipe.components if n in asked or n not in recipe.on_demand]
    pinned = {pin.component for pin in wish.pins} | set(wish.with_)
    if missing := sorted(pinned - set(names)):
        raise UsageError(
            f"a stack of {recipe.framework} on {recipe.accelerator} has no {missing[0]}",
            hint=f"it has {', '.join(recipe.components)}",
        )
    return names


def _values(
    catalog: Catalog, recipe: Recipe, name: str, wish: Wish, restrictions: list[Demand]
) -> tuple[Value, ...]:
    """The versions of a variable, best first: finals, then pre-releases.

    None comes first where it means that nothing says which version is needed, and last where it
    means that the component is given up.
    """
    scheme = catalog.components[name].scheme
    found = {v: None for v in catalog.newest_first(name)}
    for demand in restrictions:
        for value in demand.values.get(name, ()):
            release = catalog.release(name, value) if value else None
            if value and release is None:
                found[value] = None
    values = list(found)
    if scheme != "name":
        values.sort(key=lambda v: key(v, scheme), reverse=True)
        if not (wish.pre and name == recipe.components[0]):
            values.sort(key=lambda v: not is_final(v, scheme))
    if name in recipe.optional:
        return (None, *values)
    asked = any(d.kind == "pin" and name in d.values for d in restrictions)
    return (*values, None) if asked and name in recipe.on_demand else tuple(values)


def _narrow(
    catalog: Catalog, demand: Demand, variables: Mapping[str, tuple[Value, ...]]
) -> Demand:
    """The demand in the catalogue's spelling (``24.1.RC2`` of a host is ``24.1.rc2`` here)."""
    values = {}
    for name, wanted in demand.values.items():
        spelled = set()
        for value in wanted:
            release = catalog.release(name, value) if value else None
            spelled.add(release.version if release else value)
        values[name] = frozenset(v for v in variables[name] if v in spelled)
    return Demand(demand.kind, demand.name, demand.text, values)


def _edges(
    catalog: Catalog,
    view: HostView,
    recipe: Recipe,
    variables: Mapping[str, tuple[Value, ...]],
) -> Iterator[Edge]:
    for (a, b), rows in catalog.by_pair.items():
        if a not in variables or b not in variables:
            continue
        for further in (False, True):
            mine = tuple(
                row
                for row in rows
                if row.further is further and set(row.only_with) <= set(variables)
            )
            if not mine:
                continue
            refusals: dict[tuple[int, int], str] = {}
            if (a, b) == ("cann", "driver"):
                cells = _driver_cells(catalog, view, variables, mine, refusals)
            elif (a, b) == ("driver", "firmware"):
                cells = _firmware_cells(catalog, view, variables, mine)
            else:
                cells = _cells(variables[a], variables[b], mine)
            if b in recipe.essential and not further:
                _essential(catalog, (a, b), mine, variables, cells)
            if variables[b][-1] is None:
                place = variables[b].index(None)  # given up, which harms nobody
                cells.update({(i, place): Cell(0) for i in range(len(variables[a]))})
            yield Edge(a, b, cells, refusals)


def _cells(
    subjects: tuple[Value, ...], objects: tuple[Value, ...], rows: tuple[Pairing, ...]
) -> dict[tuple[int, int], Cell]:
    """What the rows say of each pair; see ``Pairing`` for what a silent row means."""
    about: list[list[Pairing]] = [[] for _ in subjects]
    places = {row: _held(row.objects, objects) for row in rows}
    for row in rows:
        for i in _held(row.subjects, subjects):
            about[i].append(row)
    cells: dict[tuple[int, int], Cell] = {}
    for i, mine in enumerate(about):
        stated = any(row.level is not Level.reported_bad for row in mine)
        matching: dict[int, list[Pairing]] = {}
        for row in mine:
            for j in places[row]:
                matching.setdefault(j, []).append(row)
        # Nothing else goes with a subject that states what it goes with.
        for j in matching if stated else range(len(objects)):
            cell = _cell(matching.get(j, []), open_=not stated)
            if cell is not None:
                cells[i, j] = cell
    return cells


def _silent(rows: tuple[Pairing, ...], values: tuple[Value, ...]) -> list[int]:
    """Places of the subjects of which no row says what they go with."""
    stated = {i for row in rows if row.level is not Level.reported_bad
              for i in _held(row.subjects, values)}  # fmt: skip
    return [i for i, value in enumerate(values) if value is not None and i not in stated]


def _essential(
    catalog: Catalog,
    pair: tuple[str, str],
    rows: tuple[Pairing, ...],
    variables: Mapping[str, tuple[Value, ...]],
    cells: dict[tuple[int, int], Cell],
) -> None:
    """Where a release leaves open what no stack can be without, nobody vouches for it."""
    a, b = pair
    if catalog.components[a].kind != "software":
        return
    rule = f"no public source says which {catalog.components[b].title} it needs"
    for i in _silent(rows, variables[a]):
        for j in range(len(variables[b])):
            cells[i, j] = Cell(NOT_VERIFIED, needs=UNVERIFIED, rule=rule)


def _held(versions: Range, values: tuple[Value, ...]) -> list[int]:
    """Places of the values that a range holds."""
    if all(c[0][0] == "==" and len(c) == 1 for c in versions.alternatives):
        exact = versions.exact()
        places = [i for i, value in enumerate(values) if value in exact]
        if len(places) == len(exact):  # otherwise something is spelled in another way
            return places
    return [i for i, value in enumerate(values) if value is not None and versions.holds(value)]


def _cell(matching: list[Pairing], *, open_: bool) -> Cell | None:
    bad = [row for row in matching if row.level is Level.reported_bad]
    good = [row for row in matching if row.level is not Level.reported_bad]
    if bad:
        return Cell(REPORTED_BAD, (*bad, *good), bad[0].id)
    if not good:
        return Cell(0) if open_ else None
    best = sorted(good, key=lambda row: COST[row.level])
    return Cell(COST[best[0].level], tuple(best))


def _driver_cells(
    catalog: Catalog,
    view: HostView,
    variables: Mapping[str, tuple[Value, ...]],
    rows: tuple[Pairing, ...],
    refusals: dict[tuple[int, int], str],
) -> dict[tuple[int, int], Cell]:
    """Matched pairs first, the rule of families where there is none, bad ones over both."""
    toolkits, drivers = variables["cann"], variables["driver"]
    cells = _cells(toolkits, drivers, rows)
    for i, toolkit in enumerate(toolkits):
        for j, driver in enumerate(drivers):
            if toolkit is None or driver is None:
                continue
            cell = cells.get((i, j))
            if cell is not None and any(r.level is Level.official for r in cell.rows):
                continue
            bad = [r for r in rows if r.level is Level.reported_bad]
            bad = [r for r in bad if r.subjects.holds(toolkit) and r.objects.holds(driver)]
            one, other = toolkit_file(catalog, view, toolkit), driver_file(catalog, view, driver)
            ruled = _ruled(one, other, pair(one, other))
            cells.pop((i, j), None)
            if bad:
                cells[i, j] = Cell(REPORTED_BAD, tuple(bad), bad[0].id)
            elif ruled is not None:
                cells[i, j] = ruled
            else:
                refusals[i, j] = (
                    f"the toolkit is {one.family} and works with {_short(one)}, "
                    f"the driver is {other.family} and works with {_short(other)}"
                )
    return cells


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


def _firmware_cells(
    catalog: Catalog,
    view: HostView,
    variables: Mapping[str, tuple[Value, ...]],
    rows: tuple[Pairing, ...],
) -> dict[tuple[int, int], Cell]:
    """Matched pairs, and what lies in the intervals that driver and firmware print."""
    cells = _cells(variables["driver"], variables["firmware"], rows)
    for i, driver in enumerate(variables["driver"]):
        for j, firmware in enumerate(variables["firmware"]):
            if driver is None or firmware is None or _vouched(cells.get((i, j))):
                continue
            mine = driver_file(catalog, view, driver).partners
            file = view.firmware
            theirs = file.partners if file and same(file.version, firmware) else None
            said = [
                within(firmware, mine) if mine else None,
                within(driver, theirs) if theirs else None,
            ]
            cells.pop((i, j), None)
            if False in said:
                continue
            if True in said:
                cells[i, j] = Cell(DERIVED, rule="it lies in the interval that the files print")
            elif file and same(file.version, firmware):
                # Both are on the host already, and nothing says that they do not fit.
                cells[i, j] = Cell(0)
    return cells


def _vouched(cell: Cell | None) -> bool:
    return cell is not None and bool(cell.rows)


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
