"""The processes that a measurement needs: children that answer in JSON lines, and competitors."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from paddock.errors import BenchError

_GRACE = 5.0
_TAIL = 2000

# Ends with the process that started it, even if that is killed.
_SPIN = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


def output(argv: Sequence[str], timeout: float = 10) -> str | None:
    """What a command prints, or None if it is absent, fails or takes longer than ``timeout`` s."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


class Child:
    """A process that is asked with one line of JSON and answers with one. Close it in the end."""

    def __init__(self, name: str, argv: Sequence[str]) -> None:
        """Starts ``argv``. Raises BenchError if that is impossible."""
        self.name = name
        # A file, not a pipe: nobody reads it meanwhile, and a full pipe would stop the child.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in close()
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,  # Ctrl-C is for us; we end it in turn
            )
        except OSError as error:
            self._errors.close()
            raise BenchError(f"{name} cannot be started: {error}") from error
        self._pending = b""

    def ask(self, question: dict[str, Any], timeout: float) -> dict[str, Any]:
        """The child's answer. Raises BenchError if it ends, hangs, or does not answer in JSON."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None
        line = self._line(time.monotonic() + timeout, timeout)
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise BenchError(f"{self.name} answered {line[:80]!r}, which is no JSON object")
        if "error" in answer:
            raise BenchError(f"{self.name} failed: {answer['error']}")
        return answer

    def pause(self) -> None:
        """Stops the child, so that its threads take nothing from whoever is measured."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends the child; calling it again does nothing."""
        if self._errors.closed:
            return
        self.resume()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def kill(self) -> None:
        """Ends the child at once."""
        self._process.kill()
        self.close()

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def _line(self, deadline: float, timeout: float) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._pending:
            ready, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise BenchError(f"{self.name} did not answer within {timeout:.0f} s")
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                raise self._ended()
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _ended(self) -> BenchError:
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return BenchError(f"{self.name} ended with {how}{self._last_words()}")

    def _last_words(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _TAIL))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1].strip()}" if lines else ""


@contextlib.contextmanager
def competing(count: int) -> Iterator[None]:
    """``count`` processes that compute without end while the block runs, at the same priority."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            running.append(subprocess.Popen([sys.executable, "-S", "-c", _SPIN]))
        if count:
            time.sleep(0.2)  # until they are past the interpreter's start
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class Start:
    """From starting a process to its first output, and the most memory that it had resident."""

    first_output_s: float
    total_s: float
    peak_rss_bytes: int


def timed_start(argv: Sequence[str], timeout: float) -> Start:
    """Runs ``argv`` to its end. Raises BenchError if it fails, is silent, or takes too long."""
    with tempfile.TemporaryFile() as errors:
        begin = time.monotonic()
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], timeout)
            first = time.monotonic() - begin
            said = process.stdout.read() if ready else b""
            _, status, usage = os.wait4(process.pid, 0 if ready else os.WNOHANG)
            total = time.monotonic() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if not ready or process.returncode or not said:
            errors.seek(0)
            words = errors.read().decode(errors="replace").strip().splitlines()
            why = words[-1] if words else f"exit code {process.returncode}, no output"
            raise BenchError(f"{' '.join(argv[:4])} … failed: {why if ready else 'too slow'}")
    # ru_maxrss is in KiB on Linux.
    return Start(first, total, usage.ru_maxrss * 1024)
