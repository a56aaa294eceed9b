"""What server and worker say to each other: MessagePack messages over a pipe."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from paddock.inference.engine.request import Finish, Usage
from paddock.inference.runtimes.base import Limits, SamplingParams


@dataclass(frozen=True, slots=True)
class Ask:
    """A request on its way to the worker; ``grammar`` is ``grammar.compile_schema``'s text.

    Of an answer that nobody reads while it is made (``stream`` False) only the whole is told.
    """

    prompt: list[int]
    sampling: SamplingParams
    max_new_tokens: int
    stop_ids: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    fresh: bool = False
    n: int = 1
    logprobs: int | None = None
    grammar: str | None = None
    stream: bool = False


class Scored(msgspec.Struct, array_like=True, frozen=True):
    """One token with its log probability, the likeliest ones, and the text that it made certain."""

    token: int
    text: str
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


class Piece(msgspec.Struct, array_like=True, frozen=True):
    """What came of answer ``index`` of a request since the piece before: ``text`` of ``tokens``.

    The engine had the first of the tokens at ``first_s`` and the last at ``last_s``, in seconds of
    ``time.monotonic``, which is the same for all processes of a machine. ``scored`` has them one by
    one, if log probabilities were asked for. An answer's last piece has ``finish`` and ``usage``.
    """

    request: int
    index: int
    text: str
    tokens: int
    first_s: float
    last_s: float
    finish: Finish | None = None
    usage: Usage | None = None
    scored: tuple[Scored, ...] = ()


class Add(msgspec.Struct, tag=True):
    """Answer this; ``number`` is the server's name for it."""

    number: int
    ask: Ask


class Cancel(msgspec.Struct, tag=True):
    """Nobody waits for it any more."""

    number: int


class Stop(msgspec.Struct, tag=True):
    """End."""


class Ready(msgspec.Struct, tag=True):
    """The model is loaded, or ranks that were lost are there again."""

    limits: Limits


class Failed(msgspec.Struct, tag=True):
    """It will not be: the name of a PaddockError, its message and its hint."""

    error: str
    message: str
    hint: str | None = None


class Told(msgspec.Struct, tag=True):
    """What came of the engine's steps, and now and then its statistics (``EngineStats``)."""

    pieces: list[Piece]
    stats: dict[str, int] | None = None


class Refused(msgspec.Struct, tag=True):
    """The engine does not take the request, and why."""

    number: int
    message: str


class Broken(msgspec.Struct, tag=True):
    """The request ended in the middle, and why."""

    number: int
    message: str


class Lost(msgspec.Struct, tag=True):
    """Ranks were lost; what had not begun waits for "ready"."""

    why: str


Message = Add | Cancel | Stop | Ready | Failed | Told | Refused | Broken | Lost
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


def encode(message: Message) -> bytes:
    """One message as it goes through the pipe."""
    return _encode(message)


def decode(data: bytes | bytearray) -> Message:
    """``encode`` undone."""
    message: Message = _decode(data)
    return message
