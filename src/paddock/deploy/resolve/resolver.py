"""From a host and a wish to one Stack, or to the smallest things to give up."""

from __future__ import annotations

from paddock.deploy.catalog import Catalog
from paddock.deploy.resolve import conflict
from paddock.deploy.resolve.build import build
from paddock.deploy.resolve.explain import explain
from paddock.deploy.resolve.solve import Solver
from paddock.deploy.resolve.stack import Stack, assemble
from paddock.deploy.resolve.view import HostView
from paddock.deploy.resolve.wish import Wish
from paddock.errors import NoStack


def resolve(catalog: Catalog, view: HostView, wish: Wish) -> Stack:
    """The newest official stack, else the newest with the fewest derived pairs.

    A pair that is reported bad, or of which nothing is known, is used only if the wish allows it.
    Raises NoStack, whose ``explanations`` name every minimal set of things to give up, and
    UsageError for a wish that no recipe of the catalogue serves.
    """
    problem = build(catalog, view, wish)
    solver = Solver(problem)
    found = solver.best([demand.name for demand in problem.demands])
    if found is not None:
        return assemble(catalog, view, wish, problem, found)
    explained = explain(catalog, solver, conflict.knots(solver))
    first = explained[0].causes[0]
    count = len(explained)
    raise NoStack(
        f"no stack of {wish.framework} fulfils this: {'; '.join(first)}"
        + (f" (and {count - 1} more independent conflicts)" if count > 1 else ""),
        hint=explained[0].corrections[0].sentence,
        explanations=explained,
    )
