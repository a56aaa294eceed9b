"""What is asked of a model in a measurement: made from a seed, saved with the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from paddock.errors import UsageError

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Workload:
    """``batch`` prompts of ``prompt_tokens`` ids each, ``new_tokens`` greedy ones after each.

    Ids are drawn evenly from ``low`` to ``vocab_size - 1`` (the first few are control tokens),
    after one ``bos_id``; nothing ends an answer early. ``repeats`` rounds are measured after one
    that is reported apart. ``busy`` processes compete for the cores meanwhile.
    """

    vocab_size: int
    bos_id: int = 1
    prompt_tokens: int = 128
    new_tokens: int = 64
    batch: int = 1
    repeats: int = 5
    seed: int = 0
    busy: int = 0
    low: int = 3

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "new_tokens", "batch", "repeats"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}", hint="use 1 or more")
        if self.busy < 0 or self.seed < 0:
            raise UsageError("busy and seed cannot be negative")
        if not 0 <= self.low < self.vocab_size or not 0 <= self.bos_id < self.vocab_size:
            raise UsageError(f"a vocabulary of {self.vocab_size} has no such ids")

    @property
    def length(self) -> int:
        """Positions that one sequence takes."""
        return self.prompt_tokens + self.new_tokens

    def prompts(self) -> list[list[int]]:
        """The ids of each prompt: the same for the same fields, on every machine."""
        span = self.vocab_size - self.low
        return [
            [self.bos_id]
            + [
                self.low + _mixed(self.seed, sequence, place) % span
                for place in range(1, self.prompt_tokens)
            ]
            for sequence in range(self.batch)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``Workload(**values)`` reads them."""
        return asdict(self)


def _mixed(seed: int, sequence: int, place: int) -> int:
    """64 bits from three numbers. Source: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    state = 0
    for number in (seed, sequence, place):
        state = (state ^ number) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state
