"""What the catalogue's rows say of each pair of versions of two components."""

from __future__ import annotations

from paddock.deploy.catalog import Level, Pairing
from paddock.deploy.catalog.versions import Range
from paddock.deploy.resolve.problem import COST, REPORTED_BAD, Cell, Value

Cells = dict[tuple[int, int], Cell]
"""The pairs that go together, by the places of the two versions in their variables."""


def from_rows(
    subjects: tuple[Value, ...], objects: tuple[Value, ...], rows: tuple[Pairing, ...]
) -> Cells:
    """What the rows say of each pair; see ``Pairing`` for what a silent row means."""
    about: list[list[Pairing]] = [[] for _ in subjects]
    places = {row: _held(row.objects, objects) for row in rows}
    for row in rows:
        for i in _held(row.subjects, subjects):
            about[i].append(row)
    cells: Cells = {}
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


def silent(rows: tuple[Pairing, ...], values: tuple[Value, ...]) -> list[int]:
    """Places of the subjects of which no row says what they go with."""
    telling = [row for row in rows if row.level is not Level.reported_bad]
    stated = {place for row in telling for place in _held(row.subjects, values)}
    return [i for i, value in enumerate(values) if value is not None and i not in stated]


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
