"""The least time that a machine's own ceilings leave for a step, and the share that was reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paddock.bench.cost import Cost

ARITHMETIC = {"int4": "int8", "int8": "int8", "bf16": "bf16", "fp16": "fp32", "fp32": "fp32"}
"""What multiplies weights of a type on CPUs: 4-bit weights are multiplied as 8-bit numbers."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What the machine gave in one round: bytes read a second, operations a second.

    ``operations_per_s`` is None where there is no test for the arithmetic in question; the bound
    is then that of memory alone.
    """

    bytes_per_s: float
    operations_per_s: float | None

    def seconds(self, cost: Cost) -> float:
        """Reading and computing can overlap, so a step takes at least the longer of the two."""
        reading = cost.bytes / self.bytes_per_s
        if self.operations_per_s is None:
            return reading
        return max(reading, cost.operations / self.operations_per_s)

    def total(self, costs: Iterable[Cost]) -> float:
        """Seconds of steps that come one after the other."""
        return sum(self.seconds(cost) for cost in costs)
