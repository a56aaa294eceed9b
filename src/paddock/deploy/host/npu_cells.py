"""Cells of a table whose columns are told by heads: a value is taken only if its place is certain.

A head names a column and the place where its values begin. A cell is read by those places if every
value in it begins at one, else only if it has exactly as many values of the right kinds as there
are columns. What fits neither way is nobody's: a cell that is blank or was shifted never lends its
number to a neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

INT, NUM, PAIR, TEXT = "int", "num", "pair", "text"
"""Kinds of value: ``7``; ``87.2``, ``NA`` or ``-``; ``3133 / 65536``; a word."""

_KINDS = {
    INT: r"\d+",
    NUM: r"\d+(?:\.\d+)?|NA|-",
    PAIR: r"(?:\d+|NA|-)\s*/ ?(?:\d+|NA|-)",
    TEXT: r"\S+",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the field it fills, the kind of its values and where in the cell they begin."""

    name: str
    kind: str
    start: int


Layout = list[list[Column]]
"""The columns of each cell, in their order."""


def columns_of(cell: str, known: Mapping[str, tuple[str, str]]) -> list[Column]:
    """The columns whose heads stand in a cell; ``known`` maps a head to field and kind."""
    names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
    found = re.finditer(rf"(?<!\S)(?:{names})(?!\S)", cell)
    return [Column(*known[match[0]], match.start()) for match in found]


def by_place(cell: str, columns: list[Column]) -> list[str] | None:
    """Each column's text, if all that is in the cell begins below a head and is of its kind."""
    starts = [column.start for column in columns]
    if cell[: starts[0]].strip():
        return None
    texts = []
    for column, start, end in zip(columns, starts, [*starts[1:], len(cell)], strict=True):
        piece = cell[start:end]
        if not piece.strip():
            texts.append("")
        elif piece[0] == " " or (start and cell[start - 1] != " ") or _is_foreign(piece, column):
            return None
        else:
            texts.append(piece.strip())
    return texts


def _is_foreign(piece: str, column: Column) -> bool:
    """Whether a piece holds parts of two values: a cell beside it was blank, or a head was."""
    if column.kind == PAIR:
        return re.fullmatch(r"\S+?\s*/ ?\S*\s*", piece) is None
    return re.search(r"\S\s{2,}\S", piece) is not None


def by_kind(cell: str, columns: list[Column]) -> list[str] | None:
    """Each column's text, if the cell holds exactly one value of each column's kind."""
    pattern = r"\s+".join(f"({_KINDS[column.kind]})" for column in columns)
    match = re.fullmatch(rf"\s*{pattern}\s*", cell)
    return list(match.groups()) if match else None
