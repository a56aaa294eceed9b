"""A complete search over a Problem: the best assignment, or the proof that there is none.

Domains are bit masks, so that keeping the values of neighbours consistent (arc consistency) costs
a few integer operations. The search is depth first over the variables in order of importance,
values best first, and cuts what cannot cost less than the best found: the first assignment that it
reaches among the cheapest is therefore the newest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from paddock.deploy.resolve.problem import (
    DERIVED,
    NOT_VERIFIED,
    REPORTED_BAD,
    Demand,
    Edge,
    Problem,
    Value,
)

UNBOUNDED = 10**12
STEPS = (0, DERIVED, NOT_VERIFIED, REPORTED_BAD)
"""The kinds of pairs by cost: masks hold, for each step, the pairs that cost at most this."""

VOUCHED = STEPS.index(DERIVED)
"""The step up to which somebody vouches for a pair."""

ANY = len(STEPS) - 1

Domains = dict[str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """An assignment of every variable and what it costs in all."""

    values: Mapping[str, Value]
    cost: int


@dataclass(frozen=True, slots=True)
class Arc:
    """One direction of an edge: for each value here, the mask of values there, by cost step."""

    here: str
    there: str
    masks: tuple[tuple[int, ...], ...]


class Solver:
    """Answers questions about one Problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.demands = {demand.name: demand for demand in problem.demands}
        assert len(self.demands) == len(problem.demands), "demands have names of their own"
        self._full = {name: (1 << len(v)) - 1 for name, v in problem.variables.items()}

    def with_demand(self, demand: Demand) -> Solver:
        """A solver of the same problem with one demand more."""
        problem = self.problem
        return Solver(
            Problem(problem.variables, problem.edges, (demand, *problem.demands), problem.allowed)
        )

    def domains(self, demands: Collection[str]) -> Domains:
        """The values that the named pins and facts leave."""
        found = dict(self._full)
        for name in demands:
            for variable, values in self.demands[name].values.items():
                mask = 0
                for i, value in enumerate(self.problem.variables[variable]):
                    mask |= (value in values) << i
                found[variable] &= mask
        return found

    def allowed(self, demands: Collection[str]) -> frozenset[str]:
        """What may be used: what was allowed, and the cautions that are not among ``demands``."""
        cautions = {d.name for d in self.problem.demands if d.kind == "caution"}
        return self.problem.allowed | (cautions - set(demands))

    def feasible(self, demands: Collection[str], edges: Sequence[int] | None = None) -> bool:
        """Whether anything at all satisfies these demands (under these edges, if given)."""
        arcs = self._graph(self.allowed(demands), edges)
        start = self.domains(demands)
        if not propagate(start, arcs, set(start), ANY):
            return False
        return self._any(start, arcs) is not None

    def best(self, demands: Collection[str]) -> Found | None:
        """The cheapest assignment, and of these the newest; None if there is none."""
        allowed = self.allowed(demands)
        arcs = self._graph(allowed, None)
        start = self.domains(demands)
        if not propagate(start, arcs, set(start), ANY):
            return None
        search = _Search(self, list(self._full), arcs, allowed)
        search.run(start, 0, 0)
        if search.found is None:
            return None
        variables = self.problem.variables
        values = {name: variables[name][place] for name, place in search.found.items()}
        return Found(values, search.cost)

    def _any(self, domains: Domains, arcs: Mapping[str, list[Arc]]) -> Domains | None:
        """Any consistent assignment, the smallest domain first."""
        open_ = [name for name, mask in domains.items() if mask & (mask - 1)]
        if not open_:
            return domains
        name = min(open_, key=lambda n: domains[n].bit_count())
        for bit in _bits(domains[name]):
            trial = {**domains, name: 1 << bit}
            if propagate(trial, arcs, {name}, ANY):
                found = self._any(trial, arcs)
                if found is not None:
                    return found
        return None

    def _graph(self, allowed: frozenset[str], edges: Sequence[int] | None) -> dict[str, list[Arc]]:
        """The arcs by the variable they start from."""
        graph: dict[str, list[Arc]] = {name: [] for name in self._full}
        every = self.problem.edges
        for edge in every if edges is None else (every[number] for number in edges):
            for arc in self.arcs(edge, allowed):
                graph[arc.here].append(arc)
        return graph

    def arcs(self, edge: Edge, allowed: frozenset[str]) -> tuple[Arc, Arc]:
        """Both directions of an edge under what is allowed."""
        sizes = (len(self.problem.variables[edge.a]), len(self.problem.variables[edge.b]))
        return _arcs(edge, allowed & edge.names, sizes)


@lru_cache(maxsize=4096)
def _arcs(edge: Edge, allowed: frozenset[str], sizes: tuple[int, int]) -> tuple[Arc, Arc]:
    """Kept from problem to problem, as edges of the same versions are."""
    there = [[0] * sizes[0] for _ in STEPS]
    back = [[0] * sizes[1] for _ in STEPS]
    for (i, j), cell in edge.cells.items():
        if cell.needs and cell.needs not in allowed:
            continue
        for step, cost in enumerate(STEPS):
            if cell.cost <= cost:
                there[step][i] |= 1 << j
                back[step][j] |= 1 << i
    return (
        Arc(edge.a, edge.b, tuple(map(tuple, there))),
        Arc(edge.b, edge.a, tuple(map(tuple, back))),
    )


class _Search:
    """Branch and bound over all variables, in order of importance."""

    def __init__(
        self,
        solver: Solver,
        order: list[str],
        arcs: Mapping[str, list[Arc]],
        allowed: frozenset[str],
    ) -> None:
        self.order = order
        self.arcs = arcs
        self.found: dict[str, int] | None = None
        self.cost = UNBOUNDED
        # What a variable costs against those before it, once both are decided.
        place = {name: i for i, name in enumerate(order)}
        self.earlier: dict[str, list[tuple[str, Mapping[tuple[int, int], int]]]]
        self.earlier = {name: [] for name in order}
        for edge in solver.problem.edges:
            cells = {
                at: cell.cost
                for at, cell in edge.cells.items()
                if not cell.needs or cell.needs in allowed
            }
            if place[edge.a] < place[edge.b]:
                cells = {(j, i): cost for (i, j), cost in cells.items()}
                self.earlier[edge.b].append((edge.a, cells))
            else:
                self.earlier[edge.a].append((edge.b, cells))

    def run(self, domains: Domains, depth: int, spent: int) -> None:
        """Decides the variables from ``depth`` on; keeps what is cheaper than the best so far."""
        if spent >= self.cost:
            return
        if depth == len(self.order):
            self.found = {name: domains[name].bit_length() - 1 for name in self.order}
            self.cost = spent
            return
        name = self.order[depth]
        for bit in _bits(domains[name]):
            trial = {**domains, name: 1 << bit}
            cost = spent + sum(
                cells[bit, domains[other].bit_length() - 1]
                for other, cells in self.earlier[name]
                if (bit, domains[other].bit_length() - 1) in cells
            )
            step = _step(self.cost - 1 - cost)
            decided = self.order[: depth + 1]
            if step >= 0 and propagate(trial, self.arcs, {name}, step, decided):
                self.run(trial, depth + 1, cost)


def _step(budget: int) -> int:
    """The dearest kind of pair that a budget still pays for; -1 for none."""
    return sum(cost <= budget for cost in STEPS) - 1


def propagate(
    domains: Domains,
    arcs: Mapping[str, list[Arc]],
    changed: set[str],
    step: int,
    decided: Collection[str] = (),
) -> bool:
    """Removes values without a partner until nothing changes; False if a variable has none left.

    Pairs dearer than ``step`` do not count, except between ``decided`` variables: those are paid.
    """
    waiting = set(changed)
    while waiting:
        name = waiting.pop()
        mask = domains[name]
        if not mask:
            return False
        for arc in arcs[name]:
            if arc.there in decided and name in decided:
                continue
            left = domains[arc.there] & reach(mask, arc.masks[step])
            if left != domains[arc.there]:
                if not left:
                    return False
                domains[arc.there] = left
                waiting.add(arc.there)
    return True


def reach(mask: int, masks: Sequence[int]) -> int:
    """Every value that one of the values in ``mask`` goes with."""
    there = 0
    for bit in _bits(mask):
        there |= masks[bit]
    return there


def mask_of(places: Iterable[int]) -> int:
    """The mask with these bits set."""
    mask = 0
    for place in places:
        mask |= 1 << place
    return mask


def _bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
