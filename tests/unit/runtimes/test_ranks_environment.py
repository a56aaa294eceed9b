"""What ranks' processes are given, and which groups of hosts are refused before anything starts."""

from __future__ import annotations

import os
import socket

import pytest

from paddock import settings
from paddock.errors import UsageError
from paddock.inference.checkpoint.parts import Split
from paddock.inference.runtimes.ranks import environment
from paddock.inference.runtimes.ranks.environment import Msrun
from paddock.inference.runtimes.ranks.launch import Group
from paddock.inference.runtimes.ranks.nodes import Nodes, interface_of


def test_libraries_are_pinned_to_one_interface() -> None:
    assert environment.network("eth1", "10.0.0.1") == {
        "GLOO_SOCKET_IFNAME": "eth1",
        "NCCL_SOCKET_IFNAME": "=eth1",
        "TP_SOCKET_IFNAME": "eth1",
        "HCCL_SOCKET_IFNAME": "=eth1",
        "HCCL_IF_IP": "10.0.0.1",
    }
    assert environment.network(None) == {}


def test_npus() -> None:
    found = environment.ascend([4, 5], "/etc/rank_table.json")
    assert found["ASCEND_RT_VISIBLE_DEVICES"] == "4,5"
    assert found["RANK_TABLE_FILE"] == "/etc/rank_table.json"
    assert found["PYTORCH_NPU_ALLOC_CONF"] == "expandable_segments:True"
    assert "ASCEND_RT_VISIBLE_DEVICES" not in environment.ascend()
    for wrong in ([], [1, 1], [-1]):
        with pytest.raises(UsageError, match="the devices are"):
            environment.visible(wrong)
    # Tables for children: nothing of it is ours.
    assert "HCCL_CONNECT_TIMEOUT" not in os.environ


def test_msrun() -> None:
    job = Msrun(workers=16, local=8, address="10.0.0.1", node=1)
    assert job.argv(["python", "run.py"])[:6] == [
        "msrun",
        "--worker_num=16",
        "--local_worker_num=8",
        "--master_addr=10.0.0.1",
        "--master_port=8118",
        "--node_rank=1",
    ]
    worker = job.worker(2)
    assert (worker["MS_ROLE"], worker["RANK_ID"], worker["DEVICE_ID"]) == ("MS_WORKER", "10", "2")
    assert job.scheduler()["MS_ROLE"] == "MS_SCHED"
    assert job.checkpoint("/models/sharded/", 2) == "/models/sharded/rank_10"
    # What this house's own settings read of it.
    assert settings.rank(worker) == (10, 16)
    for wrong in ({"workers": 3, "local": 2}, {"workers": 2, "local": 4}):
        with pytest.raises(UsageError, match="all hosts must have the same number"):
            Msrun(**wrong)
    with pytest.raises(UsageError, match="there are 2 hosts"):
        Msrun(16, 8, node=2)
    with pytest.raises(UsageError, match="worker 8 of 8"):
        job.worker(8)


def test_a_rank_table_without_msrun() -> None:
    found = environment.by_rank_table("t.json", 3, 1, 8)
    assert settings.rank(found) == (3, 8)
    assert found["RANK_TABLE_FILE"] == "t.json"


def test_elastic_variables() -> None:
    given = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
             "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}  # fmt: skip
    assert settings.elastic_rank(given) == (3, 4, 1, 2, ("10.0.0.1", 29500))
    with pytest.raises(UsageError, match="RANK is None"):
        settings.elastic_rank({})


@pytest.mark.parametrize(
    ("count", "rank", "endpoint", "words"),
    [
        (2, 2, "h:1", "this is host 2 of 2"),
        (0, 0, "h:1", "this is host 0 of 0"),
        (2, 0, "127.0.0.1:0", "need a place to meet.*--rdzv-endpoint"),
        (2, 0, "h:port", "the endpoint is 'h:port'"),
        (2, 0, ":29400", "the endpoint is ':29400'"),
        (2, 0, "h:70000", "the endpoint is 'h:70000'"),
    ],
)
def test_hosts_that_cannot_meet(count: int, rank: int, endpoint: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Nodes(count, rank, endpoint)


def test_where_hosts_meet() -> None:
    assert Nodes(2, 0, "npu1").split_endpoint() == ("npu1", 29400)
    assert Nodes(2, 0, "[fe80::1]:5000").split_endpoint() == ("fe80::1", 5000)
    assert Nodes(2, 1, "127.0.0.1:5000").address == "127.0.0.1"
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("203.0.113.7") is None
    assert "lo" in {name for _, name in socket.if_nameindex()}


@pytest.mark.parametrize(
    ("split", "hosts", "good"),
    [
        (Split(2, 2), 2, True),
        (Split(4, 1), 2, True),
        (Split(2, 1), 3, False),
        (Split(4, 3), 2, False),
    ],
)  # fmt: skip
def test_ranks_are_shared_out_evenly(split: Split, hosts: int, good: bool) -> None:
    nodes = Nodes(hosts, 0, "h:1")
    if good:
        nodes.check(split)
    else:
        with pytest.raises(UsageError, match=r"cannot be shared out evenly"):
            nodes.check(split)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nnodes": 2}, "nnodes without tp or pp"),
        ({"node_rank": 1, "rdzv_endpoint": "h:1"}, "node_rank, rdzv_endpoint without tp or pp"),
        ({"tp": 0}, "tp is 0"),
    ],
)
def test_wishes_that_make_no_sense(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Group.take(options)


def test_what_is_not_asked_for_is_no_group() -> None:
    options = {"tp": 1, "pp": 1, "dtype": "fp32"}
    assert Group.take(options) is None
    assert options == {"dtype": "fp32"}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"tp": 2, "graphs": True}, UsageError, "graphs is True, which several ranks do not have"),
        ({"tp": 2, "kv": "int8"}, UsageError, "kv is 'int8', which several ranks do not have"),
        ({"tp": 3}, UsageError, "tp is 3.*use 1 or 2"),
        ({"tp": 2, "quant": "int3"}, UsageError, "quant is 'int3'"),
        ({"tp": 2, "pp": 1, "nnodes": 2, "rdzv_endpoint": "h:1", "node_rank": 1}, UsageError,
         "this is host 1, which only lends its cards"),
    ],
)  # fmt: skip
def test_what_several_ranks_cannot_do_is_refused_by_name(
    options: dict[str, object], error: type[Exception], words: str
) -> None:
    from paddock.inference.checkpoint.open import open_checkpoint
    from paddock.inference.checkpoint.store import locate
    from paddock.inference.runtimes.load import load_runtime

    demo = open_checkpoint(locate(None, settings.load()))
    with pytest.raises(error, match=words):
        load_runtime(demo, "auto", **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="runtime is 'native'"):
        load_runtime(demo, "native", tp=2)
