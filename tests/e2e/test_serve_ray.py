"""Replicas on a real Ray cluster of two nodes, of which one is killed under load."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from paddock.errors import PaddockError, UsageError
from paddock.inference.serve.config import ServeConfig
from paddock.inference.serve.ray import RayConfig, deploy

# Starting a cluster takes a minute or more on two cores: not in CI.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="3 to 2 replicas"):
        RayConfig(min_replicas=3, max_replicas=2)
    with pytest.raises(UsageError, match="cpus is 0"):
        RayConfig(cpus=0)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="ray is not installed (pip install 'paddock[ray]')")
    utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Noticed within seconds, not minutes.
    monkeypatch.setenv("RAY_health_check_initial_delay_ms", "2000")
    monkeypatch.setenv("RAY_health_check_period_ms", "1000")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "3")
    common = {"num_cpus": 1, "object_store_memory": 100 << 20, "node_ip_address": "127.0.0.1"}
    made = utils.Cluster(initialize_head=True, head_node_args=common)
    try:
        yield made
    finally:
        ray.serve.shutdown()
        ray.shutdown()
        made.shutdown()


def test_a_killed_node_costs_what_it_was_computing(cluster: Any) -> None:
    other = cluster.add_node(num_cpus=1, object_store_memory=100 << 20, node_ip_address="127.0.0.1")
    port = free_port()
    config = ServeConfig(
        port=port, max_batch=8, options={"cache": "paged", "threads": 1}, log_format="json"
    )
    deploy(config, RayConfig(cluster.address, min_replicas=2, max_replicas=2, cpus=0.5))
    url = f"http://127.0.0.1:{port}"
    body = {"model": "demo", "prompt": "Once", "max_tokens": 30, "temperature": 0}
    expected = httpx.post(f"{url}/v1/completions", json=body, timeout=120).json()["choices"]
    seen: Counter[str] = Counter()
    after: Counter[str] = Counter()
    wrong: list[Any] = []
    done, killed = threading.Event(), threading.Event()

    def client() -> None:
        while not done.is_set():
            try:
                reply = httpx.post(f"{url}/v1/completions", json=body, timeout=120)
                word = str(reply.status_code)
                if reply.status_code == 200 and reply.json()["choices"] != expected:
                    wrong.append(reply.json())
            except httpx.HTTPError as error:
                word = type(error).__name__
            (after if killed.is_set() else seen)[word] += 1

    clients = [threading.Thread(target=client) for _ in range(6)]
    for one in clients:
        one.start()
    try:
        wait(lambda: seen["200"] >= 12)
        cluster.remove_node(other, allow_graceful=False)
        killed.set()
        wait(lambda: after["200"] >= 24)
    finally:
        done.set()
        for one in clients:
            one.join()
    assert not wrong
    assert set(seen) == {"200"}
    # Each client loses at most what was under way, and what the dead node's proxy still took.
    assert sum(after.values()) - after["200"] <= 4 * len(clients), after


def wait(true: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_no_cluster_is_one_clear_error() -> None:
    pytest.importorskip("ray", reason="ray is not installed (pip install 'paddock[ray]')")
    with pytest.raises(PaddockError, match="no Ray cluster"):
        deploy(ServeConfig(), RayConfig(f"127.0.0.1:{free_port()}"))
