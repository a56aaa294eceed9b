"""Replicas on a real Ray cluster of two nodes: scaled, updated, and one node killed under load."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from paddock.errors import UsageError
from paddock.inference.serve.config import ServeConfig
from paddock.inference.serve.ray import APPLICATION, RayConfig, deploy, run

# Starting a cluster takes a minute or more on two cores: not in CI.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]

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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def config(port: int, **more: Any) -> ServeConfig:
    options = {"cache": "paged", "threads": 1}
    return ServeConfig(port=port, max_batch=8, options=options, log_format="json", **more)


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


def replicas(ray: Any) -> int:
    """Replicas that run."""
    states = ray.serve.status().applications[APPLICATION].deployments["Llama"].replica_states
    return int(states.get("RUNNING", 0))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    ray = pytest.importorskip("ray", reason="ray is not installed (pip install 'paddock[ray]')")
    utils = pytest.importorskip("ray.cluster_utils")
    made = utils.Cluster(initialize_head=True, head_node_args=NODE)
    try:
        yield made
    finally:
        if ray.is_initialized():
            ray.serve.shutdown()
            ray.shutdown()
        made.shutdown()
        os.environ.clear()
        os.environ.update(before)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="3 to 2 replicas"):
        RayConfig(min_replicas=3, max_replicas=2)
    with pytest.raises(UsageError, match="cpus is 0"):
        RayConfig(cpus=0)
    with pytest.raises(UsageError, match="ends with it"):
        run(ServeConfig(), RayConfig("local"), detach=True)


def test_scaled_updated_and_a_node_killed_under_load(cluster: Any) -> None:
    import ray

    other = cluster.add_node(**NODE)
    url = f"http://127.0.0.1:{(port := free_port())}"

    # From one replica to two under load, and back without it.
    scaled = RayConfig(
        cluster.address, 1, 2, cpus=0.5, ongoing=2, upscale_s=1, downscale_s=3
    )  # fmt: skip
    deploy(config(port), scaled)
    assert replicas(ray) == 1
    with asking(url, 8) as clients:
        wait(lambda: replicas(ray) == 2, "a second replica")
        wait(lambda: clients.seen["200"] >= 50, "answers by both")
    assert clients.lost == 0, clients.seen
    wait(lambda: replicas(ray) == 1, "one replica less")

    # Updated while clients ask: not one request is lost. One replica on each node then.
    fixed = RayConfig(cluster.address, 2, 2, cpus=1)
    with asking(url, 4) as clients:
        deploy(config(port, max_body=12345), fixed)
        wait(lambda: replicas(ray) == 2, "two new replicas")
        before = clients.seen["200"]
        wait(lambda: clients.seen["200"] >= before + 20, "answers after the update")
    assert clients.lost == 0, clients.seen
    large = {**BODY, "prompt": "x" * 20000}
    assert httpx.post(f"{url}/v1/completions", json=large, timeout=60).status_code == 413

    # A node dies: what it was computing is lost, each client's one request at most, and what
    # was sent to it until its death was known.
    with asking(url, 6) as clients:
        wait(lambda: clients.seen["200"] >= 12, "answers before")
        assert clients.lost == 0
        cluster.remove_node(other, allow_graceful=False)
        before = clients.seen["200"]
        wait(lambda: clients.seen["200"] >= before + 24, "answers after the node's death")
    assert clients.lost <= 4 * 6, clients.seen


def test_no_cluster_is_one_clear_error() -> None:
    pytest.importorskip("ray", reason="ray is not installed (pip install 'paddock[ray]')")
    # In a process of its own: this one may belong to a cluster.
    done = subprocess.run(
        [sys.executable, "-m", "paddock", "serve", "--ray", "--ray-address",
         f"127.0.0.1:{free_port()}"],
        capture_output=True, text=True, timeout=170, env={**os.environ, **ENVIRONMENT}, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no Ray cluster" in done.stderr.splitlines()[-1], done.stderr
