"""A real server in a process of its own, for the tests of its HTTP side."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx


class Server:
    """``paddock serve`` on a free port; ``lines`` is its log so far."""

    def __init__(self, *options: str, env: dict[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "paddock", "serve", "--port", "0", *options],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.url = self.wait_for(r"listening.*?(http://[^\s\"]+)")[1]
        except AssertionError:
            self.process.kill()
            raise
        self.http = httpx.Client(base_url=self.url, timeout=120)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, pattern: str, seconds: float = 120) -> re.Match[str]:
        """The first line of the log that matches."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in list(self.lines):
                found = re.search(pattern, line)
                if found:
                    return found
            if self.process.poll() is not None and not self._reader.is_alive():
                break
            time.sleep(0.02)
        raise AssertionError(f"no line matches {pattern!r} in:\n" + "\n".join(self.lines))

    def wait_until_ready(self) -> Server:
        self.wait_for(r" ready |\"message\": \"ready\"")
        return self

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return self.http.post(path, json=body, **options)

    def chat(self, text: str, **fields: Any) -> httpx.Response:
        messages = [{"role": "user", "content": text}]
        return self.post("/v1/chat/completions", {"model": "demo", "messages": messages, **fields})

    def complete(self, prompt: Any, **fields: Any) -> httpx.Response:
        return self.post("/v1/completions", {"model": "demo", "prompt": prompt, **fields})

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of one metric that carry ``labels``."""
        total = 0.0
        for line in self.http.get("/metrics").text.splitlines():
            found = re.fullmatch(r"([\w:]+)(?:\{(.*)\})? (\S+)", line)
            if not found or found[1] != f"paddock:{name}":
                continue
            had = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
            if labels.items() <= had.items():
                total += float(found[3])
        return total

    def worker_pid(self) -> int:
        """The process that has the model."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in children.read_text().split():
            if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text():
                return int(pid)
        raise AssertionError("no worker")

    def end(self, sig: int = signal.SIGTERM, seconds: float = 60) -> int:
        """Sends a signal and waits for the exit status."""
        self.process.send_signal(sig)
        return self.process.wait(seconds)

    def close(self) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)


@contextmanager
def serving(*options: str, ready: bool = True, **more: Any) -> Iterator[Server]:
    server = Server(*options, **more)
    try:
        yield server.wait_until_ready() if ready else server
    finally:
        server.close()
