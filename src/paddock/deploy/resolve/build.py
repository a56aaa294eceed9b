"""Turns catalogue, host and wish into a constraint problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from paddock.deploy.catalog import Catalog, Pairing, Recipe
from paddock.deploy.catalog.versions import is_final, key
from paddock.deploy.resolve import hdk
from paddock.deploy.resolve.cells import from_rows, silent
from paddock.deploy.resolve.problem import NOT_VERIFIED, Cell, Demand, Edge, Problem, Value
from paddock.deploy.resolve.view import HostView
from paddock.deploy.resolve.wish import UNVERIFIED, Wish
from paddock.errors import UsageError

Variables = Mapping[str, tuple[Value, ...]]


def build(catalog: Catalog, view: HostView, wish: Wish) -> Problem:
    """The problem; raises UsageError where the catalogue has no recipe for such a stack."""
    recipe = catalog.recipe(wish.framework, view.accelerator)
    if recipe is None:
        known = [r.framework for r in catalog.recipes if r.accelerator == view.accelerator]
        raise UsageError(
            f"the catalogue knows no stack of {wish.framework} on {view.accelerator}",
            hint=f"on {view.accelerator} it knows {', '.join(known)}",
        )
    if view.chip is None and not any(pin.component == "chip" for pin in wish.pins):
        raise UsageError(
            "; ".join(view.notes) or "the chip is not known", hint="name it with --pin chip="
        )
    restrictions = [*_wishes(catalog, wish), *_facts(view, wish, recipe)]
    names = _variables(recipe, wish, restrictions)
    restrictions = [d for d in restrictions if set(d.values) <= set(names)]
    variables = {name: _values(catalog, recipe, name, wish, restrictions) for name in names}
    demands = [_narrow(catalog, demand, variables) for demand in restrictions]
    edges = tuple(_edges(catalog, view, recipe, variables))
    cautions = sorted({name for edge in edges for name in edge.names} - wish.allow)
    demands += [Demand("caution", name, f"--allow {name} was not given", {}) for name in cautions]
    return Problem(variables, edges, tuple(demands), wish.allow)


def _facts(view: HostView, wish: Wish, recipe: Recipe) -> Iterator[Demand]:
    """What the host brings. An image has an operating system of its own."""
    pinned = {pin.component for pin in wish.pins}
    inside = view.with_(os=None, glibc=None, apt=None) if "image" in pinned else view
    facts: dict[str, tuple[str | None, str]] = {
        "driver": (view.driver.version if view.driver else None, "the driver"),
        "firmware": (view.firmware.version if view.firmware else None, "the firmware"),
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
    for name in dict.fromkeys(wish.with_):
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
    found = dict.fromkeys(catalog.newest_first(name))
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


def _narrow(catalog: Catalog, demand: Demand, variables: Variables) -> Demand:
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
    catalog: Catalog, view: HostView, recipe: Recipe, variables: Variables
) -> Iterator[Edge]:
    """One edge for each pair of variables that rows speak of, a second for further conditions."""
    for (a, b), rows in catalog.by_pair.items():
        if a not in variables or b not in variables:
            continue
        applying = [row for row in rows if set(row.only_with) <= set(variables)]
        for further in (False, True):
            mine = tuple(row for row in applying if row.further is further)
            if not mine:
                continue
            if (a, b) == ("cann", "driver"):
                yield hdk.toolkit_and_driver(catalog, view, variables, mine)
            elif (a, b) == ("driver", "firmware"):
                yield hdk.driver_and_firmware(catalog, view, variables, mine)
            else:
                essential = b in recipe.essential and catalog.components[a].kind == "software"
                doubt = catalog.components[b].title if essential and not further else ""
                yield _edge(a, b, variables[a], variables[b], mine, doubt)


@lru_cache(maxsize=1024)
def _edge(
    a: str,
    b: str,
    subjects: tuple[Value, ...],
    objects: tuple[Value, ...],
    rows: tuple[Pairing, ...],
    doubt: str,
) -> Edge:
    """The edge that rows make; the same versions of two components meet in many problems.

    With ``doubt``, a component's title, nobody vouches for a subject that leaves the object open:
    no stack can be without it.
    """
    cells = from_rows(subjects, objects, rows)
    if doubt:
        rule = f"no public source says which {doubt} it needs"
        for i in silent(rows, subjects):
            for j in range(len(objects)):
                cells[i, j] = Cell(NOT_VERIFIED, needs=UNVERIFIED, rule=rule)
    if objects[-1] is None:
        place = objects.index(None)  # given up, which harms nobody
        cells.update({(i, place): Cell(0) for i in range(len(subjects))})
    return Edge(a, b, cells)
