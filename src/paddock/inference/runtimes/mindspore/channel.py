"""Questions to the worker and its answers, with every way in which a worker can fail named."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from paddock.errors import DeviceError, RunnerError, RuntimeLost
from paddock.shell import Coprocess

Floats = npt.NDArray[np.float32]

PROTOCOL = 1
WORKER = Path(__file__).with_name("worker.py")
"""The worker's own file, which needs nothing of this package."""

START_TIMEOUT = 60.0
"""Seconds until a Python has started and read one file."""

LARGEST_MESSAGE = 1 << 20
LARGEST_DATA = 1 << 31
"""Bytes that an answer may have; more means that something else writes into the pipe."""

_HEADER = struct.Struct(">II")


class Failed(DeviceError):
    """The worker could not do what was asked, said so, and goes on.

    ``kind`` is its exception's name, ``told`` the first line of what that said: below it MindSpore
    prints where in its own source it was.
    """

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        self.told = next((line for line in message.splitlines() if line.strip()), "no message")
        super().__init__(f"MindFormers failed: {kind}: {self.told}")


class Channel:
    """One worker process. After RuntimeLost it is gone, and every further question raises that."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        folder: Path | None = None,
        variables: Mapping[str, str] | None = None,
        name: str = "the MindSpore worker",
        timeout: float = START_TIMEOUT,
    ) -> None:
        """Starts ``argv`` and waits for its greeting.

        Raises NoProgram if that cannot be started, RuntimeLost if it ends, hangs or speaks another
        protocol.
        """
        self._process = Coprocess(argv, name, folder=folder, variables=variables)
        self._lost: str | None = None
        hello, _ = self._receive(timeout)
        if hello.get("protocol") != PROTOCOL:
            raise self._gone(f"{name} speaks protocol {hello.get('protocol')}, not {PROTOCOL}")

    @property
    def pid(self) -> int:
        """The worker's process number."""
        return self._process.pid

    def ask(self, question: Mapping[str, Any], timeout: float) -> tuple[dict[str, Any], Floats]:
        """The answer and its rows of numbers (none: an empty array of shape (0, 0)).

        Raises Failed for what the worker reports, RuntimeLost if it died, did not answer within
        ``timeout`` seconds (it is ended then) or answered what is no answer.
        """
        if self._lost is not None:
            raise RuntimeLost(self._lost, hint="open the model again")
        self.send(question, timeout)
        answer, data = self._receive(timeout)
        if "error" in answer:
            raise Failed(str(answer["error"]), str(answer.get("message", "")))
        return answer, self._rows(answer, data)

    def send(self, question: Mapping[str, Any], timeout: float) -> None:
        """Asks without waiting for an answer, which some never get."""
        body = json.dumps(question, separators=(",", ":")).encode()
        try:
            self._process.write(_HEADER.pack(len(body), 0) + body, timeout)
        except RunnerError as error:
            raise self._gone(error.message) from None

    def signal(self) -> None:
        """Ends the worker at once; a question under way gets RuntimeLost."""
        self._process.signal()

    def close(self) -> None:
        """Lets the worker end, or ends it; calling it again does nothing."""
        if self._lost is None:
            self._lost = "the MindSpore worker was closed"
            self._process.close()

    def _receive(self, timeout: float) -> tuple[dict[str, Any], bytes]:
        try:
            size, extra = _HEADER.unpack(self._process.read(_HEADER.size, timeout))
            if size > LARGEST_MESSAGE or extra > LARGEST_DATA:
                raise self._gone(f"{self._process.name} sent {size} and {extra} bytes at once")
            body = self._process.read(size, timeout)
            data = self._process.read(extra, timeout)
        except RunnerError as error:
            raise self._gone(error.message) from None
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not ("ok" in answer or "error" in answer):
            raise self._gone(f"{self._process.name} sent {body[:80]!r}, which is no answer")
        return answer, data

    def _rows(self, answer: dict[str, Any], data: bytes) -> Floats:
        shape = answer.get("shape", [0, 0])
        numbers = isinstance(shape, list) and len(shape) == 2 and all(type(n) is int for n in shape)
        if not numbers or shape[0] * shape[1] * 4 != len(data) or min(shape) < 0:
            raise self._gone(f"{self._process.name} sent {len(data)} bytes for numbers of {shape}")
        rows: Floats = np.frombuffer(data, "<f4").reshape(shape)
        return rows

    def _gone(self, message: str) -> RuntimeLost:
        self._lost = message
        self._process.kill()
        return RuntimeLost(message, hint="open the model again; a server does that by itself")
