"""The variables that ranks need, as tables for a child's environment; ours is never changed.

Sources: PyTorch (torchrun, ProcessGroupGloo, ProcessGroupNCCL), CANN's list of HCCL environment
variables, Ascend/pytorch's documentation of PYTORCH_NPU_ALLOC_CONF, MindSpore's msrun.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paddock.errors import UsageError

CONNECT_S = 7200
"""HCCL_CONNECT_TIMEOUT: the longest that a rank may wait for another that still loads."""


def network(interface: str | None, address: str | None = None) -> dict[str, str]:
    """Pins all libraries to one interface: left alone, each picks by a rule of its own.

    ``address`` is this host's on that interface. The names must be the same on all ranks of a host,
    and differing timeouts between ranks are a known cause of HCCL's EI0006.
    """
    if interface is None:
        return {}
    names = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "HCCL_SOCKET_IFNAME")
    # NCCL takes a bare name for a prefix: eth1 would also be eth10. "=" asks for the very one.
    found = {name: f"={interface}" if name.startswith(("NCCL", "HCCL")) else interface
             for name in names}  # fmt: skip
    if address is not None:
        found["HCCL_IF_IP"] = address
    return found


def ascend(devices: Sequence[int] | None = None, rank_table: str | None = None) -> dict[str, str]:
    """For ranks on NPUs. ``devices`` are logical numbers of what the container has, in order.

    ``rank_table`` is a path for CANN versions and networks that need the table.
    """
    found = {
        # Without it the allocator's blocks cannot grow, and a cache that is resized fragments.
        "PYTORCH_NPU_ALLOC_CONF": "expandable_segments:True",
        "HCCL_CONNECT_TIMEOUT": str(CONNECT_S),
        "HCCL_OP_EXPANSION_MODE": "AIV",
    }
    if devices is not None:
        found["ASCEND_RT_VISIBLE_DEVICES"] = visible(devices)
    if rank_table is not None:
        found["RANK_TABLE_FILE"] = rank_table
    return found


def visible(devices: Sequence[int]) -> str:
    """The value of ASCEND_RT_VISIBLE_DEVICES or CUDA_VISIBLE_DEVICES. Raises UsageError."""
    if not devices or len(set(devices)) < len(devices) or min(devices) < 0:
        raise UsageError(
            f"the devices are {list(devices)}", hint="name each once, by its number from 0 on"
        )
    return ",".join(map(str, devices))


@dataclass(frozen=True, slots=True)
class Msrun:
    """A MindSpore job of ``workers`` processes, ``local`` of them on this host (number ``node``).

    They meet at ``address``:``port`` of host 0; ``join`` waits for their end.
    """

    workers: int
    local: int
    address: str = "127.0.0.1"
    port: int = 8118
    node: int = 0
    log_dir: str = "output/msrun_log"
    join: bool = True
    timeout_s: int = 600

    def __post_init__(self) -> None:
        if not 1 <= self.local <= self.workers or self.workers % self.local:
            raise UsageError(
                f"{self.workers} workers, {self.local} of them on this host",
                hint="all hosts must have the same number",
            )
        if not 0 <= self.node < self.workers // self.local:
            raise UsageError(
                f"node is {self.node}", hint=f"there are {self.workers // self.local} hosts, from 0"
            )

    def argv(self, program: Sequence[str]) -> list[str]:
        """``msrun``'s command line around ``program``. Source: MindSpore r2.3 and later, msrun."""
        return [
            "msrun",
            f"--worker_num={self.workers}",
            f"--local_worker_num={self.local}",
            f"--master_addr={self.address}",
            f"--master_port={self.port}",
            f"--node_rank={self.node}",
            f"--log_dir={self.log_dir}",
            f"--join={self.join}",
            f"--cluster_time_out={self.timeout_s}",
            *program,
        ]

    def worker(self, local: int) -> dict[str, str]:
        """What msrun itself sets for its ``local``-th worker on this host.

        For starting one by hand or without msrun. Source: MindSpore r2.7,
        parallel/cluster/process_entity: MS_ROLE and so on; the scheduler is ``scheduler``'s.
        """
        if not 0 <= local < self.local:
            raise UsageError(f"worker {local} of {self.local}", hint="counted from 0")
        number = self.node * self.local + local
        return {**self._common("MS_WORKER"), "MS_NODE_ID": str(number), "RANK_ID": str(number),
                "RANK_SIZE": str(self.workers), "DEVICE_ID": str(local)}  # fmt: skip

    def scheduler(self) -> dict[str, str]:
        """For the process on host 0 that the workers meet at."""
        return self._common("MS_SCHED")

    def checkpoint(self, folder: str, local: int) -> str:
        """Where MindFormers looks for a worker's part of the weights: ``folder/rank_N``."""
        return f"{folder.rstrip('/')}/rank_{self.node * self.local + local}"

    def _common(self, role: str) -> dict[str, str]:
        return {
            "MS_ROLE": role,
            "MS_SCHED_HOST": self.address,
            "MS_SCHED_PORT": str(self.port),
            "MS_WORKER_NUM": str(self.workers),
            "MS_CLUSTER_TIMEOUT": str(self.timeout_s),
        }


def by_rank_table(table: str, rank: int, device: int, size: int) -> dict[str, str]:
    """One process of a MindSpore job that was started without msrun (MindFormers 1.0)."""
    return {
        "RANK_TABLE_FILE": table,
        "RANK_ID": str(rank),
        "DEVICE_ID": str(device),
        "RANK_SIZE": str(size),
    }
