"""What clients ask a server for, and how they come: drawn from a seed, the same each time."""

from __future__ import annotations

import random
from dataclasses import dataclass

from paddock import settings
from paddock.bench.serving.client import Prompt
from paddock.bench.serving.words import WORDS
from paddock.bench.workload import Workload
from paddock.errors import UsageError
from paddock.inference.checkpoint import store
from paddock.inference.checkpoint.open import open_checkpoint


@dataclass(frozen=True, slots=True)
class Load:
    """What clients ask for, and how they come.

    Either ``concurrency`` clients ask one request after the other, or ``rate`` requests a second
    arrive by chance (exponential gaps, drawn from ``seed``), whatever is still being answered.
    ``warm_up`` requests before that are in no figure. ``ids_of`` names a model whose vocabulary
    prompts are drawn from as token ids; without it they are that many English words.
    """

    requests: int = 100
    concurrency: int | None = 8
    rate: float | None = None
    prompt_tokens: int = 128
    new_tokens: int = 64
    seed: int = 0
    warm_up: int = 1
    ids_of: str | None = None

    def __post_init__(self) -> None:
        if (self.concurrency is None) == (self.rate is None):
            raise UsageError(
                "either so many clients at once or so many requests a second",
                hint="use one of --concurrency and --rate",
            )
        if self.concurrency is not None and self.concurrency < 1:
            raise UsageError(f"concurrency is {self.concurrency}", hint="use 1 or more")
        if self.rate is not None and not 0 < self.rate <= 1e6:
            raise UsageError(f"rate is {self.rate}", hint="use a number above 0")
        if self.requests < 1 or self.warm_up < 0:
            raise UsageError(f"{self.requests} requests after {self.warm_up}", hint="use 1 or more")

    def workload(self) -> Workload:
        """One sequence for each request; of ids in a vocabulary, or of places among WORDS."""
        count, sizes = self.requests + self.warm_up, (self.prompt_tokens, self.new_tokens)
        if self.ids_of is None:
            return Workload(len(WORDS), 0, *sizes, count, 1, self.seed, low=0)
        path = store.locate(self.ids_of, settings.load())
        config = open_checkpoint(path).config()
        low = min(3, config.vocab_size - 1)
        return Workload(config.vocab_size, config.bos_id, *sizes, count, 1, self.seed, low=low)

    def prompts(self) -> list[Prompt]:
        """What is asked, the same for the same fields; those of the warm-up first."""
        drawn = self.workload().prompts()
        if self.ids_of is not None:
            return list(drawn)
        # The first id is the same for all: a begin that prompts share would be cached.
        seeds = random.Random(self.seed)  # noqa: S311 - no secret
        return [" ".join([seeds.choice(WORDS), *(WORDS[i] for i in ids[1:])]) for ids in drawn]

    def arrivals(self) -> list[float]:
        """Seconds from the begin at which each request is due. Poisson process of ``rate``."""
        assert self.rate is not None
        drawn, at, times = random.Random(self.seed), 0.0, []  # noqa: S311 - no secret
        for _ in range(self.requests):
            at += drawn.expovariate(self.rate)
            times.append(at)
        return times
