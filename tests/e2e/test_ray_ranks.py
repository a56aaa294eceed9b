"""A replica of two ranks on a Ray cluster of two nodes; one rank is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from paddock.errors import UsageError
from paddock.inference.checkpoint.parts import Split
from paddock.inference.serve.config import ServeConfig
from paddock.inference.serve.ray import RayConfig, deploy
from paddock.inference.serve.ray_ranks import bundles, split_of
from serverkit import serving

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_what_a_replica_takes() -> None:
    assert bundles(Split(2), "npu", 0.5) == [
        {"CPU": 0.5},
        {"CPU": 0.5, "NPU": 1.0},
        {"CPU": 0.5, "NPU": 1.0},
    ]
    assert bundles(Split(1, 2), "cpu", 1)[1:] == [{"CPU": 1}] * 2
    with pytest.raises(UsageError, match="Ray must know what a rank takes"):
        bundles(Split(2), "auto", 1)
    with pytest.raises(UsageError, match="nnodes with --ray"):
        split_of({"tp": 2, "nnodes": 2})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="ray is not installed (pip install 'paddock[ray]')")
    utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    common = {"num_cpus": 1, "object_store_memory": 100 << 20, "node_ip_address": "127.0.0.1"}
    made = utils.Cluster(initialize_head=True, head_node_args=common)
    made.add_node(**common)
    try:
        yield made
    finally:
        ray.serve.shutdown()
        ray.shutdown()
        made.shutdown()


def rank_processes() -> list[int]:
    """Ray renames its workers after what they run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if "RankActor" in path.read_text():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return sorted(found)


def test_a_replica_of_two_ranks(cluster: Any) -> None:
    port = 18765
    options = {"cache": "paged", "threads": 1, "tp": 2, "device": "cpu", "dtype": "fp32"}
    config = ServeConfig(port=port, max_batch=4, options=options, log_format="json")
    deploy(config, RayConfig(cluster.address, cpus=0.4))
    body = {"model": "demo", "prompt": "Once upon a time", "max_tokens": 8, "temperature": 0}

    def ask() -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{port}/v1/completions", json=body, timeout=120)

    with serving("--runtime", "torch", "--device", "cpu", "--dtype", "fp32") as alone:
        expected = alone.complete(body["prompt"], max_tokens=8, temperature=0).json()["choices"]
    assert ask().json()["choices"] == expected
    before = rank_processes()
    assert len(before) == 2
    os.kill(before[1], signal.SIGKILL)
    end = time.monotonic() + 120
    while (answer := ask()).status_code != 200:
        assert answer.status_code == 503 and time.monotonic() < end
        time.sleep(0.5)
    assert answer.json()["choices"] == expected
    after = rank_processes()
    assert len(after) == 2 and not set(after) & set(before)
