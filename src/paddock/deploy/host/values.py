"""Single values out of printed text: a number is taken whole or not at all."""

from __future__ import annotations

import re

ABSENT = frozenset(
    {"NA", "N/A", "-", "[N/A]", "[Not Supported]", "[Unknown Error]", "Not Supported"}
)
"""How tools print that they have no value; that is an answer, not a failed reading."""

_WHOLE = re.compile(r"\d+")
_DECIMAL = re.compile(r"-?\d+(?:\.\d+)?")


def whole(text: str | None) -> int | None:
    """A number without sign or point; None for anything else."""
    return int(text) if text is not None and _WHOLE.fullmatch(text.strip()) else None


def decimal(text: str | None) -> float | None:
    """A number with or without a point; None for anything else."""
    return float(text) if text is not None and _DECIMAL.fullmatch(text.strip()) else None


def hexadecimal(text: str | None) -> str | None:
    """``0xD802`` as ``d802``; None for anything else."""
    match = re.fullmatch(r"(?:0x)?([0-9A-Fa-f]+)", (text or "").strip())
    return match[1].lower() if match else None


def pairs(text: str, separator: str = "=") -> dict[str, str]:
    """``key=value`` lines as a table; the first of a key counts, other lines are passed over."""
    table: dict[str, str] = {}
    for line in text.splitlines():
        key, found, value = line.partition(separator)
        if found and key.strip():
            table.setdefault(key.strip(), value.strip())
    return table


def kilobytes(text: str | None) -> int | None:
    """``16384 kB`` of /proc in bytes."""
    match = re.fullmatch(r"(\d+) kB", (text or "").strip())
    return int(match[1]) * 1024 if match else None
