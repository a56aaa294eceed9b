"""What a replica takes of a Ray cluster, and wishes that cannot be; without Ray."""

from __future__ import annotations

import pytest

from paddock.errors import UsageError
from paddock.inference.checkpoint.parts import Split
from paddock.inference.serve.config import ServeConfig
from paddock.inference.serve.ray import RayConfig, deploy, run
from paddock.inference.serve.ray_ranks import bundles, split_of


def test_what_a_replica_takes() -> None:
    assert bundles(Split(2), "npu", 0.5) == [
        {"CPU": 0.5},
        {"CPU": 0.5, "NPU": 1.0},
        {"CPU": 0.5, "NPU": 1.0},
    ]
    assert bundles(Split(1, 2), "cpu", 1)[1:] == [{"CPU": 1}] * 2
    assert split_of({"tp": 2}) == Split(2)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="3 to 2 replicas"):
        RayConfig(min_replicas=3, max_replicas=2)
    with pytest.raises(UsageError, match="cpus is 0"):
        RayConfig(cpus=0)
    with pytest.raises(UsageError, match="Ray must know what a rank takes"):
        bundles(Split(2), "auto", 1)
    with pytest.raises(UsageError, match="nnodes with --ray"):
        split_of({"tp": 2, "nnodes": 2})
    with pytest.raises(UsageError, match="ends with it"):
        run(ServeConfig(), RayConfig("local"), detach=True)
    with pytest.raises(UsageError, match="port is 0"):
        deploy(ServeConfig(port=0), RayConfig())
