"""The connection between server and worker: frames over a pair of sockets.

A frame is a length (4 bytes, big-endian) and that many bytes. The server's end lives in its event
loop and never waits: a worker in a long step reads nothing. Threads that wait instead cost two
wake-ups for each message, which a small model's tokens feel.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable

from paddock.inference.serve.wire import Message, decode, encode

_AT_ONCE = 1 << 18


def _framed(message: Message) -> bytes:
    body = encode(message)
    return len(body).to_bytes(4, "big") + body


class WorkerEnd:
    """Waits for messages and until they are sent."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        # Kept, because select makes one each time: the worker asks between any two steps.
        self._incoming = select.poll()
        self._incoming.register(connection.fileno(), select.POLLIN)

    def waiting(self, *, block: bool) -> bool:
        """Whether there is something to ``receive``; with ``block`` waits until there is."""
        return bool(self._incoming.poll(None if block else 0))

    def receive(self) -> Message:
        """The next message. Raises EOFError or ConnectionError if the server is gone."""
        return decode(self._exactly(int.from_bytes(self._exactly(4), "big")))

    def send(self, message: Message) -> None:
        """Raises ConnectionError if the server is gone."""
        self._socket.sendall(_framed(message))

    def _exactly(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            got = self._socket.recv_into(view)
            if not got:
                raise EOFError("the server is gone")
            view = view[got:]
        return data


class ServerEnd:
    """Calls ``hear`` in the event loop with each message, and with None when the worker is gone."""

    def __init__(self, connection: socket.socket, hear: Callable[[Message | None], None]) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._read = bytearray()
        self._unsent = bytearray()
        self._open = True
        self._loop.add_reader(connection.fileno(), self._readable)

    def send(self, message: Message) -> None:
        """Sends it when there is room. One for a worker that is gone is lost."""
        if not self._open:
            return
        frame = _framed(message)
        if not self._unsent:
            frame = frame[self._sent(frame) :]
            if frame:
                self._loop.add_writer(self._socket.fileno(), self._writable)
        self._unsent += frame

    def close(self) -> None:
        """Hears and says nothing more; again it does nothing."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _sent(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # it is gone, which reading will say

    def _writable(self) -> None:
        del self._unsent[: self._sent(self._unsent)]
        if not self._unsent:
            self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            self._hear(None)
            return
        self._read += data
        for message in self._messages():
            self._hear(message)

    def _messages(self) -> list[Message]:
        """The messages that are whole, taken out of what was read."""
        found: list[Message] = []
        read, at = self._read, 0
        while len(read) - at >= 4:
            end = at + 4 + int.from_bytes(read[at : at + 4], "big")
            if end > len(read):
                break
            found.append(decode(read[at + 4 : end]))
            at = end
        del read[:at]
        return found
