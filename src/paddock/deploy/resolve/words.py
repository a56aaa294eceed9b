"""Tells in sentences why demands conflict and what a correction would mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from paddock.deploy.catalog import Catalog, Level, Pairing
from paddock.deploy.resolve.conflict import Names, decisive_edges
from paddock.deploy.resolve.problem import Cell, Edge, Value
from paddock.deploy.resolve.solve import (
    ANY,
    VOUCHED,
    Arc,
    Domains,
    Solver,
    mask_of,
    propagate,
    reach,
)
from paddock.deploy.resolve.steps import Step, leading
from paddock.deploy.resolve.wish import UNVERIFIED

SHOWN = 4
"""Versions that a sentence names before it counts the others."""

BOUND_TO_MACHINE = ("chip", "arch", "capability")
"""Facts that nobody changes by installing something."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A smallest set of demands to give up: their texts, the sentence, what would come instead."""

    gives_up: tuple[str, ...]
    sentence: str
    instead: Mapping[str, str | None]


class Teller:
    """Words for the conflicts of one problem."""

    def __init__(self, catalog: Catalog, solver: Solver) -> None:
        self.catalog = catalog
        self.solver = solver
        self.variables = solver.problem.variables
        self._edges: dict[Names, tuple[Edge, ...]] = {}

    def cause(self, names: Names) -> tuple[str, ...]:
        """The chain of sentences from the first demand to the contradiction.

        Demands are applied one after the other, and whatever an edge then takes away is a step,
        until a variable has no value left. Cautions come last: without them there would be one.
        Only the steps that lead to the end are told.
        """
        cautions = {n for n in names if self.solver.demands[n].kind == "caution"}
        allowed = self.solver.allowed(names - cautions)
        domains = self.solver.domains(())
        steps: list[Step] = []
        for name in self._in_order(names):
            demand = self.solver.demands[name]
            after = self.solver.domains([name])
            for variable in demand.values:
                if not domains[variable] & after[variable]:
                    end = self._clash(name, variable, after[variable], domains, names)
                    chain = leading(steps, {variable})
                    return (*(chain or self._asked_before(variable, name, names)), end)
                domains[variable] &= after[variable]
            steps += self._spread(domains, names, allowed, list(demand.values))
            if not all(domains.values()):
                last = steps.pop()
                return (*leading(steps, {last.here, last.there}), last.text)
        ends = list(self._cautions(names, cautions, domains, allowed))
        if not ends:
            return ("these leave nothing together: " + ", ".join(map(self._text, sorted(names))),)
        involved = {variable for end in ends for variable in (end.here, end.there)}
        return (*leading(steps, involved), *(end.text for end in ends))

    def sources(self, names: Names) -> Iterator[str]:
        """Addresses of the rows that the conflict rests on."""
        wanted: dict[str, set[Value]] = {}
        for name in names:
            for variable, kept in self.solver.demands[name].values.items():
                wanted.setdefault(variable, set()).update(kept)
        for edge in self.edges(names):
            for row in self._rows(edge, wanted, names):
                yield self.catalog.sources[row.source].url

    def correction(self, names: Names, elsewhere: Names) -> Correction:
        """What giving up ``names`` leads to, the other knots undone by ``elsewhere``."""
        order = [d.name for d in self.solver.problem.demands]
        found = self.solver.best([n for n in order if n not in names | elsewhere])
        assert found is not None, "a correction leaves something possible"
        parts = []
        instead: dict[str, str | None] = {}
        given_up = sorted(names, key=order.index)
        for name in given_up:
            demand = self.solver.demands[name]
            changed = {v: found.values[v] for v in demand.values}
            changed = {v: new for v, new in changed.items() if new not in demand.values[v]}
            instead.update(changed)
            parts.append(self._give_up(name, changed))
        sentence = " and ".join(parts)
        texts = tuple(map(self._text, given_up))
        return Correction(texts, sentence[:1].upper() + sentence[1:], instead)

    def edges(self, names: Names) -> tuple[Edge, ...]:
        """The edges that the conflict rests on."""
        if names not in self._edges:
            numbers = decisive_edges(self.solver, names)
            self._edges[names] = tuple(self.solver.problem.edges[n] for n in numbers)
        return self._edges[names]

    def _rows(
        self, edge: Edge, wanted: Mapping[str, set[Value]], names: Names
    ) -> Sequence[Pairing]:
        rows = self.catalog.by_pair[edge.a, edge.b]
        reported = [row for row in rows if row.id in names]
        if reported:
            return reported
        rows = tuple(row for row in rows if row.level is not Level.reported_bad)
        for variable, side in ((edge.a, "subjects"), (edge.b, "objects")):
            values = wanted.get(variable, ())
            mine = [r for r in rows if any(getattr(r, side).holds(v) for v in values if v)]
            if mine:
                return mine
        return [row for row in rows if row.level is Level.official][:1]

    def _in_order(self, names: Names) -> list[str]:
        """Demands on subjects first, so that the chain runs as publishers say it."""
        objects = {edge.b for edge in self.edges(names)}
        demands = [d for d in self.solver.problem.demands if d.name in names and d.values]
        demands.sort(key=lambda d: any(variable in objects for variable in d.values))
        return [demand.name for demand in demands]

    def _spread(
        self, domains: Domains, names: Names, allowed: frozenset[str], changed: list[str]
    ) -> Iterator[Step]:
        """Narrows the domains along the edges; each step takes something away."""
        waiting = list(changed)
        while waiting:
            here = waiting.pop(0)
            for edge in self.edges(names):
                for arc in self.solver.arcs(edge, allowed):
                    if arc.here != here:
                        continue
                    left = domains[arc.there] & reach(domains[here], arc.masks[ANY])
                    if left == domains[arc.there]:
                        continue
                    vouched = domains[arc.there] & reach(domains[here], arc.masks[VOUCHED])
                    # What only an allowance leaves is told by the caution at the end.
                    if self._named(arc.there, vouched) or not left or vouched == left:
                        text = self._step(edge, here, domains, vouched)
                        yield Step(here, arc.there, text)
                    domains[arc.there] = left
                    if not left:
                        return
                    waiting.append(arc.there)

    def _step(self, edge: Edge, here: str, domains: Domains, left: int) -> str:
        there = edge.b if here == edge.a else edge.a
        mine = self._spell(here, domains[here])
        if not left and here == edge.b:
            return f"no {self._title(there)} goes with {mine}"
        if not left:
            return f"{mine} does not go with {self._spell(there, domains[there])}"
        if here == edge.a:
            return f"{mine} goes with {self._spell(there, left)}{self._remark(edge, domains)}"
        return f"for {mine} there is {self._spell(there, left)}"

    def _remark(self, edge: Edge, domains: Domains) -> str:
        """What the rows add about a subject that is one version by now."""
        mask = domains[edge.a]
        value = self.variables[edge.a][mask.bit_length() - 1]
        if mask & (mask - 1) or value is None:
            return ""
        rows = self.catalog.by_pair[edge.a, edge.b]
        official = [r for r in rows if r.why and r.level is Level.official]
        whys = {r.why for r in official if r.subjects.holds(value)}
        return f" ({min(whys)})" if len(whys) == 1 else ""

    def _asked_before(self, variable: str, name: str, names: Names) -> list[str]:
        """Where two demands contradict each other with nothing between them: the other one."""
        told = []
        for other in self._in_order(names):
            demand = self.solver.demands[other]
            if other == name or variable not in demand.values:
                continue
            mask = self.solver.domains([other])[variable]
            if demand.kind == "pin":
                told.append(f"you ask for {self._spell(variable, mask)} ({demand.text})")
            else:
                told.append(f"this host has {demand.text.removesuffix(' of this host')}")
        return told

    def _clash(self, name: str, variable: str, mask: int, domains: Domains, names: Names) -> str:
        """The last sentence: what is asked for or there, against what is left."""
        demand = self.solver.demands[name]
        refused = ""
        for edge in self.edges(names):
            if edge.b == variable and edge.refusals:
                places = [(i, j) for i, j in edge.refusals if domains[edge.a] >> i & 1]
                found = [edge.refusals[i, j] for i, j in places if mask >> j & 1]
                refused = f": {found[0]}" if found else ""
        if demand.kind == "fact":
            return f"but this host has {demand.text.removesuffix(' of this host')}{refused}"
        return f"but you ask for {self._spell(variable, mask)} ({demand.text}){refused}"

    def _cautions(
        self, names: Names, cautions: set[str], domains: Domains, allowed: frozenset[str]
    ) -> Iterator[Step]:
        """What is reported of the pairs that are left, and of which ones nothing is known."""
        graph: dict[str, list[Arc]] = {name: [] for name in domains}
        for edge in self.edges(names):
            for arc in self.solver.arcs(edge, allowed):
                graph[arc.here].append(arc)
        propagate(domains, graph, set(domains), ANY)
        ends: list[tuple[Edge, Cell, list[tuple[int, int]]]] = []
        for edge in self.edges(names):
            places: dict[str, list[tuple[int, int]]] = {}
            for (i, j), cell in edge.cells.items():
                if cell.needs in cautions and domains[edge.a] >> i & 1 and domains[edge.b] >> j & 1:
                    places.setdefault(cell.needs, []).append((i, j))
            ends += [(edge, edge.cells[found[0]], found) for found in places.values()]
        # What is reported says more than that nothing is known.
        for edge, cell, found in sorted(ends, key=lambda end: end[1].needs == UNVERIFIED):
            yield Step(edge.a, edge.b, self._doubtful(edge, cell, found))

    def _doubtful(self, edge: Edge, cell: Cell, places: Sequence[tuple[int, int]]) -> str:
        """A sentence about pairs that all need the same allowance; ``cell`` is one of them."""
        subject = self._spell(edge.a, mask_of(i for i, _ in places))
        both = subject
        if edge.b != "arch":  # paired with that only to be bad everywhere
            both += f" with {self._spell(edge.b, mask_of(j for _, j in places))}"
        if cell.needs != UNVERIFIED:
            return f"{both} is reported bad: {cell.rows[0].why}"
        left_open = edge.cells.get((places[0][0], self._open(edge.b)))
        if left_open is not None and left_open.needs == UNVERIFIED:
            return f"no public source says which {self._title(edge.b)} {subject} needs"
        rule = f": {cell.rule}" if len(places) == 1 else ""
        return f"no public source says that {both} works{rule}"

    def _open(self, variable: str) -> int:
        """The place of the value that leaves a variable open; -1 if it has none."""
        values = self.variables[variable]
        return values.index(None) if None in values else -1

    def _named(self, variable: str, mask: int) -> bool:
        """Whether a mask holds a version, and not only leaving it open."""
        place = self._open(variable)
        return bool(mask & ~(1 << place) if place >= 0 else mask)

    def _give_up(self, name: str, values: Mapping[str, Value]) -> str:
        demand = self.solver.demands[name]
        new = " and ".join(
            f"{self._title(v)} {new}" if new else self._without(v) for v, new in values.items()
        )
        if demand.kind == "caution":
            return f"accept it with --allow {name}"
        if demand.kind == "pin":
            return f"give up {demand.text}: {new}"
        if name in BOUND_TO_MACHINE:
            return f"take another machine: {new}"
        return f"replace {demand.text}: {new}"

    def _without(self, variable: str) -> str:
        """What no version means: at the end of the values given up, else not known."""
        if self.variables[variable][-1] is None:
            return f"leave {self._title(variable)} out"
        return f"no source says which {self._title(variable)}"

    def _text(self, name: str) -> str:
        return self.solver.demands[name].text

    def _title(self, variable: str) -> str:
        component = self.catalog.components[variable]
        return variable if component.kind == "setting" else component.title

    def _spell(self, variable: str, mask: int) -> str:
        """``CANN toolkit 8.0.0, 8.0.RC3 or 4 older``."""
        values = [v for i, v in enumerate(self.variables[variable]) if mask >> i & 1 and v]
        if not values:
            return f"no {self._title(variable)}"
        scheme = self.catalog.components[variable].scheme
        if scheme == "python":  # 3.9 stands for 3.9.7 too
            whole = {v for v in values if v.count(".") == 1}
            values = [v for v in values if v in whole or v.rpartition(".")[0] not in whole]
        shown = values if len(values) <= SHOWN else values[: SHOWN - 1]
        more = len(values) - len(shown)
        if more:
            shown = [*shown, f"{more} {'others' if scheme == 'name' else 'older'}"]
        spelled = " or ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
        return f"{self._title(variable)} {spelled}".strip()
