"""What the engine and its ranks say to each other: MessagePack messages in frames over TCP.

A frame is a length (4 bytes, big-endian) and that many bytes. Data only: nothing that is received
is executed, and whoever does not say the group's secret first is not listened to.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

import msgspec

from paddock.errors import RanksLost
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.runtimes.base import Batch, Choice, Limits

BEAT_S = 1.0
"""A rank says that it lives so often."""

SILENCE_S = 6.0
"""A rank that said nothing for so long is lost: its host, its network, or the process stopped."""

LOADING_SILENCE_S = 60.0
"""The same while it loads: reading a large file may keep a process from everything else."""

HELLO_LIMIT = 1 << 12
"""Bytes of the first message, from somebody who may be anybody."""

FRAME_LIMIT = 1 << 30
"""Bytes of any other message; logits of a long text are the largest."""


class Hello(msgspec.Struct, tag=True):
    """A rank's first message. ``host`` and ``pid`` say where it is, for people."""

    secret: str
    rank: int
    size: int
    host: str
    pid: int


class Begin(msgspec.Struct, tag=True):
    """All ranks are there: load the model. ``round`` counts the groups that there were.

    ``options`` are those of runtimes/torch/build.py, ``config`` is the model's, for ranks on other
    hosts to compare with what they find at their path.
    """

    round: int
    options: dict[str, Any]
    config: ModelConfig


class Ready(msgspec.Struct, tag=True):
    """A rank has loaded its part, in ``load_s`` seconds by the clock, ``load_cpu_s`` of processors.

    Bytes: of its weights and tables; resident before it began, and at most since then.
    """

    limits: Limits
    load_s: float
    load_cpu_s: float
    weight_bytes: int
    before_bytes: int
    peak_bytes: int
    device: str
    dtype: str


class Failed(msgspec.Struct, tag=True):
    """A rank cannot load: the name of a PaddockError, its message and its hint."""

    error: str
    message: str
    hint: str | None = None


class Step(msgspec.Struct, tag=True):
    """Compute this. ``logits`` asks for them instead of choices, ``everywhere`` for all rows."""

    batch: Batch
    logits: bool = False
    everywhere: bool = False


class Choices(msgspec.Struct, tag=True):
    """What a step chose."""

    choices: list[Choice]


class Logits(msgspec.Struct, tag=True):
    """fp32 (rows, data / rows), little-endian."""

    rows: int
    data: bytes


class Refused(msgspec.Struct, tag=True):
    """A batch that breaks the limits: GenerationError. All ranks refuse it alike."""

    message: str
    hint: str | None = None


class Beat(msgspec.Struct, tag=True):
    """A rank lives."""


class Stop(msgspec.Struct, tag=True):
    """End, and do not come back."""


Message = Hello | Begin | Ready | Failed | Step | Choices | Logits | Refused | Beat | Stop
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


class Link:
    """One connection. ``send`` may be called from any thread, ``receive`` from one."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lock = threading.Lock()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A host that vanishes closes nothing. What is sent and not acknowledged for so long ends
        # the connection, and ranks send all the time. Milliseconds; Linux only, as this house is.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SILENCE_S * 1000))

    def send(self, message: Message) -> None:
        """Raises OSError if the other side is gone."""
        self.send_encoded(encode(message))

    def send_encoded(self, frame: bytes) -> None:
        """``send`` of what ``encode`` made, so that many get what was encoded once."""
        with self._lock:
            self._socket.sendall(frame)

    def receive(self, limit: int = FRAME_LIMIT) -> Message:
        """Waits for the next message.

        Raises OSError (EOFError included) if the other side is gone, RanksLost for what is no
        message or is larger than ``limit``.
        """
        size = int.from_bytes(self._exactly(4), "big")
        if size > limit:
            raise RanksLost(f"a message of {size} bytes, the limit is {limit}")
        try:
            message: Message = _decoder.decode(self._exactly(size))
        except msgspec.MsgspecError as error:
            raise RanksLost(f"what came is no message: {error}") from None
        return message

    def settimeout(self, seconds: float | None) -> None:
        """How long ``receive`` waits before it raises TimeoutError; None: for ever."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Ends the connection; a ``receive`` that waits in another thread ends too."""
        with suppress(OSError):  # the other side was first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _exactly(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            got = self._socket.recv_into(view)
            if not got:
                raise ConnectionResetError("the connection was closed")
            view = view[got:]
        return data


def encode(message: Message) -> bytes:
    """One frame."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body
