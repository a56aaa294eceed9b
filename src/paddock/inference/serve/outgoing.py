"""What the worker tells of its answers, and when: tokens of a few milliseconds go together.

Each message and each event of a stream costs the processor as much as a small model's token does,
in three processes: worker, server and client. What comes more often than people can see is
therefore handed on together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from paddock.inference.engine.request import Event
from paddock.inference.serve.wire import Ask, Piece, Scored


class Outgoing:
    """The requests under way, by the engine's numbers, and what is still to be told of them.

    An answer's first token goes out at once, and so does its end with all that was held back.
    Tokens between wait for at most ``interval_s`` seconds, also where the next step would take
    longer than that. Of an answer that is not streamed nothing goes out before its end.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._requests: dict[int, _Request] = {}
        self._added: dict[int, int] = {}  # the server's numbers -> the engine's
        self._held: list[_Answer] = []
        self._due = math.inf

    def __len__(self) -> int:
        """How many requests are under way."""
        return len(self._requests)

    def open(self, added: int, number: int, ask: Ask) -> None:
        """The engine took a request as ``added``, which the server calls ``number``."""
        self._requests[added] = _Request(number, ask)
        self._added[number] = added

    def added(self, number: int) -> int | None:
        """The engine's number of a request; None if it is over."""
        return self._added.get(number)

    def numbers(self) -> list[tuple[int, int]]:
        """(engine's, server's) numbers of all that are under way."""
        return [(added, number) for number, added in self._added.items()]

    def drop(self, added: int) -> int:
        """Nothing more is told of a request; the server's number of it."""
        number = self._requests.pop(added).number
        del self._added[number]
        return number

    def take(self, events: Sequence[Event], now: float, next_s: Callable[[], float]) -> list[Piece]:
        """Takes a step's events in, ``now`` in seconds; returns what is to be told at once.

        ``next_s`` says how long the next step may take.
        """
        ready: list[Piece] = []
        for event in events:
            request = self._requests.get(event.request)
            if request is None:
                continue  # the end of one that was told already that it is broken
            answer = request.answers[event.index]
            if not answer.events:
                answer.first_s = now
            answer.events.append(event)
            answer.last_s = now
            if event.finish is not None:
                ready.append(answer.piece())
                request.left -= 1
                if not request.left:
                    self.drop(event.request)
            elif not request.stream:
                continue
            elif not answer.begun:
                answer.begun = True
                ready.append(answer.piece())
            elif len(answer.events) == 1:
                self._held.append(answer)
                self._due = min(self._due, now + self._interval_s)
        if self._held and now + next_s() >= self._due:
            ready += self.flush()
        return ready

    def flush(self) -> list[Piece]:
        """All that was held back of answers that are streamed."""
        pieces = [answer.piece() for answer in self._held if answer.events]
        self._held.clear()
        self._due = math.inf
        return pieces


class _Request:
    __slots__ = ("answers", "left", "number", "stream")

    def __init__(self, number: int, ask: Ask) -> None:
        self.number = number
        self.stream = ask.stream
        self.answers = [_Answer(number, i) for i in range(ask.n)]
        self.left = ask.n


class _Answer:
    __slots__ = ("begun", "events", "first_s", "index", "last_s", "number")

    def __init__(self, number: int, index: int) -> None:
        self.number, self.index = number, index
        self.begun = False
        self.events: list[Event] = []
        self.first_s = self.last_s = 0.0

    def piece(self) -> Piece:
        """What is held, which is then held no longer."""
        events, self.events = self.events, []
        last = events[-1]
        return Piece(
            self.number,
            self.index,
            "".join([event.text for event in events]),
            len(events) - (last.token is None),
            self.first_s,
            self.last_s,
            last.finish,
            last.usage,
            tuple(
                [
                    Scored(event.token, event.text, event.logprob, event.top)
                    for event in events
                    if event.token is not None and event.logprob is not None
                ]
            ),
        )
