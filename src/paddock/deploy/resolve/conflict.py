"""Why there is no stack, and every smallest way out: minimal conflicts and minimal corrections.

A conflict is a smallest set of demands that cannot hold together; a correction is a smallest set
whose giving up leaves something possible. Corrections are the minimal hitting sets of the
conflicts, and Reiter's hitting set tree (R. Reiter, A theory of diagnosis from first principles,
1987) finds all of both: each node gives up some demands, and if that does not help, a conflict
that it has not touched says which demand to give up next.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import product

from paddock.deploy.resolve.solve import Solver

Names = frozenset[str]


@dataclass(frozen=True, slots=True)
class Knot:
    """Conflicts that share demands, and the smallest ways to undo them all.

    Knots are independent: a correction of the whole is one correction of each.
    """

    conflicts: tuple[Names, ...]
    corrections: tuple[Names, ...]


def knots(solver: Solver) -> tuple[Knot, ...]:
    """Every conflict of an unsolvable problem, grouped; empty if it has a solution."""
    order = [demand.name for demand in solver.problem.demands]
    conflicts, corrections = _tree(solver, order)
    found = []
    groups = _groups(sorted(conflicts, key=lambda c: sorted(map(order.index, c))))
    for group in sorted(groups, key=lambda g: min(min(map(order.index, c)) for c in g)):
        touched = frozenset[str]().union(*group)
        parts = {correction & touched for correction in corrections}
        found.append(Knot(tuple(group), tuple(sorted(parts, key=lambda c: _rank(c, order)))))
    return tuple(found)


def corrections(found: Collection[Knot]) -> tuple[Names, ...]:
    """Every minimal set of demands to give up: one correction of each knot."""
    choices = product(*(knot.corrections for knot in found))
    return tuple(frozenset[str]().union(*choice) for choice in choices) if found else ()


def conflict(solver: Solver, demands: Sequence[str]) -> Names | None:
    """A smallest conflict among ``demands``; None if they can hold together.

    Demands that come first are dropped first, so what comes last is more likely to be named.
    """
    kept = list(demands)
    if solver.feasible(kept):
        return None
    for name in demands:
        trial = [other for other in kept if other != name]
        if not solver.feasible(trial):
            kept = trial
    return frozenset(kept)


def decisive_edges(solver: Solver, demands: Collection[str]) -> tuple[int, ...]:
    """A smallest set of edges under which ``demands`` still conflict: the cause itself."""
    kept = list(range(len(solver.problem.edges)))
    for number in reversed(list(kept)):
        trial = [other for other in kept if other != number]
        if not solver.feasible(demands, trial):
            kept = trial
    return tuple(kept)


def _tree(solver: Solver, order: list[str]) -> tuple[list[Names], list[Names]]:
    """All minimal conflicts met and all minimal corrections, breadth first."""
    conflicts: list[Names] = []
    found: list[Names] = []
    level: list[Names] = [frozenset()]
    while level:
        following: dict[Names, None] = {}
        for given_up in level:
            if any(correction <= given_up for correction in found):
                continue
            label = next((c for c in conflicts if not c & given_up), None)
            if label is None:
                left = [name for name in order if name not in given_up]
                label = conflict(solver, left)
                if label is None:
                    found.append(given_up)
                    continue
                conflicts.append(label)
            for name in label:
                following[given_up | {name}] = None
        level = sorted(following, key=lambda names: _rank(names, order))
    return conflicts, [c for c in found if c]


def _groups(conflicts: Sequence[Names]) -> list[list[Names]]:
    """Conflicts that share a demand, directly or through others, together."""
    groups: list[list[Names]] = []
    for each in conflicts:
        mine = [group for group in groups if any(each & other for other in group)]
        merged = [other for group in mine for other in group]
        groups = [group for group in groups if group not in mine]
        groups.append([*merged, each])
    return groups


def _rank(names: Collection[str], order: Sequence[str]) -> tuple[int, list[int]]:
    """Fewer first, then in the order of the demands: pins, facts of the host, cautions."""
    return len(names), sorted(order.index(name) for name in names)
