"""``paddock serve --ray --detach`` on a cluster of ``ray start``: deployed, updated, ended."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from raykit import BODY, asking, below, free_port, ray_or_skip, wait

# Starting a cluster takes a minute or more on two cores: not in CI.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class Head:
    """A cluster of one node: its process and ports."""

    pid: int
    port: int
    dashboard: int

    def serve(self, port: int, *options: str) -> subprocess.CompletedProcess[str]:
        """``paddock serve --ray --detach``, to its end."""
        argv = [
            sys.executable, "-m", "paddock", "serve", "--ray", "--detach", "--threads", "1",
            "--ray-address", f"127.0.0.1:{self.port}", "--port", str(port), *options,
        ]  # fmt: skip
        return subprocess.run(argv, capture_output=True, text=True, timeout=500, check=False)

    def shutdown(self) -> str:
        """Ray's ``serve shutdown``, which asks the dashboard."""
        argv = [PROGRAMS / "serve", "shutdown", "-y", "-a", f"http://127.0.0.1:{self.dashboard}"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    port, dashboard = free_port(), free_port()
    # Not tmp_path: the names of Ray's sockets must stay below 108 bytes.
    with ray_or_skip(), tempfile.TemporaryDirectory(prefix="ray-") as folder:
        log = Path(folder, "head.log")
        argv = [
            PROGRAMS / "ray", "start", "--head", "--block", "--node-ip-address=127.0.0.1",
            f"--port={port}", "--num-cpus=1", f"--object-store-memory={100 << 20}",
            "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--temp-dir={folder}",
        ]  # fmt: skip
        with log.open("w") as out:
            process = subprocess.Popen(
                argv, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            wait(lambda: process.poll() is not None or answers(dashboard), "Ray's dashboard", 300)
            assert process.poll() is None, log.read_text()
            yield Head(process.pid, port, dashboard)
        finally:
            started = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            for one in psutil.wait_procs([psutil.Process(process.pid), *started], timeout=120)[1]:
                with suppress(psutil.Error):
                    one.kill()
            process.wait(60)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_deployed_updated_and_ended(head: Head) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    done = head.serve(port)
    assert done.returncode == 0, done.stderr

    # The command has ended; the replica has not.
    assert httpx.get(f"{url}/health", timeout=60).status_code == 200
    assert httpx.post(f"{url}/v1/completions", json=BODY, timeout=60).status_code == 200
    assert len(below(head.pid, "ServeReplica")) == 1
    large = {**BODY, "prompt": "x" * 20000}
    assert httpx.post(f"{url}/v1/completions", json=large, timeout=60).status_code == 400

    # The same command with another option, while clients ask: none of them notices.
    with asking(url, 3) as clients:
        wait(lambda: clients.seen["200"] >= 6, "answers before")
        done = head.serve(port, "--max-body", "12345")
        assert done.returncode == 0, done.stderr
        before = clients.seen["200"]
        wait(lambda: clients.seen["200"] >= before + 6, "answers after the update")
    assert clients.lost == 0, clients.seen
    assert httpx.post(f"{url}/v1/completions", json=large, timeout=60).status_code == 413
    assert len(below(head.pid, "ServeReplica")) == 1

    # Ray Serve listens on one port: another is refused by name, and nothing has changed.
    other = free_port()
    done = head.serve(other)
    assert done.returncode == 2
    assert re.search(rf"already listens on 127.0.0.1:{port}.*not 127.0.0.1:{other}", done.stderr)
    assert httpx.get(f"{url}/health", timeout=60).status_code == 200

    (replica,) = below(head.pid, "ServeReplica")
    worker = psutil.Process(replica).children(recursive=True)
    assert worker
    head.shutdown()
    # Nothing that Ray Serve or a replica started is left, and nobody listens.
    actors = ("ServeReplica", "ServeController", "ProxyActor")
    wait(lambda: not any(below(head.pid, word) for word in actors), "the end of Ray Serve")
    wait(lambda: not any(one.is_running() for one in worker), "the worker's end")
    wait(lambda: not answers(port), "the port's end")
