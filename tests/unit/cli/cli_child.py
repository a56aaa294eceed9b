"""Runs ``paddock`` as a process, alone or on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def child(*args: str, **options: Any) -> subprocess.Popen[bytes]:
    """``python -m paddock ARGS`` as a process."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **options.pop("env", {})}
    before = options.pop("preexec_fn", lambda: None)

    def prepare() -> None:
        # A shell that runs the tests in the background has its children ignore Ctrl-C.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        before()

    command = [sys.executable, "-m", "paddock", *args]
    return subprocess.Popen(command, env=env, preexec_fn=prepare, **options)


class Terminal:
    """A child on a pseudo-terminal: what it shows, and keys to type."""

    def __init__(self, *args: str, env: dict[str, str] | None = None) -> None:
        self.master, slave = pty.openpty()
        self.seen = ""
        self.process = child(
            *args,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
            env={"TERM": "xterm", "COLUMNS": "100", **(env or {})},
        )
        os.close(slave)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def until(self, text: str, seconds: float = 300) -> str:
        """Reads until ``text`` is shown and returns what came up to it."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            if time.monotonic() > end or not self._read():
                raise AssertionError(f"no {text!r} in {self.seen!r}")
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def begun(self) -> None:
        """Waits until something is shown that was not looked at yet."""
        while not self.seen:
            if not self._read():
                raise AssertionError("nothing more is shown")

    def press(self, keys: str, text: str, seconds: float = 300) -> str:
        """Types ``keys``, again every two seconds, until ``text`` is shown.

        A Ctrl-C between readline's prompt and its wait for keys is seen with the next key only.
        """
        end = time.monotonic() + seconds
        while True:
            self.type(keys)
            again = min(end, time.monotonic() + 2)
            while text not in self.seen and time.monotonic() < again:
                if select.select([self.master], [], [], again - time.monotonic())[0]:
                    self._read()
            if text in self.seen or time.monotonic() >= end:
                return self.until(text, 1)

    def finish(self, seconds: float = 300) -> int:
        """Reads to the end and returns the exit code."""
        while self._read():
            pass
        return self.process.wait(seconds)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)

    def _read(self) -> bool:
        if not select.select([self.master], [], [], 300)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # Linux's way to say that the other side is closed
            return False
        self.seen += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


def _take_terminal() -> None:
    """Makes stdin the controlling terminal, so that Ctrl-C is a signal."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
