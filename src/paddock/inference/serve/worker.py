"""The process that has the model: takes requests from a pipe, runs the engine, sends its events.

A process of its own, so that the HTTP side stays responsive while a step computes, and so that a
crash in native code ends the requests it had and not the server.
"""

from __future__ import annotations

import select
import signal
import sys
import time
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

from paddock.errors import PaddockError, RanksLost, RuntimeLost
from paddock.inference.engine.request import Request
from paddock.inference.llm import LLM
from paddock.inference.runtimes.base import Recoverable, Runtime
from paddock.inference.serve.grammar import Grammars
from paddock.inference.serve.wire import Ask, decode, encode, event_to_list

STATS_EVERY = 0.25
"""Seconds between two reports of the engine's statistics, and one when it comes to rest."""


def run(pipe: Connection, model: str | None, options: dict[str, Any]) -> None:
    """The process's main function: until the pipe says stop or its other end is gone."""
    # Ctrl-C reaches the whole group; the server decides what becomes of running requests.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        llm = LLM.open(model, **options)
    except PaddockError as error:
        pipe.send_bytes(_failed(error))
        return
    pipe.send_bytes(_ready(llm.runtime))
    try:
        _Loop(pipe, llm).run()
    except (EOFError, BrokenPipeError):
        pass
    except RuntimeLost as error:
        sys.exit(f"the worker ends: {error}")
    except PaddockError as error:
        pipe.send_bytes(_failed(error))
    finally:
        llm.close()


def _ready(runtime: Runtime) -> bytes:
    return encode("ready", limits=asdict(runtime.limits))


def _failed(error: PaddockError) -> bytes:
    return encode("failed", error=type(error).__name__, message=error.message, hint=error.hint)


class _Loop:
    def __init__(self, pipe: Connection, llm: LLM) -> None:
        self._pipe = pipe
        # Connection.poll makes a selector each time: 8 % of this thread with the built-in model.
        self._incoming = select.poll()
        self._incoming.register(pipe.fileno(), select.POLLIN)
        self._engine = llm.engine
        self._runtime = llm.runtime
        self._tokenizer = llm.tokenizer
        self._grammars: Grammars | None = None
        self._numbers: dict[int, int] = {}  # engine's -> the server's
        self._asked: dict[int, int] = {}  # the server's -> engine's
        self._open: dict[int, int] = {}  # answers still to end
        self._reported = 0.0

    def run(self) -> None:
        """Alternates between the pipe and the engine's steps."""
        while True:
            busy = bool(self._open)
            while self._incoming.poll(0 if busy else None):
                message = decode(self._pipe.recv_bytes())
                if message["kind"] == "stop":
                    return
                self._take(message)
                busy = bool(self._open)
            if busy:
                self._step()

    def _take(self, message: dict[str, Any]) -> None:
        number = message["number"]
        if message["kind"] == "cancel":
            if number in self._asked:
                self._engine.cancel(self._asked[number])
            return
        ask = Ask.from_dict(message["ask"])
        try:
            added = self._engine.add(self._request(ask))
        except PaddockError as error:
            self._pipe.send_bytes(encode("refused", number=number, message=str(error)))
            return
        self._numbers[added], self._asked[number], self._open[number] = number, added, ask.n

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
        rows = []
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
        for event in events:
            if event.request not in self._numbers:
                continue  # the end of one that was told already that it is broken
            number = self._numbers[event.request]
            row = event_to_list(event)
            row[0] = number
            rows.append(row)
            if event.finish is not None:
                self._ended(event.request, number)
        now = time.monotonic()
        stats = None
        if now - self._reported > STATS_EVERY or not self._open:
            self._reported = now
            stats = asdict(self._engine.stats())
        if rows or stats:
            self._pipe.send_bytes(encode("step", events=rows, stats=stats))

    def _recover(self, why: str) -> None:
        """Ranks were lost: who was in the middle of an answer is told, the others wait for more.

        Raises PaddockError if there will be no other group.
        """
        for added in self._engine.lost():
            number = self._numbers.pop(added)
            del self._asked[number], self._open[number]
            self._pipe.send_bytes(encode("broken", number=number, message=why))
        self._pipe.send_bytes(encode("lost", why=why))
        assert isinstance(self._runtime, Recoverable), "only such runtimes lose ranks"
        self._runtime.recover()
        self._pipe.send_bytes(_ready(self._runtime))

    def _fail_all(self, message: str, lost: bool = False) -> None:
        for number, added in list(self._asked.items()):
            self._engine.cancel(added)
            self._pipe.send_bytes(encode("broken", number=number, message=message))
        if not lost:
            self._engine.step()
        self._numbers.clear()
        self._asked.clear()
        self._open.clear()

    def _ended(self, engine_number: int, number: int) -> None:
        self._open[number] -= 1
        if not self._open[number]:
            del self._open[number], self._asked[number], self._numbers[engine_number]
