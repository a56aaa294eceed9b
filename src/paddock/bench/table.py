"""What results are shown as: text in rows and columns, numbers with readable units."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Text in rows and columns; ``right`` are the columns of numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()

    def markdown(self) -> str:
        """The table as GitHub draws it."""
        rule = ["---:" if i in self.right else "---" for i in range(len(self.header))]
        lines = [self.header, rule, *self.rows]
        body = "\n".join(
            f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines
        )
        return f"**{self.title}**\n\n{body}\n"


def amount(value: float, unit: str) -> str:
    """A number with its unit for people, four digits of it."""
    size, scaled = scale(value, unit)
    return f"{value / size:.4g} {scaled}"


def scale(value: float, unit: str) -> tuple[float, str]:
    """The unit in which ``value`` reads well, and its size in ``unit``."""
    if unit == "share":
        return 0.01, "%"
    if unit == "s" and value < 1:
        return 1e-3, "ms"
    plain = unit.replace("bytes", "B")
    if plain in ("B", "B/s", "op/s"):
        for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
            if value >= size:
                return size, prefix + plain
    return 1.0, plain
