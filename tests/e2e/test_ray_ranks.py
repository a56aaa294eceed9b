"""A replica of two ranks on a Ray cluster of two nodes; one rank is killed, then the worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from paddock.inference.serve.config import ServeConfig
from paddock.inference.serve.ray import RayConfig, deploy
from raykit import BODY, below, cluster_of, free_port, wait
from serverkit import serving

# Starting a cluster takes a minute or more on two cores: not in CI.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with cluster_of(2) as made:
        yield made


def ranks() -> list[int]:
    """Ray names its workers after what they run."""
    return below(os.getpid(), "RankActor")


def worker() -> int:
    """The process that has the replica's engine."""
    (replica,) = below(os.getpid(), "ServeReplica")
    (found,) = [
        one.pid for one in psutil.Process(replica).children() if "spawn_main" in str(one.cmdline())
    ]
    return found


def test_a_replica_of_two_ranks_outlives_a_rank_and_its_worker(cluster: Any) -> None:
    options = {"cache": "paged", "threads": 1, "tp": 2, "device": "cpu", "dtype": "fp32"}
    config = ServeConfig(port=free_port(), max_batch=4, options=options, log_format="json")
    with serving("--runtime", "torch", "--device", "cpu", "--dtype", "fp32") as alone:
        expected = alone.post("/v1/completions", BODY).json()["choices"]
    # 1.2 CPUs, which no node has: the ranks are on both.
    deploy(config, RayConfig(cluster.address, cpus=0.4))

    def ask() -> httpx.Response:
        url = f"http://127.0.0.1:{config.port}/v1/completions"
        return httpx.post(url, json=BODY, timeout=120)

    def answered(seen: list[int]) -> bool:
        answer = ask()
        seen.append(answer.status_code)
        return answer.status_code == 200 and answer.json()["choices"] == expected

    assert answered([])
    before = ranks()
    assert len(before) == 2
    for victim in (before[1], worker()):
        os.kill(victim, signal.SIGKILL)
        seen: list[int] = []
        wait(lambda seen=seen: answered(seen), "an answer by a new group")
        assert set(seen) <= {200, 503}
        wait(lambda: len(ranks()) == 2, "two ranks")
        after = ranks()
        assert not set(after) & set(before)
        before = after
