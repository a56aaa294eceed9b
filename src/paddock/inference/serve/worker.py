"""The process that has the model: takes requests, runs the engine, tells what came.

A process of its own, so that the HTTP side stays responsive while a step computes, and so that a
crash in native code ends the requests it had and not the server.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from dataclasses import asdict
from typing import Any

from paddock.errors import PaddockError, RanksLost, RuntimeLost
from paddock.inference.engine.request import Request
from paddock.inference.llm import LLM
from paddock.inference.runtimes.base import Recoverable
from paddock.inference.serve.grammar import Grammars
from paddock.inference.serve.link import WorkerEnd
from paddock.inference.serve.outgoing import Outgoing
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

STATS_EVERY = 0.25
"""Seconds between two reports of the engine's statistics, and one when it comes to rest."""


def run(
    server: socket.socket, model: str | None, options: dict[str, Any], stream_interval_s: float
) -> None:
    """The process's main function: until the server says stop or is gone."""
    # Ctrl-C reaches the whole group; the server decides what becomes of running requests.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    link = WorkerEnd(server)
    try:
        llm = LLM.open(model, **options)
    except PaddockError as error:
        link.send(_failed(error))
        return
    link.send(Ready(llm.runtime.limits))
    try:
        _Loop(link, llm, stream_interval_s).run()
    except (EOFError, ConnectionError):
        pass
    except RuntimeLost as error:
        sys.exit(f"the worker ends: {error}")
    except PaddockError as error:
        link.send(_failed(error))
    finally:
        llm.close()


def _failed(error: PaddockError) -> Failed:
    return Failed(type(error).__name__, error.message, error.hint)


class _Loop:
    def __init__(self, link: WorkerEnd, llm: LLM, stream_interval_s: float) -> None:
        self._link = link
        self._engine = llm.engine
        self._runtime = llm.runtime
        self._tokenizer = llm.tokenizer
        self._grammars: Grammars | None = None
        self._outgoing = Outgoing(stream_interval_s)
        self._reported = 0.0

    def run(self) -> None:
        """Alternates between the server's messages and the engine's steps."""
        while True:
            while self._link.waiting(block=not self._outgoing):
                message = self._link.receive()
                if isinstance(message, Stop):
                    return
                self._take(message)
            if self._outgoing:
                self._step()

    def _take(self, message: Message) -> None:
        if isinstance(message, Cancel):
            added = self._outgoing.added(message.number)
            if added is not None:
                self._engine.cancel(added)
        elif isinstance(message, Add):
            try:
                added = self._engine.add(self._request(message.ask))
            except PaddockError as error:
                self._link.send(Refused(message.number, str(error)))
                return
            self._outgoing.open(added, message.number, message.ask)

    def _request(self, ask: Ask) -> Request:
        constrain = None
        if ask.grammar is not None:
            self._grammars = self._grammars or Grammars(self._tokenizer)
            constrain = self._grammars.constraint(ask.grammar)
        return Request(
            ask.prompt,
            ask.sampling,
            ask.max_new_tokens,
            ask.stop_ids,
            ask.stop,
            fresh=ask.fresh,
            n=ask.n,
            logprobs=ask.logprobs,
            constrain=constrain,
        )

    def _step(self) -> None:
        try:
            events = self._engine.step()
        except RanksLost as error:
            self._recover(str(error))
            return
        except RuntimeLost as error:
            # Nothing more can be computed in this process: the supervisor starts another.
            self._fail_all(str(error), lost=True)
            raise
        except PaddockError as error:
            # Whose fault it is cannot be told: all that were part of the step end, others go on.
            self._fail_all(str(error))
            return
        now = time.monotonic()
        self._tell(self._outgoing.take(events, now, self._engine.expected_s), now)

    def _tell(self, pieces: list[Piece], now: float) -> None:
        """Sends pieces and, when it is time for them, statistics."""
        stats = None
        if now - self._reported > STATS_EVERY or not self._outgoing:
            self._reported = now
            stats = asdict(self._engine.stats())
        if pieces or stats:
            self._link.send(Told(pieces, stats))

    def _recover(self, why: str) -> None:
        """Ranks were lost: who was in the middle of an answer is told, the others wait for more.

        Raises PaddockError if there will be no other group.
        """
        self._tell(self._outgoing.flush(), time.monotonic())
        for added in self._engine.lost():
            self._link.send(Broken(self._outgoing.drop(added), why))
        self._link.send(Lost(why))
        assert isinstance(self._runtime, Recoverable), "only such runtimes lose ranks"
        self._runtime.recover()
        self._link.send(Ready(self._runtime.limits))

    def _fail_all(self, message: str, lost: bool = False) -> None:
        self._tell(self._outgoing.flush(), time.monotonic())
        for added, number in self._outgoing.numbers():
            self._engine.cancel(added)
            self._outgoing.drop(added)
            self._link.send(Broken(number, message))
        if not lost:
            self._engine.step()
