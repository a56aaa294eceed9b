"""Runs requests together: admits what fits, asks the runtime for one step after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from paddock.errors import PromptTooLong, UsageError
from paddock.inference.engine.pages import PageAllocator
from paddock.inference.engine.request import Event, Finish, Request
from paddock.inference.engine.text import TextStream
from paddock.inference.runtimes.base import Batch, Runtime, Work
from paddock.inference.tokenizer.base import Tokenizer

PREFILL_CHUNK = 512
"""Prompt tokens of one request in one step: bounds the memory of a step's activations."""


class Engine:
    """Continuous batching over one runtime. With a tokenizer its events carry text."""

    def __init__(self, runtime: Runtime, tokenizer: Tokenizer | None = None) -> None:
        self.runtime = runtime
        self.tokenizer = tokenizer
        self._pages = PageAllocator(runtime.limits.n_pages)

    def stream(self, requests: Sequence[Request]) -> Iterator[Event]:
        """Events of all requests as they come, each request's in order.

        Everything is checked before the first step (PromptTooLong, UsageError). Closing the
        iterator early gives the pages back.
        """
        for request in requests:
            self._check(request)
        waiting = deque(_Running(i, request, self.tokenizer) for i, request in enumerate(requests))
        running: list[_Running] = []
        try:
            while waiting or running:
                self._admit(waiting, running)
                batch = Batch(tuple(item.work() for item in running))
                choices = iter(self.runtime.step(batch))
                for item, work in zip(tuple(running), batch.work, strict=True):
                    item.computed = work.start + len(work.tokens)
                    if work.sampling is None:
                        continue
                    event = item.advance(next(choices).token, self.runtime.limits.max_seq_len)
                    if event.finish:
                        running.remove(item)
                        self._pages.give_back(item.pages)
                    yield event
        finally:
            for item in running:
                self._pages.give_back(item.pages)

    def run(self, requests: Sequence[Request]) -> list[list[int]]:
        """The new tokens of each request; a stop token that ended it is the last."""
        answers: list[list[int]] = [[] for _ in requests]
        for event in self.stream(requests):
            answers[event.index].append(event.token)
        return answers

    def _check(self, request: Request) -> None:
        room = self.runtime.limits.max_seq_len
        if len(request.prompt) >= room:
            raise PromptTooLong(
                f"the prompt has {len(request.prompt)} tokens, the context {room} in all",
                hint="shorten the prompt or open the model with a larger max_seq_len",
            )
        if request.stop and self.tokenizer is None:
            raise UsageError("stop strings need a tokenizer", hint="use stop_ids")

    def _admit(self, waiting: deque[_Running], running: list[_Running]) -> None:
        """Lets requests in, first come first served, while their longest answer would fit."""
        limits = self.runtime.limits
        while waiting and len(running) < limits.max_batch:
            request = waiting[0].request
            longest = min(len(request.prompt) + request.max_new_tokens, limits.max_seq_len)
            needed = -(-longest // limits.page_size)
            if needed > self._pages.free:
                return
            waiting[0].pages = self._pages.take(needed)
            running.append(waiting.popleft())


class _Running:
    """A request under way: its text so far, its pages, and how much of it the cache holds."""

    def __init__(self, index: int, request: Request, tokenizer: Tokenizer | None) -> None:
        self.index = index
        self.request = request
        self.tokens = list(request.prompt)
        self.pages: tuple[int, ...] = ()
        self.computed = 0
        self._text = TextStream(tokenizer, request.stop, fresh=request.fresh) if tokenizer else None

    def work(self) -> Work:
        """The next chunk of what is not in the cache yet."""
        start = self.computed
        chunk = self.tokens[start : start + PREFILL_CHUNK]
        sampling = self.request.sampling
        ends = start + len(chunk) == len(self.tokens)
        return Work(
            self.index,
            chunk,
            start,
            self.pages,
            sampling if ends else None,
            self.tokens if ends and sampling.penalized else (),
            len(self.request.prompt),
        )

    def advance(self, token: int, max_seq_len: int) -> Event:
        """Takes the token that was chosen and says what became of the request."""
        self.tokens.append(token)
        if not self.request.use_past:
            self.computed = 0
        made = len(self.tokens) - len(self.request.prompt)
        finish: Finish | None = None
        if token in self.request.stop_ids:
            finish = "stop"
        elif made >= self.request.max_new_tokens or len(self.tokens) >= max_seq_len:
            finish = "length"
        text = ""
        if self._text is not None:
            text = "" if finish == "stop" else self._text.push(token)
            if finish:
                text += self._text.flush()
            if self._text.stopped:
                finish = "stop"
        return Event(self.index, token, text, finish)
