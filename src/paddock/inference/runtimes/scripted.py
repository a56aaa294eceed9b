"""The shipped fake: answers from a script and checks every batch, so engines are tested in ms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paddock.errors import GenerationError
from paddock.inference.runtimes.base import Batch, Choice, Limits, Work


class ScriptedRuntime:
    """A Runtime whose next token is ``script(tokens so far)``.

    It keeps what a real cache would hold, page by page, and raises GenerationError if a work
    reads a position that nobody wrote, or that another request has overwritten.
    """

    def __init__(self, script: Callable[[Sequence[int]], int], limits: Limits) -> None:
        self.script = script
        self.limits = limits
        self.batches: list[Batch] = []
        self._cells: dict[tuple[int, int], tuple[int, int]] = {}

    def step(self, batch: Batch) -> list[Choice]:
        """See Runtime."""
        if not 0 < len(batch.work) <= self.limits.max_batch:
            raise GenerationError(f"a step with {len(batch.work)} requests")
        self.batches.append(batch)
        answers = []
        for work in batch.work:
            text = self._remember(work)
            if work.sampling is None:
                continue
            if work.sampling.penalized and list(work.history) != text:
                raise GenerationError(f"request {work.request}: history differs from the cache")
            for end in range(len(text) - work.n_draft, len(text) + 1):
                answers.append(Choice(self.script(text[:end])))
        return answers

    def close(self) -> None:
        """See Runtime."""
        self._cells.clear()

    def _remember(self, work: Work) -> list[int]:
        """Writes the work's tokens and reads the request's whole text back."""
        end = work.start + len(work.tokens)
        if not work.tokens or end > self.limits.max_seq_len:
            raise GenerationError(f"request {work.request}: positions {work.start} to {end}")
        if any(not 0 <= page < self.limits.n_pages for page in work.pages):
            raise GenerationError(f"request {work.request}: no such page in {work.pages}")
        if len(work.pages) * self.limits.page_size < end:
            raise GenerationError(f"request {work.request}: {end} positions do not fit its pages")
        for position, token in enumerate(work.tokens, work.start):
            self._cells[self._cell(work, position)] = (work.request, token)
        text = []
        for position in range(end):
            owner, token = self._cells.get(self._cell(work, position), (None, 0))
            if owner != work.request:
                raise GenerationError(
                    f"request {work.request} reads position {position}, written by {owner}"
                )
            text.append(token)
        return text

    def _cell(self, work: Work, position: int) -> tuple[int, int]:
        page, offset = divmod(position, self.limits.page_size)
        return work.pages[page], offset
