"""Runs the application: listens, says what it is doing, drains when told to end."""

from __future__ import annotations

import asyncio
import signal
import socket
from types import FrameType
from typing import Any

import uvicorn

from paddock.errors import PaddockError
from paddock.inference.serve.app import build
from paddock.inference.serve.config import ServeConfig
from paddock.inference.serve.state import State


def serve(config: ServeConfig) -> None:
    """Serves until SIGTERM or Ctrl-C; requests that were accepted are answered first.

    A second signal ends at once. Raises PaddockError if the model cannot be loaded or the address
    is taken.
    """
    state = State(config)
    server = _Server(state)
    bound = _bind(config)
    try:
        server.run(sockets=[bound])
    finally:
        bound.close()
        state.supervisor.kill()
    if state.supervisor.failure is not None:
        raise state.supervisor.failure


class _Server(uvicorn.Server):
    def __init__(self, state: State) -> None:
        self.state = state
        super().__init__(
            uvicorn.Config(
                build(state),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=5,
                h11_max_incomplete_event_size=64 << 10,
            )
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets
        host, port = sockets[0].getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.state.log.event("listening", address=f"http://{shown}:{port}")
        self._later(self._tell_when_ready())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second ends."""
        loop = asyncio.get_running_loop()
        if self.state.draining or sig == signal.SIGABRT:
            self.force_exit = self.should_exit = True
            self.state.supervisor.kill()
            return
        self.state.draining = True
        loop.call_soon_threadsafe(lambda: self._later(self._drain()))

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        self.state.log.event("draining", answers=self.state.answers)
        try:
            await asyncio.wait_for(self.state.idle.wait(), self.state.config.drain_timeout)
        except asyncio.TimeoutError:
            self.state.log.event("drained too slowly", answers=self.state.answers)
        self.should_exit = True

    async def _tell_when_ready(self) -> None:
        state = self.state
        began = state.log.uptime()
        state.log.event("loading", model=state.served.name)
        try:
            await state.supervisor.until_ready()
        except PaddockError:
            self.should_exit = True  # serve() raises it
            return
        state.log.event(
            "ready", model=state.served.name, seconds=round(state.log.uptime() - began, 2)
        )
        while state.supervisor.failure is None:
            await asyncio.sleep(1)
        self.should_exit = True


def _bind(config: ServeConfig) -> socket.socket:
    """The listening socket. Raises PaddockError if the address cannot be had."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((config.host, config.port))
    except OSError as error:
        bound.close()
        raise PaddockError(
            f"{config.host}:{config.port} cannot be listened on: {error.strerror}",
            hint="choose another --port, or 0 for any free one",
        ) from None
    bound.set_inheritable(True)
    return bound
