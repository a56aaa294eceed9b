"""Read passes between the steps of a turn: what memory gives in the moments of the measurement."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from paddock.bench.ceilings import Ceilings

SHARE = 0.1
"""Seconds of passes for each second of steps, about."""


@dataclass
class Passes:
    """Passes of ``test`` in turn with a runtime's steps, and how fast they were together.

    The memory of virtual machines gives half as much in one second as in the next; a ceiling from
    before or after a turn says little about it. Bytes over seconds of all passes compare with
    bytes over seconds of all steps: slow moments weigh alike in both.
    """

    test: Ceilings
    _slowness: list[float] = field(default_factory=list)
    _spent_s: float = 0.0

    def begin(self) -> None:
        """Forgets the turn before."""
        self._slowness.clear()
        self._spent_s = 0.0

    def between(self, steps_s: float) -> float:
        """Takes a pass if it is due after ``steps_s`` seconds of steps; the seconds it took."""
        if self._spent_s > SHARE * steps_s:
            return 0.0
        begin = time.perf_counter()
        self._slowness.append(1 / self.test.read())
        spent = time.perf_counter() - begin
        self._spent_s += spent
        return spent

    @property
    def bytes_per_s(self) -> float | None:
        """What all passes of the turn reached together; None without any."""
        return len(self._slowness) / sum(self._slowness) if self._slowness else None
