"""Several ranks behind the Runtime contract: forms the group, hands out steps, notices the dead.

The engine's process has no tensors and no torch: it sends each Batch to all ranks as it is, and one
of them sends the choices back. So the engine, with whatever waits in it, outlives any rank.
"""

from __future__ import annotations

import atexit
import hmac
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from paddock import errors
from paddock.errors import GenerationError, PaddockError, RanksLost
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.parts import Split
from paddock.inference.runtimes.base import Batch, Choice, Limits, SamplingParams, Work
from paddock.inference.runtimes.ranks import wire
from paddock.inference.runtimes.ranks.wire import Link, Message

LOSSES, WITHIN_S = 5, 60.0
"""A group that was lost so often within so many seconds is not formed again."""

ANSWER_S = 10.0
"""Seconds that ranks have to end by themselves when the engine does."""

_Answer = TypeVar("_Answer", wire.Choices, wire.Logits)


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where ranks find the engine, and the word by which it knows them."""

    host: str
    port: int
    secret: str = field(repr=False)


class Launcher(Protocol):
    """Starts the ranks, and starts them again whenever they end without having been told to.

    ``host`` is the address at which they find this process.
    """

    @property
    def host(self) -> str:
        """See above."""
        ...

    def start(self, meeting: Meeting) -> None:
        """Begins to start them; they come to ``meeting``."""
        ...

    def failure(self) -> str | None:
        """Why no more ranks will come, or None while they may."""
        ...

    def stop(self, seconds: float) -> None:
        """Waits so long for ranks that were told to stop; ends what is left."""
        ...


class GroupRuntime:
    """See Runtime. ``reports`` has what each rank said when it had loaded its part.

    After RanksLost the cache is empty, and every step raises it until ``recover`` was called.
    """

    limits: Limits

    def __init__(
        self,
        split: Split,
        launcher: Launcher,
        options: Mapping[str, Any],
        config: ModelConfig,
    ) -> None:
        """Starts the ranks and waits until all have loaded.

        ``options`` and ``config`` are ``wire.Begin``'s. Raises what a rank's loading raised, and
        RanksLost if they cannot be started.
        """
        self.split = split
        self.reports: dict[int, wire.Ready] = {}
        self._launcher, self._options, self._config = launcher, dict(options), config
        self._links: dict[int, Link] = {}
        self._places: dict[int, str] = {}
        self._heard: dict[int, float] = {}
        self._round = 0
        self._seen = 0  # the round that the caller knows to be the present one
        self._state = "forming"
        self._lost = ""
        self._losses: list[float] = []
        self._failure: PaddockError | None = None
        self._answer: Message | None = None
        self._changed = threading.Condition()
        self._listener = socket.create_server((launcher.host, 0), backlog=split.size)
        self._secret = secrets.token_hex(16)
        # Whoever forgets to close would wait at his end for ranks that wait for him.
        atexit.register(self.close)
        for target in (self._accept, self._watch):
            threading.Thread(target=target, daemon=True, name="paddock-ranks").start()
        try:
            launcher.start(Meeting(launcher.host, self._listener.getsockname()[1], self._secret))
            self.recover()
        except BaseException:
            self.close()
            raise

    def step(self, batch: Batch) -> list[Choice]:
        """See Runtime. Raises RanksLost if a rank died or fell silent, within SILENCE_S seconds."""
        return self._ask(wire.Step(batch), wire.Choices).choices

    def logits(self, tokens: Sequence[int]) -> tuple[int, bytes]:
        """Rows, and fp32 logits (rows, vocab_size) as bytes, at every position of one text.

        Overwrites the cache from page 0 on, as TorchRuntime.all_logits.
        """
        pages = tuple(range(-(-len(tokens) // self.limits.page_size)))
        batch = Batch((Work(0, tokens, 0, pages, SamplingParams()),))
        answer = self._ask(wire.Step(batch, logits=True, everywhere=True), wire.Logits)
        return answer.rows, answer.data

    def recover(self) -> None:
        """Waits until a group is there again, with an empty cache.

        Raises what a rank's loading raised, RanksLost if there will be none.
        """
        with self._changed:
            while self._state != "ready":
                self._raise_failure()
                why = self._launcher.failure()
                if why is not None and self._state == "forming":
                    self._failure = RanksLost(f"the ranks cannot be started: {why}")
                    continue
                self._changed.wait(0.2)
            self._seen = self._round
            self.limits = self.reports[0].limits

    def close(self) -> None:
        """See Runtime."""
        with self._changed:
            if self._state == "closed":
                return
            self._state = "closed"
            links = list(self._links.values())
        atexit.unregister(self.close)
        for link in links:
            _try(link.send, wire.Stop())
        self._launcher.stop(ANSWER_S)
        self._listener.close()
        for link in links:
            link.close()

    def _ask(self, question: wire.Step, kind: type[_Answer]) -> _Answer:
        frame = wire.encode(question)
        with self._changed:
            self._raise_failure()
            if self._state != "ready" or self._seen != self._round:
                raise RanksLost(self._lost or "the ranks were lost")
            self._answer = None
            for link in self._links.values():
                # One that cannot be sent to is noticed by its reader, if not before.
                _try(link.send_encoded, frame)
            while self._answer is None:
                self._raise_failure()
                if self._state != "ready" or self._seen != self._round:
                    raise RanksLost(self._lost)
                self._changed.wait()
            answer, self._answer = self._answer, None
        if isinstance(answer, wire.Refused):
            raise GenerationError(answer.message, hint=answer.hint)
        assert isinstance(answer, kind), answer
        return answer

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._state == "closed":
            raise RanksLost("the runtime is closed")

    # Threads: one accepts, one watches the clock, one reads for each rank.

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        link = Link(connection)
        rank = self._greet(link)
        if rank is None:
            link.close()
            return
        try:
            while True:
                self._hear(rank, link, link.receive())
        except (OSError, RanksLost) as error:
            self._gone(rank, link, error)

    def _greet(self, link: Link) -> int | None:
        """Takes a rank in; None for whoever does not know the secret or has no place."""
        try:
            link.settimeout(5)
            hello = link.receive(wire.HELLO_LIMIT)
            link.settimeout(None)
        except (OSError, RanksLost):
            return None
        if not isinstance(hello, wire.Hello) or not hmac.compare_digest(
            hello.secret.encode(), self._secret.encode()
        ):
            return None
        with self._changed:
            if self._state == "closed" or not 0 <= hello.rank < self.split.size:
                _try(link.send, wire.Stop())
                return None
            if hello.size != self.split.size:
                self._fail(
                    RanksLost(
                        f"{hello.host} brings ranks of a group of {hello.size}, this is one of"
                        f" {self.split.size}",
                        hint="give the same --tp, --pp and --nnodes on all hosts",
                    )
                )
                return None
            if hello.rank in self._links:
                # A new process in the place of one whose end was not noticed yet.
                self._lose(f"rank {hello.rank} on {self._places[hello.rank]} was started anew")
            self._links[hello.rank] = link
            self._places[hello.rank] = f"{hello.host} (process {hello.pid})"
            self._heard[hello.rank] = time.monotonic()
            if len(self._links) == self.split.size:
                self._begin()
        return hello.rank

    def _begin(self) -> None:
        self._round += 1
        self._state = "loading"
        self.reports = {}
        begin = wire.encode(wire.Begin(self._round, self._options, self._config))
        for link in self._links.values():
            _try(link.send_encoded, begin)

    def _hear(self, rank: int, link: Link, message: Message) -> None:
        with self._changed:
            if self._links.get(rank) is not link:
                return
            self._heard[rank] = time.monotonic()
            if isinstance(message, wire.Ready):
                self.reports[rank] = message
                if len(self.reports) == self.split.size:
                    self._state = "ready"
                    self._changed.notify_all()
            elif isinstance(message, wire.Failed):
                known = getattr(errors, message.error, PaddockError)
                self._fail(_again(known, f"rank {rank}: {message.message}", message.hint))
            elif isinstance(message, (wire.Choices, wire.Logits, wire.Refused)):
                self._answer = message
                self._changed.notify_all()

    def _gone(self, rank: int, link: Link, error: Exception) -> None:
        with self._changed:
            if self._links.get(rank) is link:
                self._lose(f"rank {rank} on {self._places[rank]} died: {error}")
        link.close()

    def _lose(self, why: str) -> None:
        """The group is no more: the others cannot go on without the one that is lost."""
        formed = self._state in ("loading", "ready")
        for link in self._links.values():
            link.close()
        self._links.clear()
        if self._state == "closed":
            return
        self._state, self._lost = "forming", why
        if formed:
            now = time.monotonic()
            self._losses = [at for at in self._losses if now - at < WITHIN_S] + [now]
            if len(self._losses) > LOSSES:
                self._fail(RanksLost(f"ranks were lost {len(self._losses)} times; the last: {why}"))
        self._changed.notify_all()

    def _fail(self, error: PaddockError) -> None:
        self._failure = error
        self._changed.notify_all()

    def _watch(self) -> None:
        """Finds ranks that say nothing. A delay of this thread's own is nobody's silence."""
        before = time.monotonic()
        while self._state != "closed":
            time.sleep(wire.BEAT_S / 2)
            now = time.monotonic()
            late, before = now - before - wire.BEAT_S / 2, now
            with self._changed:
                most = wire.SILENCE_S if self._state == "ready" else wire.LOADING_SILENCE_S
                for rank in list(self._links):
                    self._heard[rank] += max(0.0, late)
                    if now - self._heard[rank] > most:
                        where = self._places[rank]
                        self._lose(f"rank {rank} on {where} said nothing for {most:g} s")
                        break


def _try(send: Callable[[Any], None], message: Any) -> None:
    with suppress(OSError):
        send(message)


def _again(kind: type[PaddockError], message: str, hint: str | None) -> PaddockError:
    """An exception of ``kind``, whose constructor may want other things than a message."""
    error = kind.__new__(kind)
    PaddockError.__init__(error, message, hint=hint)
    return error
