"""Every conflict and every way out of a problem without a solution, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paddock.deploy.catalog import Catalog
from paddock.deploy.resolve.conflict import Knot
from paddock.deploy.resolve.solve import Solver
from paddock.deploy.resolve.words import Correction, Teller


@dataclass(frozen=True, slots=True)
class Explanation:
    """Conflicts that hang together, in words, and the smallest ways to undo them.

    ``causes`` has a chain of sentences for each conflict, the simplest first; ``sources`` are the
    addresses of the rows behind them.
    """

    causes: tuple[tuple[str, ...], ...]
    sources: tuple[str, ...]
    corrections: tuple[Correction, ...]


def explain(catalog: Catalog, solver: Solver, found: Sequence[Knot]) -> tuple[Explanation, ...]:
    """Every knot in words, each correction with what it leads to once the others are undone too."""
    teller = Teller(catalog, solver)
    explained = []
    for knot in found:
        elsewhere = frozenset[str]().union(*(k.corrections[0] for k in found if k is not knot))
        causes = sorted(knot.conflicts, key=len)
        sources = dict.fromkeys(url for names in causes for url in teller.sources(names))
        explained.append(
            Explanation(
                tuple(teller.cause(names) for names in causes),
                tuple(sources),
                tuple(teller.correction(names, elsewhere) for names in knot.corrections),
            )
        )
    return tuple(explained)
