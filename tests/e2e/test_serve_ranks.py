"""A server whose model runs on several ranks, some of which are killed, stopped or cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serverkit import Server, serving

pytestmark = pytest.mark.e2e

PROMPT = "Once upon a time"
CPU = ("--device", "cpu", "--dtype", "fp32", "--threads", "1", "--max-seq-len", "512")


def children(pid: int) -> list[int]:
    """Processes that ``pid`` started through multiprocessing."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    found = map(int, path.read_text().split())
    return [one for one in found if "spawn_main" in Path(f"/proc/{one}/cmdline").read_text()]


def ranks(server: Server) -> list[int]:
    """The processes of the ranks: worker, then agent, then they."""
    (agent,) = children(server.worker_pid())
    return children(agent)


def wait(true: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def ready(server: Server) -> bool:
    return server.http.get("/ready").status_code == 200


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_rank_costs_the_answer_under_way_and_nothing_else(sig: signal.Signals) -> None:
    with serving("--tp", "2", "--max-batch", "1", *CPU) as server:
        expected = server.complete(PROMPT, max_tokens=8, temperature=0).json()["choices"]
        waiting: list[httpx.Response] = []

        def later() -> None:
            waiting.append(server.complete(PROMPT, max_tokens=8, temperature=0))

        thread = threading.Thread(target=later)
        body = {"model": "demo", "prompt": PROMPT, "max_tokens": 450, "stream": True,
                "temperature": 0, "ignore_eos": True}  # fmt: skip
        with server.http.stream("POST", "/v1/completions", json=body) as answer:
            lines = (line for line in answer.iter_lines() if line)
            next(lines)
            thread.start()
            wait(lambda: server.metric("num_requests_waiting") == 1)
            os.kill(ranks(server)[1], sig)
            struck = time.monotonic()
            last = list(lines)[-1]
            noticed = time.monotonic() - struck
        error = json.loads(last.removeprefix("data: "))["error"]
        assert "rank " in error["message"] and error["type"], error
        assert noticed < 10
        thread.join(120)
        assert [(one.status_code, one.json()["choices"]) for one in waiting] == [(200, expected)]
        wait(lambda: ready(server))
        assert len(ranks(server)) == 2
        assert server.metric("rank_losses_total") == 1
        assert server.metric("worker_restarts_total") == 0
        assert server.end() == 0


def test_nothing_outlives_the_server() -> None:
    with serving("--tp", "2", *CPU) as server:
        worker = server.worker_pid()
        every = [worker, *children(worker), *ranks(server)]
        assert len(every) == 4
        server.end(signal.SIGKILL)
        wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in every), 30)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two network namespaces joined by a bridge in a third: 10.99.0.1 and 10.99.0.2."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    tag = f"pdk{os.getpid() % 10000}"
    names = [f"{tag}a", f"{tag}b"]
    switch = f"{tag}s"
    try:
        for name in (switch, *names):
            if ip("netns", "add", name, check=False):
                pytest.skip("network namespaces cannot be made here")
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", switch, "link", "add", "br0", "type", "bridge")
        ip("-n", switch, "link", "set", "br0", "up")
        for number, name in enumerate(names, 1):
            far = f"port{number}"
            ip("-n", name, "link", "add", "card0", "type", "veth", "peer", far, "netns", switch)
            ip("-n", name, "addr", "add", f"10.99.0.{number}/24", "dev", "card0")
            ip("-n", name, "link", "set", "card0", "up")
            ip("-n", switch, "link", "set", far, "master", "br0")
            ip("-n", switch, "link", "set", far, "up")
        yield names
    finally:
        for name in (*names, switch):
            ip("netns", "del", name, check=False)


def ip(*words: str, check: bool = True) -> int:
    return subprocess.run(["ip", *words], check=check, capture_output=True).returncode


def on(host: str, *options: str) -> subprocess.Popen[str]:
    """``paddock serve`` in a namespace."""
    words = ["ip", "netns", "exec", host, sys.executable, "-m", "paddock", "serve", *options]
    return subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


ASK = """
import json, sys, urllib.request
request = urllib.request.Request(
    "http://127.0.0.1:8000" + sys.argv[1], json.loads(sys.argv[2]) and sys.argv[2].encode(),
    {"Content-Type": "application/json"})
try:
    with urllib.request.urlopen(request, timeout=60) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
except OSError as error:
    print(0, error)
"""


def ask(host: str, path: str, body: Any = None) -> tuple[int, str]:
    words = ["ip", "netns", "exec", host, sys.executable, "-c", ASK, path, json.dumps(body)]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    status, _, text = said.partition(" ")
    return int(status), text


def test_two_hosts_with_two_ranks_each(hosts: list[str]) -> None:
    split = ("--tp", "2", "--pp", "2", "--nnodes", "2", "--rdzv-endpoint", "10.99.0.1:29411", *CPU)
    first, second = (on(host, *split, "--node-rank", str(i)) for i, host in enumerate(hosts))
    body = {"model": "demo", "prompt": PROMPT, "max_tokens": 8, "temperature": 0}
    try:
        wait(lambda: ask(hosts[0], "/ready")[0] == 200)
        status, text = ask(hosts[0], "/v1/completions", body)
        assert status == 200
        with serving("--runtime", "torch", *CPU) as alone:
            expected = alone.complete(PROMPT, max_tokens=8, temperature=0).json()["choices"]
        assert json.loads(text)["choices"] == expected
        # The other host's cable is pulled under an answer: nothing closes a connection.
        results: list[tuple[float, int, str]] = []

        def long() -> None:
            begin = time.monotonic()
            asked = {**body, "max_tokens": 450, "ignore_eos": True}
            status, text = ask(hosts[0], "/v1/completions", asked)
            results.append((time.monotonic() - begin, status, text))

        thread = threading.Thread(target=long)
        thread.start()
        time.sleep(1)
        ip("-n", hosts[1], "link", "set", "card0", "down")
        thread.join(60)
        ((took, status, text),) = results
        assert (status, "rank " in text) == (503, True), text
        assert took < 1 + 10
        ip("-n", hosts[1], "link", "set", "card0", "up")
        wait(lambda: ask(hosts[0], "/ready")[0] == 200)
        status, text = ask(hosts[0], "/v1/completions", body)
        assert status == 200 and json.loads(text)["choices"] == expected
        # The end of the first host's server is the end of what the second lends.
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0
        assert second.wait(60) == 0
    finally:
        for one in (first, second):
            one.kill()
            one.wait(30)
