"""Answers both kinds of completion: whole or as a stream, several prompts and answers at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from paddock.inference.serve.answers import Answer, Shape, usage_of
from paddock.inference.serve.errors import ApiError
from paddock.inference.serve.schema import CompletionRequest, Generation
from paddock.inference.serve.state import State
from paddock.inference.serve.wire import Ask, Piece

_encode = msgspec.json.Encoder().encode


async def complete(
    state: State, request: Request, asked: Generation, prompts: Sequence[list[int]]
) -> Response:
    """The response to a checked request. What is raised (400, 429, 503) is so before any byte."""
    limits = state.limits()
    asks = [state.served.ask(asked, prompt, limits) for prompt in prompts]
    job = _Job(state, asked, asks)
    state.enter(job.places)
    if asked.stream:
        return _Stream(job)
    body = await _unless_gone(request.receive, job.whole())
    return JSONResponse(body) if body is not None else Response(status_code=499)


class _Stream(Response):
    """A job's chunks. It is over when the response is, even if not one chunk was asked for.

    Starlette's own sends an empty chunk behind the last one, and has a task group for each
    response: a quarter of what a stream costs where the model is small.
    """

    def __init__(self, job: _Job) -> None:
        headers = {"Cache-Control": "no-cache"}
        super().__init__(media_type="text/event-stream", headers=headers)
        del self.headers["content-length"]
        self._job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await _unless_gone(receive, self._send(send))
        finally:
            # A client that leaves before the first chunk leaves a generator that never began,
            # whose own end does not come.
            self._job.done()

    async def _send(self, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        async with aclosing(self._job.stream()) as chunks:
            async for chunk, more in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": more})


class _Job:
    """One HTTP request: its prompts' answers, numbered prompt by prompt."""

    def __init__(self, state: State, asked: Generation, asks: Sequence[Ask]) -> None:
        self.state, self.asks = state, asks
        self.n = asked.n
        self.places = len(asks) * self.n
        self.shape = Shape(state.served, asked)
        self.answers = [Answer() for _ in range(self.places)]
        echo = isinstance(asked, CompletionRequest) and asked.echo
        decode = state.served.tokenizer.decode
        self.echoes = [decode(ask.prompt) if echo else "" for ask in asks for _ in range(self.n)]
        self._begin = time.monotonic()
        self._user = asked.user
        self._over = self._measured = False

    async def whole(self) -> dict[str, Any]:
        """The response's body."""
        try:
            async with aclosing(self._pieces()) as pieces:
                async for place, piece in pieces:
                    self.answers[place].add(piece, keep=self.shape.with_logprobs)
        finally:
            self.done()
        choices = [
            self.shape.choice(i, answer, echo)
            for i, (answer, echo) in enumerate(zip(self.answers, self.echoes, strict=True))
        ]
        return self.shape.whole(choices, self._usage())

    async def stream(self) -> AsyncGenerator[tuple[bytes, bool], None]:
        """The response's chunks as server-sent events, and whether more come."""
        try:
            for i, echo in enumerate(self.echoes):
                first = self.shape.first(i, echo)
                if first:
                    yield _sent(self.shape.chunk(first, self._so_far())), True
            # The end goes out in one part: the last text, the token counts and the mark.
            end, left = b"", self.places
            lengths = [len(echo) for echo in self.echoes]
            async with aclosing(self._pieces()) as pieces:
                async for place, piece in pieces:
                    self.answers[place].add(piece, keep=False)
                    left -= piece.finish is not None
                    if piece.text or piece.finish or piece.scored:
                        choice = self.shape.piece(place, piece, lengths[place])
                        end = _sent(self.shape.chunk([choice], self._so_far()))
                        if left:
                            yield end, True
                    lengths[place] += len(piece.text)
            if self.shape.usage_in_chunks:
                end += _sent(self.shape.chunk([], self._usage()))
            self._measure()
            yield end + b"data: [DONE]\n\n", False
        except ApiError as error:
            # The status is out already: the error is the last thing that the stream says.
            yield _sent(error.body()), False
        finally:
            self.done()

    def _pieces(self) -> AsyncGenerator[tuple[int, Piece], None]:
        """(answer's number, piece) of all prompts as they come, within the request's time."""
        sources = [self._of(i) for i in range(len(self.asks))]
        return sources[0] if len(sources) == 1 else _merged(sources)

    async def _of(self, prompt: int) -> AsyncGenerator[tuple[int, Piece], None]:
        left = self.state.config.request_timeout - (time.monotonic() - self._begin)
        async with aclosing(self.state.supervisor.generate(self.asks[prompt], left)) as pieces:
            async for piece in pieces:
                yield prompt * self.n + piece.index, piece

    def _usage(self) -> dict[str, Any]:
        return usage_of(self.answers, sum(len(ask.prompt) for ask in self.asks))

    def _so_far(self) -> dict[str, Any] | None:
        return self._usage() if self.shape.usage_in_each else None

    def done(self) -> None:
        """Places, metrics and log, however it ended; again it does nothing."""
        if self._over:
            return
        self._over = True
        self._measure()
        self.state.leave(self.places)

    def _measure(self) -> None:
        """Metrics and log; again it does nothing."""
        if self._measured:
            return
        self._measured = True
        metrics = self.state.metrics
        prompt_tokens = sum(len(ask.prompt) for ask in self.asks)
        metrics.prompt_tokens.labels(metrics.model).inc(prompt_tokens)
        metrics.prompt_size.observe(prompt_tokens)
        for answer in self.answers:
            if answer.first_s is not None:
                metrics.ttft.observe(answer.first_s - self._begin)
            if answer.finish is None or answer.usage is None:
                continue
            made = answer.usage.new_tokens
            metrics.new_tokens.labels(metrics.model).inc(made)
            metrics.answer_size.observe(made)
            metrics.latency.observe(answer.told_s - self._begin)
            metrics.success.labels(metrics.model, answer.finish).inc()
            if made > 1 and answer.first_s is not None:
                metrics.tpot.observe((answer.last_s - answer.first_s) / (made - 1))
        if self.state.log.prompts:
            decode = self.state.served.tokenizer.decode
            self.state.log.said(
                user=self._user,
                prompts=[decode(ask.prompt) for ask in self.asks],
                answers=[answer.text for answer in self.answers],
            )


async def _merged(sources: list[Any]) -> AsyncGenerator[Any, None]:
    """Items of several async iterators as they come."""
    done = object()
    items: asyncio.Queue[Any] = asyncio.Queue()

    async def drain(source: Any) -> None:
        try:
            async for item in source:
                items.put_nowait(item)
            items.put_nowait(done)
        except ApiError as error:
            items.put_nowait(error)
        finally:
            await source.aclose()

    tasks = [asyncio.create_task(drain(source)) for source in sources]
    try:
        left = len(tasks)
        while left:
            item = await items.get()
            if isinstance(item, ApiError):
                raise item
            if item is done:
                left -= 1
                continue
            yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _unless_gone(receive: Receive, work: Any) -> Any:
    """The result of ``work``, which is cancelled (None) if the client goes away first."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        return None
    finally:
        for one in (task, watch):
            one.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _sent(body: dict[str, Any]) -> bytes:
    return b"data: " + _encode(body) + b"\n\n"
