"""The shipped fake: answers from a script and checks every batch, so engines are tested in ms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from paddock.errors import GenerationError
from paddock.inference.runtimes.base import Batch, Choice, Limits, Work


class _Cell(NamedTuple):
    """What one position of a page holds: who wrote it, and what it was computed from."""

    owner: int
    token: int
    text: int  # hash of the whole text up to this token: keys and values depend on all of it


class ScriptedRuntime:
    """A Runtime whose next token is ``script(tokens so far)``.

    It keeps what a real cache would hold, cell by cell, and raises GenerationError if a work

    - breaks the contract of ``Work`` (positions, pages, guesses, history, masks),
    - writes into a page that another work of the step uses,
    - reads a position that nobody wrote, or whose cell was computed from another text,
    - reads another request's cell from a page that was not full before its own tokens begin: only
      full pages can be shared.

    Where the scripted token is not ``allowed``, the next higher id that is (cyclically) is chosen.
    Log probabilities are -ln 2 for the chosen token, and halve for each id above it.
    """

    def __init__(self, script: Callable[[Sequence[int]], int], limits: Limits) -> None:
        self.script = script
        self.limits = limits
        self.batches: list[Batch] = []
        self._cells: dict[tuple[int, int], _Cell] = {}

    def step(self, batch: Batch) -> list[Choice]:
        """See Runtime."""
        if not 0 < len(batch.work) <= self.limits.max_batch:
            raise GenerationError(f"a step with {len(batch.work)} requests")
        if len({work.request for work in batch.work}) < len(batch.work):
            raise GenerationError("a request is twice in a step")
        for work in batch.work:
            self._check(work)
        self._check_apart(batch)
        self.batches.append(batch)
        # A real runtime writes everything before anything is read.
        for work in batch.work:
            self._write(work)
        answers: list[Choice] = []
        for work in batch.work:
            text = self._read(work)
            if work.sampling is None:
                continue
            if work.sampling.penalized and list(work.history) != text:
                raise GenerationError(f"request {work.request}: history differs from the cache")
            for end in range(len(text) - work.n_draft, len(text) + 1):
                answers.append(self._choose(work, self.script(text[:end])))
        return answers

    def close(self) -> None:
        """See Runtime."""
        self._cells.clear()

    def _choose(self, work: Work, token: int) -> Choice:
        if work.allowed is not None:
            vocab = self.limits.vocab_size
            every = ((token + i) % vocab for i in range(vocab))
            found = next((i for i in every if work.allowed[i // 8] >> i % 8 & 1), None)
            if found is None:
                raise GenerationError(f"request {work.request}: no token is allowed")
            token = found
        if work.logprobs is None:
            return Choice(token)
        top = tuple(
            ((token + i) % self.limits.vocab_size, -(i + 1) * math.log(2))
            for i in range(min(work.logprobs, self.limits.vocab_size))
        )
        return Choice(token, -math.log(2), top)

    def _check(self, work: Work) -> None:
        limits, end = self.limits, work.start + len(work.tokens)
        name = f"request {work.request}"
        if not work.tokens or work.start < 0 or end > limits.max_seq_len:
            raise GenerationError(f"{name}: positions {work.start} to {end}")
        if not 0 <= min(work.tokens) <= max(work.tokens) < limits.vocab_size:
            raise GenerationError(f"{name}: a token id outside 0..{limits.vocab_size - 1}")
        if any(not 0 <= page < limits.n_pages for page in work.pages):
            raise GenerationError(f"{name}: no such page in {work.pages}")
        if len(set(work.pages)) < len(work.pages):
            raise GenerationError(f"{name}: a page twice in {work.pages}")
        if len(work.pages) * limits.page_size < end:
            raise GenerationError(f"{name}: {end} positions do not fit its pages")
        if not 0 <= work.n_draft < len(work.tokens) or (work.n_draft and work.sampling is None):
            raise GenerationError(f"{name}: {work.n_draft} guesses in {len(work.tokens)} tokens")
        if work.allowed is not None and (
            work.n_draft or len(work.allowed) != -(-limits.vocab_size // 8)
        ):
            raise GenerationError(f"{name}: a mask of {len(work.allowed)} bytes")
        if work.logprobs is not None and work.logprobs < 0:
            raise GenerationError(f"{name}: {work.logprobs} log probabilities")

    def _check_apart(self, batch: Batch) -> None:
        """No page that is written is another work's too."""
        users: dict[int, int] = {}
        for work in batch.work:
            for page in work.pages:
                users[page] = users.get(page, 0) + 1
        size = self.limits.page_size
        for work in batch.work:
            end = work.start + len(work.tokens)
            for page in work.pages[work.start // size : -(-end // size)]:
                if users[page] > 1:
                    raise GenerationError(f"request {work.request} writes page {page}, in use")

    def _write(self, work: Work) -> None:
        before = self._cell(work, work.start - 1)
        text = before.text if before else 0
        for position, token in enumerate(work.tokens, work.start):
            text = hash((text, token))
            page, offset = divmod(position, self.limits.page_size)
            self._cells[work.pages[page], offset] = _Cell(work.request, token, text)

    def _read(self, work: Work) -> list[int]:
        """The request's whole text, as the cache has it."""
        size = self.limits.page_size
        tokens: list[int] = []
        text = 0
        for position in range(work.start + len(work.tokens)):
            cell = self._cell(work, position)
            where = f"request {work.request} reads position {position}"
            if cell is None:
                raise GenerationError(f"{where}, which nobody wrote")
            text = hash((text, cell.token))
            if cell.text != text:
                raise GenerationError(f"{where}, computed from another text by {cell.owner}")
            if cell.owner != work.request and position // size >= work.start // size:
                raise GenerationError(f"{where}, written by {cell.owner} in a page not full")
            tokens.append(cell.token)
        return tokens

    def _cell(self, work: Work, position: int) -> _Cell | None:
        if position < 0:
            return None
        page, offset = divmod(position, self.limits.page_size)
        return self._cells.get((work.pages[page], offset))
