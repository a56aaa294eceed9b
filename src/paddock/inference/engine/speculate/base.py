"""What makes guesses, and what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from paddock.inference.runtimes.base import SamplingParams


class Wanted(NamedTuple):
    """A request for at most ``n`` guesses after ``tokens``.

    ``number`` names the text from one call to the next: between two calls it only grows. Its first
    ``n_prompt`` tokens are the prompt. ``tokens`` belongs to the engine and is not to be changed.
    """

    number: int
    tokens: Sequence[int]
    n: int
    sampling: SamplingParams
    n_prompt: int


class Drafter(Protocol):
    """Makes guesses. A wrong one costs time and changes nothing: the model decides."""

    def propose(self, wanted: Sequence[Wanted]) -> list[list[int]]:
        """Guesses for each of ``wanted``, from none to ``n``, as ids the model knows."""
        ...

    def forget(self, number: int) -> None:
        """A text is over or sent back to wait: what was kept for it goes."""
        ...

    def close(self) -> None:
        """Frees what the drafter holds; calling it again does nothing."""
        ...
