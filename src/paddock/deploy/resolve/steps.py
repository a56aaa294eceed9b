"""Chains of sentences: what was told on the way, and which of it leads to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """What one edge takes away: from which variable to which, and the sentence."""

    here: str
    there: str
    text: str


def leading(steps: Sequence[Step], ends: set[str]) -> list[str]:
    """The sentences of the steps that lead to the variables at the end, in their order."""
    needed = set(ends)
    kept = []
    for step in reversed(steps):
        if step.there in needed:
            needed.add(step.here)
            kept.append(step.text)
    return kept[::-1]
