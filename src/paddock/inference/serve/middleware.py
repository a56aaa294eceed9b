"""Around every request: how large and slow it may be, its status counted, a line in the log."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paddock.inference.serve.config import ServeConfig
from paddock.inference.serve.errors import ApiError

if TYPE_CHECKING:
    from paddock.inference.serve.state import State


class BodyLimit:
    """Refuses bodies that are too large (413) or come too slowly (408)."""

    def __init__(self, app: ASGIApp, config: ServeConfig) -> None:
        self._app, self._config = app, config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._body(scope, receive)
        except ApiError as error:
            await _respond(send, error)
            return
        if body is None:  # the client went away
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        most = self._config.max_body
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > most:
                raise _too_large(int(value), most)
        parts: list[bytes] = []
        size = 0
        deadline = time.monotonic() + self._config.body_timeout
        while True:
            try:
                message = await asyncio.wait_for(receive(), deadline - time.monotonic())
            except asyncio.TimeoutError:
                raise ApiError(
                    408, f"the body did not come within {self._config.body_timeout:g} s"
                ) from None
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                raise _too_large(size, most)
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)


class Watch:
    """Counts every response and writes a line about it, without a word of what was said."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        status = 499  # the client went away before anything was sent; nginx's number for it

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._state.draining:
                    message = {
                        **message, "headers": [*message["headers"], (b"connection", b"close")]
                    }  # fmt: skip
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            metrics = self._state.metrics
            metrics.responses.labels(metrics.model, str(status)).inc()
            self._state.log.access(scope, status, time.perf_counter() - begin)


def _too_large(size: int, most: int) -> ApiError:
    return ApiError(413, f"the body has {size} bytes or more; {most} are allowed")


async def _respond(send: Send, error: ApiError) -> None:
    body = json.dumps(error.body()).encode()
    headers: list[tuple[bytes, Any]] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        # The rest of the body is not read.
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
