"""A small model that guesses what a large one will say."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.inference.engine.pages import PageTable
from paddock.inference.engine.speculate.base import Wanted
from paddock.inference.runtimes.base import Batch, Runtime, Work

PREFILL_CHUNK = 512
"""Tokens of all texts together in which the small model catches up before it guesses."""


_MOST_GUESSES = 64
"""More than any draft has: where a text and what is held of it can differ."""


class _Text:
    """How much of one text the small model's cache holds, wrong guesses included."""

    def __init__(self) -> None:
        self.pages: tuple[int, ...] = ()
        self.held: list[int] = []

    def rewind(self, tokens: Sequence[int]) -> None:
        """Keeps what agrees with ``tokens``, and leaves at least the last one to compute.

        Only guesses can disagree, and those are the last few: the search goes from behind.
        """
        held = self.held
        del held[len(tokens) - 1 :]
        agreed = len(held)
        first = max(0, agreed - _MOST_GUESSES)
        for at in range(first, agreed):
            if held[at] != tokens[at]:
                del held[at:]
                return


class ModelDrafter:
    """Guesses by a second runtime with the same vocabulary, which it has for itself.

    It samples with the request's own parameters and random numbers, so that it guesses right as
    often as the two models agree, at any temperature (decision 0005). A text that does not fit the
    small model's context, pages or batch goes on without guesses.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._pages = PageTable(runtime.limits.n_pages, runtime.limits.page_size)
        self._texts: dict[int, _Text] = {}

    def propose(self, wanted: Sequence[Wanted]) -> list[list[int]]:
        """See Drafter. Costs a step of the small model for each guess of the longest draft."""
        guesses: list[list[int]] = [[] for _ in wanted]
        ready = self._catch_up(wanted)
        while ready:
            works = [self._work(wanted[i], guesses[i], final=True) for i in ready]
            choices = self.runtime.step(Batch(tuple(works)))
            for i, work, choice in zip(ready, works, choices, strict=True):
                self._texts[wanted[i].number].held.extend(work.tokens)
                guesses[i].append(choice.token)
            ready = [
                i
                for i in ready
                if len(guesses[i]) < wanted[i].n and self._room(wanted[i], len(guesses[i]))
            ]
        return guesses

    def forget(self, number: int) -> None:
        """See Drafter."""
        text = self._texts.pop(number, None)
        if text is not None:
            self._pages.give_back(text.pages)

    def close(self) -> None:
        """See Drafter."""
        for number in list(self._texts):
            self.forget(number)
        self.runtime.close()

    def _catch_up(self, wanted: Sequence[Wanted]) -> list[int]:
        """Computes what is missing of the texts; those that can be guessed after now."""
        budget = PREFILL_CHUNK
        ready: list[int] = []
        chunks: list[Work] = []
        for i, each in enumerate(wanted[: self.runtime.limits.max_batch]):
            text = self._texts.setdefault(each.number, _Text())
            text.rewind(each.tokens)
            missing = len(each.tokens) - len(text.held)
            if not self._room(each, 0):
                continue
            if missing <= budget:
                ready.append(i)
                budget -= missing
            elif budget:
                work = self._work(each, [], final=False)
                chunk = list(work.tokens[: min(budget, missing - 1)])
                chunks.append(Work(each.number, chunk, work.start, work.pages, None))
                budget -= len(chunk)
        if chunks:
            self.runtime.step(Batch(tuple(chunks)))
            for work in chunks:
                self._texts[work.request].held.extend(work.tokens)
        return ready

    def _work(self, wanted: Wanted, guesses: list[int], *, final: bool) -> Work:
        """What the cache lacks of the text and the guesses after it."""
        text = self._texts[wanted.number]
        start = len(text.held)
        known = len(wanted.tokens)
        tokens = [*wanted.tokens[start:], *guesses[max(0, start - known) :]]
        history = [*wanted.tokens, *guesses] if final and wanted.sampling.penalized else ()
        return Work(
            wanted.number, tokens, start, text.pages, wanted.sampling, history, wanted.n_prompt
        )

    def _room(self, wanted: Wanted, guesses: int) -> bool:
        """Whether the small model can take the text and ``guesses``; takes the pages for it."""
        limits = self.runtime.limits
        length = len(wanted.tokens) + guesses
        if length > limits.max_seq_len:
            return False
        text = self._texts[wanted.number]
        lacking = -(-length // limits.page_size) - len(text.pages)
        if lacking > self._pages.available:
            return False
        if lacking > 0:
            text.pages += self._pages.take(lacking)
        return True
