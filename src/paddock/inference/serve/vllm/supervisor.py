"""Runs ``vllm serve`` beside the server: starts it, asks whether it lives, starts it again."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx

from paddock.errors import PaddockError, UsageError
from paddock.inference.runtimes.base import Limits
from paddock.inference.serve.errors import ApiError, unavailable
from paddock.inference.serve.supervisor import RESTARTS, WITHIN
from paddock.inference.serve.vllm.command import Command
from paddock.inference.serve.vllm.stream import Translator, body_of, stats_of
from paddock.inference.serve.wire import Ask, Piece
from paddock.shell import Child

CHECK_S = 1.0
"""Seconds between two questions whether it lives."""

DEAF = 5
"""After so many unanswered questions in a row it is ended and started again."""

GRACE_S = 10.0
"""Seconds that it has to end by itself."""


class VllmSupervisor:
    """See Backend. vLLM listens on a free port of the loopback, with a key that only we have."""

    def __init__(
        self,
        command: Command,
        vocab_size: int,
        *,
        on_stats: Callable[[dict[str, Any]], None] = lambda stats: None,
        on_death: Callable[[int | None], None] = lambda code: None,
    ) -> None:
        self.limits: Limits | None = None
        self.failure: PaddockError | None = None
        self._command = replace(command, key=secrets.token_hex(16))
        self._vocab_size = vocab_size
        self._on_stats, self._on_death = on_stats, on_death
        self._child: Child | None = None
        self._http: httpx.AsyncClient | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._died: list[float] = []
        self._stopping = False
        self._was_ready = False

    @property
    def ready(self) -> bool:
        """See Backend."""
        return self.limits is not None

    def start(self) -> None:
        """See Backend."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def until_ready(self) -> None:
        """See Backend."""
        while not self.ready:
            if self.failure is not None:
                raise self.failure
            self._changed.clear()
            await self._changed.wait()

    async def generate(self, ask: Ask, timeout: float) -> AsyncGenerator[Piece, None]:
        """See Backend."""
        deadline = time.monotonic() + timeout
        http = self._http
        if http is None or not self.ready:
            raise unavailable("the model is not loaded yet", retry_after=5)
        try:
            body = body_of(ask, self._command.name)
        except UsageError as error:
            raise ApiError(400, str(error), code="unsupported_parameter") from None
        translator = Translator(ask)
        left = ask.n
        asked = http.build_request("POST", "/v1/completions", json=body)
        try:
            answer = await asyncio.wait_for(http.send(asked, stream=True), timeout)
            try:
                if answer.status_code != 200:
                    raise _refusal(answer.status_code, await answer.aread())
                lines = aiter(answer.aiter_lines())
                while (line := await _next(lines, deadline)) is not None:
                    for piece in _pieces(translator, line):
                        left -= piece.finish is not None
                        yield piece
            finally:
                await answer.aclose()
        except asyncio.TimeoutError:
            raise unavailable(f"the answer was not there after {round(timeout, 1):g} s") from None
        except httpx.HTTPError as error:
            raise unavailable(f"vLLM died while it computed this answer: {error}") from None
        except RuntimeError:
            # httpx's error where the connection that waits is closed because vLLM has ended.
            if not http.is_closed:
                raise
            raise unavailable("vLLM died while it computed this answer") from None
        if left:
            raise unavailable("vLLM's answer ended before it was whole")

    def kill(self) -> None:
        """See Backend."""
        self._stopping = True
        if self._child is not None:
            self._child.kill()

    async def stop(self) -> None:
        """See Backend."""
        self._stopping = True
        if self._child is not None:
            self._child.end()
            end = time.monotonic() + GRACE_S
            while self._child.exit_code is None and time.monotonic() < end:
                await asyncio.sleep(0.05)
        self.kill()
        if self._task is not None:
            self._task.cancel()
        if self._http is not None:
            await self._http.aclose()

    async def _run(self) -> None:
        """Keeps one vLLM running; ends with ``failure`` set, or when it is told to stop."""
        try:
            while self.failure is None:
                await self._live()
                if self._stopping:
                    return
                self._judge()
        except PaddockError as error:
            self.failure = error
        finally:
            self._changed.set()

    async def _live(self) -> None:
        """One process, from its start to its end."""
        port = _free_port()
        child = self._child = Child(self._command.argv(port), self._command.variables())
        headers = {"Authorization": f"Bearer {self._command.key}"}
        # No limit on reading: the front has its own time for a request.
        timeout = httpx.Timeout(None, connect=10)
        self._http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=timeout, trust_env=False
        )
        deaf = 0
        while child.exit_code is None:
            alive = await self._ask("/health") is not None
            if alive and not self.ready:
                await self._greet()
            elif alive:
                metrics = await self._ask("/metrics")
                self._on_stats(dict(stats_of(metrics))) if metrics else None
            # Until it has answered once it is loading, which takes as long as it takes.
            deaf = 0 if alive or not self.ready else deaf + 1
            if deaf == DEAF:
                child.kill()
            await asyncio.sleep(CHECK_S if self.ready else CHECK_S / 4)
        self._was_ready, self.limits = self.ready, None
        await self._http.aclose()

    async def _greet(self) -> None:
        """Learns what it can hold; from here on it is ready."""
        listed = await self._ask("/v1/models")
        if listed is None:
            return
        (model,) = json.loads(listed)["data"]
        length = int(model["max_model_len"])
        batch = self._command.max_batch
        self.limits = Limits(self._vocab_size, length, length, batch, batch)
        self._changed.set()

    async def _ask(self, path: str) -> str | None:
        assert self._http is not None
        try:
            answer = await self._http.get(path, timeout=2)
        except httpx.HTTPError:
            return None
        return answer.text if answer.status_code == 200 else None

    def _judge(self) -> None:
        """It ended by itself: counts that, and decides whether to go on."""
        assert self._child is not None
        code = self._child.exit_code
        now = time.monotonic()
        self._died = [at for at in self._died if now - at < WITHIN] + [now]
        if not self._was_ready or len(self._died) > RESTARTS:
            self.failure = PaddockError(
                f"vLLM ended with exit code {code}",
                hint="its own messages above say why; try its command line by hand:"
                f" {' '.join(self._command.argv(8000))}",
            )
            return
        self._on_death(code)


def lend(command: Command) -> int:
    """On a host that only computes: runs its vLLM until that ends; its exit code."""
    child = Child(command.argv(0), command.variables())
    with suppress(KeyboardInterrupt):
        return child.wait()
    child.end()
    return child.wait()


def _pieces(translator: Translator, line: str) -> list[Piece]:
    data = line.removeprefix("data:").strip()
    if not line.startswith("data:") or data == "[DONE]":
        return []
    chunk = json.loads(data)
    if "error" in chunk:
        raise unavailable(f"vLLM: {chunk['error'].get('message')}")
    return list(translator.pieces(chunk))


async def _next(lines: AsyncIterator[str], deadline: float) -> str | None:
    """The next line, None after the last. Raises asyncio.TimeoutError when the time is up."""
    try:
        return await asyncio.wait_for(anext(lines), deadline - time.monotonic())
    except StopAsyncIteration:
        return None


def _refusal(status: int, body: bytes) -> ApiError:
    try:
        said = json.loads(body)
        message = (said.get("error") or said).get("message", "")
    except (ValueError, AttributeError):
        message = body[:200].decode(errors="replace")
    if 400 <= status < 500 and status != 429:
        return ApiError(400, f"vLLM refuses: {message}", code="invalid_value")
    return unavailable(f"vLLM answers {status}: {message}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
