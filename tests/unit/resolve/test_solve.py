"""The search against brute force, on random problems: the same optimum, the same feasibility."""

from __future__ import annotations

import itertools
import random

import pytest

from paddock.deploy.resolve import conflict
from paddock.deploy.resolve.problem import (
    DERIVED,
    NOT_VERIFIED,
    REPORTED_BAD,
    Cell,
    Demand,
    Edge,
    Problem,
)
from paddock.deploy.resolve.solve import Solver


def random_problem(seed: int) -> Problem:
    draw = random.Random(seed)
    names = [f"v{i}" for i in range(draw.randint(2, 5))]
    variables = {name: tuple(f"{name}.{i}" for i in range(draw.randint(1, 4))) for name in names}
    edges = []
    for a, b in itertools.permutations(names, 2):
        if draw.random() > 0.4:
            continue
        cells = {}
        for i, j in itertools.product(range(len(variables[a])), range(len(variables[b]))):
            kind = draw.random()
            if kind < 0.35:
                cells[i, j] = Cell(draw.choice((0, 0, DERIVED)))
            elif kind < 0.5:
                cells[i, j] = Cell(REPORTED_BAD, needs=draw.choice(("x", "y")))
            elif kind < 0.6:
                cells[i, j] = Cell(NOT_VERIFIED, needs="unverified")
        edges.append(Edge(a, b, cells))
    demands = []
    for number in range(draw.randint(0, 4)):
        name = draw.choice(names)
        kept = frozenset(draw.sample(variables[name], draw.randint(1, len(variables[name]))))
        demands.append(Demand("pin", f"d{number}", f"d{number}", {name: kept}))
    cautions = [Demand("caution", n, n, {}) for n in ("x", "y", "unverified")]
    allowed = frozenset(draw.sample(("x", "y", "unverified"), draw.randint(0, 1)))
    cautions = [c for c in cautions if c.name not in allowed]
    return Problem(variables, tuple(edges), (*demands, *cautions), allowed)


def brute_force(problem: Problem, demands: set[str]) -> tuple[int, tuple[int, ...]] | None:
    """The least (cost, places of the values), by trying everything."""
    names = list(problem.variables)
    allowed = problem.allowed | {
        d.name for d in problem.demands if d.kind == "caution" and d.name not in demands
    }
    best = None
    for places in itertools.product(*(range(len(problem.variables[n])) for n in names)):
        at = dict(zip(names, places, strict=True))
        if any(
            problem.variables[variable][at[variable]] not in kept
            for d in problem.demands
            if d.name in demands
            for variable, kept in d.values.items()
        ):
            continue
        cost = 0
        for edge in problem.edges:
            cell = edge.cells.get((at[edge.a], at[edge.b]))
            if cell is None or (cell.needs and cell.needs not in allowed):
                break
            cost += cell.cost
        else:
            best = min(best or (cost, places), (cost, places))
    return best


@pytest.mark.parametrize("block", range(10))
def test_the_best_is_the_best(block: int) -> None:
    solved = 0
    for seed in range(block * 40, block * 40 + 40):
        problem = random_problem(seed)
        solver = Solver(problem)
        names = {demand.name for demand in problem.demands}
        expected = brute_force(problem, names)
        found = solver.best(names)
        assert solver.feasible(names) == (expected is not None), seed
        if expected is None:
            assert found is None, seed
            continue
        assert found is not None, seed
        solved += 1
        wanted = [
            problem.variables[n][i] for n, i in zip(problem.variables, expected[1], strict=True)
        ]
        assert (found.cost, list(found.values.values())) == (expected[0], wanted), seed
    assert solved > 3


def test_conflicts_and_corrections_are_all_of_them() -> None:
    checked = 0
    for seed in range(300):
        problem = random_problem(seed)
        names = [demand.name for demand in problem.demands]
        solver = Solver(problem)
        holds = {
            chosen: brute_force(problem, set(chosen)) is not None
            for size in range(len(names) + 1)
            for chosen in map(frozenset, itertools.combinations(names, size))
        }
        everything = frozenset(names)
        if holds[everything] or not holds[frozenset()]:
            continue
        checked += 1
        ways_out = {everything - chosen for chosen, fine in holds.items() if fine}
        minimal = {w for w in ways_out if not any(other < w for other in ways_out)}
        found = conflict.knots(solver)
        assert set(conflict.corrections(found)) == minimal, seed
        assert len(conflict.corrections(found)) == len(minimal), seed
        for each in (c for knot in found for c in knot.conflicts):
            assert not holds[each], seed
            assert all(holds[each - {name}] for name in each), seed
    assert checked > 25
