"""One turn of a runtime: what it claims to have done, and the checks that this can be true."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from paddock.bench.workload import Workload
from paddock.errors import BenchError

_TOLERANCE = 0.25
"""Seconds that a turn may last beyond its last token: a line of JSON, a context made anew."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The ids that each sequence got and when: ``times[i][j]`` belongs to ``tokens[i][j]``.

    Times are seconds from the moment at which the runtime was given the prompts. An id is None
    where the engine does not tell it. ``read`` is the bytes a second of read passes in turn with
    the decode steps, whose time is left out; None where there were none.
    """

    tokens: tuple[tuple[int | None, ...], ...]
    times: tuple[tuple[float, ...], ...]
    read: float | None = None

    @classmethod
    def of(cls, answer: dict[str, Any], name: str) -> Turn:
        """Reads a worker's answer. Raises BenchError if it is not of that form."""
        try:
            return cls(
                tuple(
                    tuple(None if token is None else int(token) for token in row)
                    for row in answer["tokens"]
                ),
                tuple(tuple(float(at) for at in row) for row in answer["times"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BenchError(f"{name} gave no tokens and times: {error!r}") from error

    @property
    def first_s(self) -> float:
        """Until every sequence had its first token: the prefill of all prompts."""
        return max(row[0] for row in self.times)

    @property
    def total_s(self) -> float:
        """Until the last token of all."""
        return max(row[-1] for row in self.times)

    @property
    def decode_s(self) -> float:
        """While all sequences were decoding: from the last first token to the first last one.

        Not positive where they were never all at it at once.
        """
        return min(row[-1] for row in self.times) - self.first_s

    @property
    def decoded(self) -> int:
        """Tokens that all sequences together made in those seconds."""
        end = min(row[-1] for row in self.times)
        return sum(self.first_s < at <= end for row in self.times for at in row)

    def check(self, workload: Workload, wall_s: float, name: str) -> None:
        """Raises BenchError unless this is what was asked for and fits ``wall_s``, our own clock.

        So a runtime that stops early, repeats itself in time, or claims to have been quicker than
        it was ends as a failure and not as a speed.
        """
        if len(self.tokens) != workload.batch or len(self.times) != workload.batch:
            raise BenchError(f"{name} answered {len(self.tokens)} of {workload.batch} prompts")
        for tokens, times in zip(self.tokens, self.times, strict=True):
            if len(tokens) != workload.new_tokens or len(times) != workload.new_tokens:
                raise BenchError(
                    f"{name} made {len(tokens)} tokens with {len(times)} times;"
                    f" {workload.new_tokens} were asked"
                )
            if any(t is not None and not 0 <= t < workload.vocab_size for t in tokens):
                raise BenchError(f"{name} made a token outside the vocabulary")
            if times[0] <= 0 or any(b < a for a, b in pairwise(times)):
                raise BenchError(f"{name} gave times that do not grow")
        if self.total_s > wall_s:
            raise BenchError(f"{name} claims {self.total_s:.3f} s, but {wall_s:.3f} s went by")
        if self.total_s < 0.8 * wall_s - _TOLERANCE:
            raise BenchError(
                f"{name} claims to have needed {self.total_s:.3f} s of the {wall_s:.3f} s it took"
            )


def common_prefix(ours: Turn, theirs: Turn) -> int | None:
    """Tokens at the beginning of the first sequence that two runtimes chose alike; None: untold."""
    count = 0
    for a, b in zip(ours.tokens[0], theirs.tokens[0], strict=False):
        if a is None or b is None:
            return None
        if a != b:
            break
        count += 1
    return count
