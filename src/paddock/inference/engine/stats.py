"""What the engine has done and is doing, in numbers, for logs and metrics."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.inference.engine.generation import Generation
from paddock.inference.engine.pages import PageTable
from paddock.inference.engine.request import Finish


@dataclass(frozen=True, slots=True)
class EngineStats:
    """A snapshot. Counts of answers, pages and tokens; all but the first six only grow.

    ``pages_used`` are referred to by running answers, ``pages_cached`` hold beginnings that may be
    wanted again, ``pages_free`` hold nothing; together they are ``pages_total``. ``prompt_tokens``
    belong to answers that were let in (again after a preemption, with what was answered), of which
    ``cached_tokens`` were found in the cache; ``computed_tokens`` went through the model as
    prompts. ``drafted`` guesses were verified, ``accepted`` of them were right. ``stopped``,
    ``ended_by_length`` and ``cancelled`` are answers that are over, ``refused`` requests for which
    the queue was full.
    """

    waiting: int
    running: int
    pages_total: int
    pages_used: int
    pages_cached: int
    pages_free: int
    steps: int
    prompt_tokens: int
    cached_tokens: int
    computed_tokens: int
    new_tokens: int
    preemptions: int
    drafted: int
    accepted: int
    stopped: int
    ended_by_length: int
    cancelled: int
    refused: int


@dataclass(slots=True)
class Counters:
    """What the engine counts as it goes."""

    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    computed_tokens: int = 0
    new_tokens: int = 0
    drafted: int = 0
    accepted: int = 0
    stopped: int = 0
    ended_by_length: int = 0
    cancelled: int = 0
    refused: int = 0

    def admitted(self, one: Generation) -> None:
        """An answer was let in, its first ``computed`` tokens found in the cache."""
        self.prompt_tokens += len(one.tokens)
        self.cached_tokens += one.computed
        if len(one.tokens) == one.n_prompt:
            one.cached = one.computed

    def finished(self, reason: Finish) -> None:
        """An answer is over."""
        if reason == "stop":
            self.stopped += 1
        elif reason == "length":
            self.ended_by_length += 1
        else:
            self.cancelled += 1

    def snapshot(
        self, waiting: int, running: int, pages: PageTable, preemptions: int
    ) -> EngineStats:
        """All numbers of this moment."""
        return EngineStats(
            waiting=waiting,
            running=running,
            pages_total=pages.used + pages.available,
            pages_used=pages.used,
            pages_cached=pages.cached,
            pages_free=pages.free,
            preemptions=preemptions,
            steps=self.steps,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            computed_tokens=self.computed_tokens,
            new_tokens=self.new_tokens,
            drafted=self.drafted,
            accepted=self.accepted,
            stopped=self.stopped,
            ended_by_length=self.ended_by_length,
            cancelled=self.cancelled,
            refused=self.refused,
        )
