"""Frames between server and worker: whole however they are cut, and nobody waits for the other."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from paddock.inference.runtimes.base import SamplingParams
from paddock.inference.serve.link import ServerEnd, WorkerEnd, _framed
from paddock.inference.serve.wire import Add, Ask, Broken, Cancel, Lost, Message, Stop, Told

LARGE = Add(1, Ask(list(range(2_000_000)), SamplingParams(), 5))
"""More than any socket buffers."""


async def until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("waited in vain")


def run(test: Callable[[ServerEnd, socket.socket, list[Message | None]], Awaitable[None]]) -> None:
    async def main() -> None:
        mine, theirs = socket.socketpair()
        heard: list[Message | None] = []
        server = ServerEnd(mine, heard.append)
        with theirs:
            await asyncio.wait_for(test(server, theirs, heard), 60)
        server.close()
        server.close()

    asyncio.run(main())


def test_messages_come_whole_however_they_are_cut() -> None:
    messages: list[Message] = [Told([], {"a": i}) for i in range(30)] + [Lost("x" * 70_000)]
    data = b"".join(_framed(message) for message in messages)

    async def test(server: ServerEnd, theirs: socket.socket, heard: list[Message | None]) -> None:
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        for size, part in ((1, data[:200]), (7, data[200:1000]), (50_000, data[1000:])):
            for at in range(0, len(part), size):
                await loop.sock_sendall(theirs, part[at : at + size])
                await asyncio.sleep(0)
        await until(lambda: len(heard) == len(messages))
        assert heard == messages

    run(test)


def test_a_worker_that_does_not_read_stops_nobody() -> None:
    async def test(server: ServerEnd, theirs: socket.socket, heard: list[Message | None]) -> None:
        for message in (LARGE, Cancel(1), Stop()):
            server.send(message)  # returns at once
        worker = WorkerEnd(theirs)

        def read() -> list[Message]:
            assert worker.waiting(block=True)
            found = [worker.receive() for _ in range(3)]
            worker.send(Broken(1, "no"))
            return found

        assert await asyncio.to_thread(read) == [LARGE, Cancel(1), Stop()]
        assert not worker.waiting(block=False)
        await until(lambda: heard == [Broken(1, "no")])

    run(test)


def test_a_worker_that_is_gone_is_heard_once_and_written_to_in_vain() -> None:
    async def test(server: ServerEnd, theirs: socket.socket, heard: list[Message | None]) -> None:
        server.send(LARGE)
        theirs.sendall(_framed(Lost("why"))[:-1])  # half a message is none
        theirs.close()
        await until(lambda: bool(heard))
        server.send(Cancel(1))
        await asyncio.sleep(0.05)
        assert heard == [None]

    run(test)


def test_a_server_that_is_gone_ends_the_worker() -> None:
    mine, theirs = socket.socketpair()
    with theirs:
        worker = WorkerEnd(theirs)
        mine.close()
        assert worker.waiting(block=True)
        with pytest.raises(EOFError):
            worker.receive()
        with pytest.raises(ConnectionError):
            worker.send(Lost("x"))
