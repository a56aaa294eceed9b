"""The server's side of the worker: starts it, hands out its events, starts it again if it dies."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncGenerator, Callable
from multiprocessing import get_context
from typing import Any

from paddock import errors
from paddock.errors import PaddockError
from paddock.inference.runtimes.base import Limits
from paddock.inference.serve import worker
from paddock.inference.serve.errors import ApiError, unavailable
from paddock.inference.serve.link import ServerEnd
from paddock.inference.serve.wire import (
    Add,
    Ask,
    Broken,
    Cancel,
    Failed,
    Lost,
    Message,
    Piece,
    Ready,
    Refused,
    Stop,
    Told,
)

RESTARTS, WITHIN = 5, 60.0
"""A worker that died so often within so many seconds is not started again."""


class Supervisor:
    """One worker process. All methods are called from the server's event loop."""

    def __init__(
        self,
        model: str | None,
        options: dict[str, Any],
        *,
        stream_interval_s: float = 0.0,
        on_stats: Callable[[dict[str, Any]], None] = lambda stats: None,
        on_death: Callable[[int | None], None] = lambda code: None,
        on_loss: Callable[[str], None] = lambda why: None,
        target: Callable[..., None] = worker.run,
    ) -> None:
        self.limits: Limits | None = None
        self.failure: PaddockError | None = None
        self.deaths = 0
        self._arguments, self._target = (model, options, stream_interval_s), target
        self._on_stats, self._on_death, self._on_loss = on_stats, on_death, on_loss
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Queue[Piece | ApiError]] = {}
        self._died: list[float] = []
        self._stopping = False
        self._changed = asyncio.Event()
        self._link: ServerEnd | None = None
        self._process: Any = None

    @property
    def ready(self) -> bool:
        """Whether the model is loaded and the worker lives."""
        return self.limits is not None

    @property
    def in_flight(self) -> int:
        """Requests that the worker has and that have not ended."""
        return len(self._waiting)

    def start(self) -> None:
        """Starts the worker; it is ready some time later."""
        context = get_context("spawn")
        mine, theirs = socket.socketpair()
        self._process = context.Process(
            target=self._target,
            args=(theirs, *self._arguments),
            name="paddock-worker",
            # Several ranks are started by the worker, which a daemon may not do.
            daemon=False,
        )
        self._process.start()
        theirs.close()
        self._link = ServerEnd(mine, self._hear)

    async def until_ready(self) -> None:
        """Waits for the first loading to end. Raises what LLM.open raised in the worker."""
        while not self.ready:
            if self.failure is not None:
                raise self.failure
            self._changed.clear()
            await self._changed.wait()

    async def generate(self, ask: Ask, timeout: float) -> AsyncGenerator[Piece, None]:
        """What comes of one request. Leaving the loop early cancels it.

        Raises ApiError: 503 if there is no worker, it dies or there is no end after ``timeout``
        seconds, 400 if the engine refuses.
        """
        if self._link is None or not self.ready:
            raise unavailable("the model is not loaded yet", retry_after=5)
        number = next(self._numbers)
        self._link.send(Add(number, ask))
        pieces: asyncio.Queue[Piece | ApiError] = asyncio.Queue()
        self._waiting[number] = pieces
        left = ask.n
        late = unavailable(f"the answer was not there after {round(timeout, 1):g} s")
        # One timer for the answer: one for each token (wait_for) costs as much as sending it.
        timer = asyncio.get_running_loop().call_later(timeout, pieces.put_nowait, late)
        try:
            while left:
                piece = await pieces.get()
                if isinstance(piece, ApiError):
                    # Whoever refused or died does not compute it any more.
                    left = left if piece is late else 0
                    raise piece
                left -= piece.finish is not None
                yield piece
        finally:
            timer.cancel()
            self._waiting.pop(number, None)
            if left:
                self._link.send(Cancel(number))

    def kill(self) -> None:
        """Ends the worker at once."""
        self._stopping = True
        if self._process is not None and self._process.is_alive():
            self._process.kill()

    async def stop(self) -> None:
        """Asks the worker to end and waits a little for it."""
        self._stopping = True
        if self._link is not None:
            self._link.send(Stop())
        for _ in range(100):
            if self._process is None or not self._process.is_alive():
                break
            await asyncio.sleep(0.05)
        self.kill()
        if self._link is not None:
            self._link.close()

    def _hear(self, message: Message | None) -> None:
        """One message, in the event loop; None means that the worker is gone."""
        if message is None:
            self._gone()
        elif isinstance(message, Told):
            for piece in message.pieces:
                self._hand(piece.request, piece)
            if message.stats is not None:
                self._on_stats(message.stats)
        elif isinstance(message, Refused):
            refusal = ApiError(400, message.message, code="invalid_value")
            self._hand(message.number, refusal)
        elif isinstance(message, Broken):
            self._hand(message.number, unavailable(message.message))
        elif isinstance(message, Ready):
            self.limits = message.limits
            self._changed.set()
        elif isinstance(message, Lost):
            # The worker keeps what waits in it, and says "ready" when it goes on.
            self.limits = None
            self._on_loss(message.why)
        elif isinstance(message, Failed):
            known = getattr(errors, message.error, PaddockError)
            self.failure = _again(known, message.message, message.hint)
            self._changed.set()

    def _hand(self, number: int, item: Piece | ApiError) -> None:
        pieces = self._waiting.get(number)
        if pieces is not None:
            pieces.put_nowait(item)

    def _gone(self) -> None:
        was_ready, self.limits = self.ready, None
        for pieces in self._waiting.values():
            pieces.put_nowait(unavailable("the worker died while it computed this answer"))
        self._changed.set()
        if self._stopping or self.failure is not None:
            return
        self._process.join(timeout=5)
        self.deaths += 1
        self._on_death(self._process.exitcode)
        now = time.monotonic()
        self._died = [at for at in self._died if now - at < WITHIN] + [now]
        if len(self._died) > RESTARTS or (not was_ready and self.deaths == 1):
            self.failure = PaddockError(
                f"the worker died {len(self._died)} times in a row (exit code"
                f" {self._process.exitcode})",
                hint="its own messages above say why; memory is a frequent reason",
            )
            return
        self.start()


def _again(kind: type[PaddockError], message: str, hint: str | None) -> PaddockError:
    """An exception of ``kind``, whose constructor may want other things than a message."""
    error = kind.__new__(kind)
    PaddockError.__init__(error, message, hint=hint)
    return error
