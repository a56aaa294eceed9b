"""Replicas on a real Ray cluster of two nodes: scaled, updated, and one node killed under load."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from paddock.inference.serve.config import ServeConfig
from paddock.inference.serve.ray import APPLICATION, RayConfig, deploy
from raykit import BODY, ENVIRONMENT, add_node, asking, cluster_of, free_port, wait

# Starting a cluster takes a minute or more on two cores: not in CI.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def config(port: int, **more: Any) -> ServeConfig:
    options = {"cache": "paged", "threads": 1}
    return ServeConfig(port=port, max_batch=8, options=options, log_format="json", **more)


def replicas(ray: Any) -> int:
    """Replicas that run."""
    states = ray.serve.status().applications[APPLICATION].deployments["Llama"].replica_states
    return int(states.get("RUNNING", 0))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with cluster_of(1) as made:
        yield made


def test_scaled_updated_and_a_node_killed_under_load(cluster: Any) -> None:
    import ray

    other = add_node(cluster)
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
