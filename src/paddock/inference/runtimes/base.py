"""The seam between deciding what runs next and running it: plain integers in, token ids out.

A batch holds no tensors, so it can be logged, replayed from a test and broadcast to ranks as it
is. One rule covers prefill, chunked prefill, decode and speculation: "these tokens of that request,
starting at this position".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from paddock.errors import UsageError


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen. ``temperature`` 0 takes the most likely one (greedy).

    Order of application: penalties, temperature, top_k, top_p, min_p. ``repetition_penalty``
    (arXiv 1909.05858) counts prompt and answer; presence and frequency penalties count the answer
    only (OpenAI's definition). The random number for a position depends on ``seed`` and the
    position alone, so a request's text does not depend on its neighbours.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, self.temperature >= 0, "0 or more")
        _check("top_k", self.top_k, self.top_k >= 0, "0 (off) or more")
        _check("top_p", self.top_p, 0 < self.top_p <= 1, "above 0 and at most 1")
        _check("min_p", self.min_p, 0 <= self.min_p <= 1, "between 0 and 1")
        _check(
            "repetition_penalty",
            self.repetition_penalty,
            self.repetition_penalty > 0,
            "above 0 (1 is off)",
        )
        for name in ("presence_penalty", "frequency_penalty"):
            value = getattr(self, name)
            _check(name, value, -2 <= value <= 2, "between -2 and 2")

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is taken."""
        return self.temperature == 0

    @property
    def penalized(self) -> bool:
        """Whether the choice depends on tokens that came before."""
        return (
            self.repetition_penalty != 1
            or self.presence_penalty != 0
            or self.frequency_penalty != 0
        )


def _check(name: str, value: float, ok: bool, allowed: str) -> None:
    if not ok:
        raise UsageError(f"{name} is {value}", hint=f"it must be {allowed}")


@dataclass(frozen=True, slots=True)
class Work:
    """One request's share of a step.

    ``tokens`` get positions ``start, start + 1, …``; the keys and values of earlier positions are
    in the cache. ``pages`` hold positions 0 to ``start + len(tokens) - 1``, ``Limits.page_size``
    each, in order. ``sampling`` is None inside a chunked prompt: nothing is chosen. ``history`` is
    every token so far, given only if ``sampling.penalized``; its first ``n_prompt`` are the prompt.

    The last ``n_draft`` of ``tokens`` are guesses of what comes next (speculation): a token is
    chosen after each of the last ``1 + n_draft`` positions, as if the guesses before it were right.
    As the random number depends on the position alone, what is chosen before the first wrong guess
    is exactly what steps of one token would have chosen.

    ``logprobs`` asks for log probabilities: of the chosen token and of that many likeliest ones.
    ``allowed`` restricts the choice: bit ``i % 8`` of byte ``i // 8`` says whether id ``i`` may be
    taken; given only with ``n_draft`` 0.
    """

    request: int
    tokens: Sequence[int]
    start: int
    pages: tuple[int, ...]
    sampling: SamplingParams | None
    history: Sequence[int] = ()
    n_prompt: int = 0
    n_draft: int = 0
    logprobs: int | None = None
    allowed: bytes | None = None


class Choice(NamedTuple):
    """A chosen token; with ``Work.logprobs`` also natural log probabilities.

    Those are of the model's own distribution, before penalties, temperature and truncations (as
    OpenAI's are). ``top`` holds (id, log probability), likeliest first.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step computes."""

    work: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a runtime can hold.

    Ids 0 to ``vocab_size - 1``, read and chosen; positions of one request; positions in a page;
    pages; requests in a step.
    """

    vocab_size: int
    max_seq_len: int
    page_size: int
    n_pages: int
    max_batch: int


class Runtime(Protocol):
    """Executes steps of one model. Not thread-safe: one caller at a time."""

    limits: Limits

    def step(self, batch: Batch) -> list[Choice]:
        """Computes the batch, fills the cache, returns the choices in the order of the works.

        A work that samples has ``1 + n_draft`` of them. Keys and values of wrong guesses stay in
        the cache until the same positions are written again.
        Raises GenerationError if a work breaks the limits; the cache of other requests is intact.
        """
        ...

    def close(self) -> None:
        """Frees memory and devices; calling it again does nothing."""
        ...


@runtime_checkable
class Recoverable(Runtime, Protocol):
    """A runtime whose parts can die and come back: its steps raise RanksLost until ``recover``."""

    def recover(self) -> None:
        """Waits until it can compute again, with an empty cache.

        Raises RanksLost if it never will.
        """
        ...
