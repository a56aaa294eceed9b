"""Samples of one figure with what describes them: never a mean, never the best alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from paddock.errors import BenchError


@dataclass(frozen=True, slots=True)
class Summary:
    """All samples in the order in which they were taken; at least one, all finite."""

    samples: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.samples or not all(math.isfinite(value) for value in self.samples):
            raise BenchError(f"these are no samples of a measurement: {list(self.samples)}")

    @classmethod
    def of(cls, samples: Iterable[float]) -> Summary:
        """The summary of ``samples``."""
        return cls(tuple(float(value) for value in samples))

    @property
    def median(self) -> float:
        """The middle sample, or the mean of the two in the middle."""
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        """A quarter of the samples lies below the first, a quarter above the second.

        Linear interpolation between samples (numpy's default, R's type 7).
        """
        ordered = sorted(self.samples)
        return percentile(ordered, 0.25), percentile(ordered, 0.75)

    @property
    def min(self) -> float:
        """The least sample."""
        return min(self.samples)

    @property
    def max(self) -> float:
        """The greatest sample."""
        return max(self.samples)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``from_dict`` reads them."""
        first, third = self.quartiles
        return {
            "median": self.median,
            "min": self.min,
            "q1": first,
            "q3": third,
            "max": self.max,
            "samples": list(self.samples),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Summary:
        """Reads ``to_dict``'s form. Raises BenchError if the numbers do not fit the samples."""
        found = cls.of(value["samples"])
        for name, number in found.to_dict().items():
            if name != "samples" and not math.isclose(number, value[name], rel_tol=1e-9):
                raise BenchError(f"{name} is {value[name]}, but the samples give {number}")
        return found


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Summary:
    """Ours over theirs, round by round: what disturbed a round disturbed both."""
    return Summary.of(a / b for a, b in zip(ours, theirs, strict=True))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of the ascending ``ordered`` lies, interpolated."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
