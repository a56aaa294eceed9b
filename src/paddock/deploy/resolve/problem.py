"""A constraint problem: variables, edges between them, and demands.

A variable is a component with its possible versions, best first. An edge joins two of them and
knows for each pair of versions what it costs: nothing if official, more if derived, and what
nobody vouches for only if it was allowed. A demand is something that could be given up: a pin, a
fact of this host, the refusal of a pair that is reported bad.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from paddock.deploy.catalog import Level, Pairing

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
