"""Ray clusters on the loopback for the end-to-end tests, and clients that never stop asking."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import pytest

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Nodes on the loopback. Ray would put the machine's own address in place of it, where a
    # cluster on the loopback does not listen. Read when ray is imported.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # A dead node is noticed within seconds, not minutes.
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "5",
}
NODE = {"num_cpus": 1, "object_store_memory": 100 << 20, "node_ip_address": "127.0.0.1"}
BODY = {"model": "demo", "prompt": "Once", "max_tokens": 30, "temperature": 0}


@contextmanager
def ray_or_skip() -> Iterator[Any]:
    """The library, with ENVIRONMENT around it; the test is skipped where there is none."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    try:
        yield pytest.importorskip("ray", reason="ray is not installed (pip install 'paddock[ray]')")
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def cluster_of(nodes: int) -> Iterator[Any]:
    """A cluster of ``nodes`` nodes with one CPU each, all on this machine."""
    with ray_or_skip() as ray:
        utils = pytest.importorskip("ray.cluster_utils")
        made = utils.Cluster()
        try:
            for _ in range(nodes):
                add_node(made)
            yield made
        finally:
            if ray.is_initialized():
                ray.serve.shutdown()
                ray.shutdown()
            made.shutdown()


def add_node(cluster: Any, attempts: int = 5) -> Any:
    """A node more. Ray gives one 30 s to start and no way to ask for longer: a busy machine's may
    need several attempts."""
    before = set(psutil.Process().children(recursive=True))
    while True:
        try:
            return cluster.add_node(**NODE)
        except Exception as error:
            attempts -= 1
            if "timed out during startup" not in str(error) or not attempts:
                raise
        for one in set(psutil.Process().children(recursive=True)) - before:
            with suppress(psutil.Error):  # it would join the cluster later
                one.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait(true: Callable[[], Any], what: str, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.1)


@dataclass
class Clients:
    """Ask again and again; ``seen`` counts what they got, ``wrong`` holds other texts."""

    url: str
    expected: Any
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[Any] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        while not self.done.is_set():
            try:
                reply = httpx.post(f"{self.url}/v1/completions", json=BODY, timeout=120)
                word = str(reply.status_code)
                if reply.status_code == 200 and reply.json()["choices"] != self.expected:
                    self.wrong.append(reply.json())
            except httpx.HTTPError as error:
                word = type(error).__name__
            self.seen[word] += 1

    @property
    def lost(self) -> int:
        return sum(self.seen.values()) - self.seen["200"]


@contextmanager
def asking(url: str, count: int) -> Iterator[Clients]:
    first = httpx.post(f"{url}/v1/completions", json=BODY, timeout=120)
    clients = Clients(url, first.json()["choices"])
    threads = [threading.Thread(target=clients.ask) for _ in range(count)]
    for one in threads:
        one.start()
    try:
        yield clients
    finally:
        clients.done.set()
        for one in threads:
            one.join()
    assert not clients.wrong


def below(pid: int, word: str) -> list[int]:
    """Processes that ``pid`` or its children started and whose command line has ``word``."""
    found = []
    for one in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):  # gone meanwhile
            if word in " ".join(one.cmdline()):
                found.append(one.pid)
    return sorted(found)
