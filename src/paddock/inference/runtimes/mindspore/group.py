"""One worker for each rank of a model divided over devices, asked as if it were one.

Never run to its end: MindSpore divides models on Ascend and GPUs only, and refuses on the CPU once
all ranks have found each other. The environment is the one that msrun gives its processes.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from paddock.errors import RuntimeLost, UsageError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.runtimes.mindspore.channel import Channel, Failed, Floats

JOIN_TIMEOUT = 600
"""Seconds in which all ranks must have found each other; msrun's own default."""


def check_ranks(config: ModelConfig, ranks: int) -> None:
    """Raises UsageError unless heads and feed-forward layer divide evenly over ``ranks``."""
    sizes = (config.n_heads, config.n_kv_heads, config.hidden_dim)
    possible = [n for n in range(1, config.n_kv_heads + 1) if all(size % n == 0 for size in sizes)]
    if ranks not in possible:
        raise UsageError(
            f"{ranks} ranks cannot share {config.n_heads} heads, {config.n_kv_heads} of them for"
            f" keys and values, and {config.hidden_dim} columns",
            hint=f"possible are {', '.join(map(str, possible))}",
        )


def parallel_settings(ranks: int) -> dict[str, Any]:
    """What MindFormers is told of a model divided by rows and columns over ``ranks`` devices.

    Names: parallel and parallel_config of MindFormers 1.0.0's run_llama2_7b.yaml.
    """
    return {
        "context": {"parallel_mode": 1, "full_batch": True},
        "model": {
            "data_parallel": 1,
            "model_parallel": ranks,
            "pipeline_stage": 1,
            "micro_batch_num": 1,
            "vocab_emb_dp": True,
        },
    }


def variables(rank: int | None, ranks: int, port: int, host: str = "127.0.0.1") -> dict[str, str]:
    """The environment of a rank, or of the scheduler (None) by which ranks find each other.

    MS_*: MindSpore's dynamic cluster, as msrun sets it. RANK_*, DEVICE_ID: what MindFormers reads.
    """
    common = {
        "MS_WORKER_NUM": str(ranks),
        "MS_SCHED_HOST": host,
        "MS_SCHED_PORT": str(port),
        "MS_TOPO_TIMEOUT": str(JOIN_TIMEOUT),
        "RANK_SIZE": str(ranks),
    }
    if rank is None:
        return {**common, "MS_ROLE": "MS_SCHED"}
    own = {"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank)}
    return {**common, **own, "RANK_ID": str(rank), "DEVICE_ID": str(rank)}


class Group:
    """A worker for each rank and the scheduler; a Channel to whoever asks."""

    def __init__(
        self,
        argv: Sequence[str],
        ranks: int,
        *,
        folder: Path,
        variables_of_all: Mapping[str, str] | None = None,
    ) -> None:
        """Starts them; see Channel."""
        self._ranks: list[Channel] = []
        port = _free_port()
        try:
            for rank in (None, *range(ranks)):
                name = "MindSpore's scheduler" if rank is None else f"MindSpore's rank {rank}"
                own = folder / ("scheduler" if rank is None else f"rank_{rank}")
                own.mkdir()
                given = {**(variables_of_all or {}), **variables(rank, ranks, port)}
                channel = Channel(argv, folder=own, variables=given, name=name)
                if rank is None:
                    self._scheduler = channel
                else:
                    self._ranks.append(channel)
        except BaseException:
            self.close()
            raise

    def ask(self, question: Mapping[str, Any], timeout: float) -> tuple[dict[str, Any], Floats]:
        """Rank 0's answer. One rank's failure ends all: the others would wait for it.

        Raises RuntimeLost, and Failed while the model is being opened.
        """
        opening = question["do"] == "open"
        if opening:  # the scheduler joins in this and is not heard of again
            self._scheduler.send(question, timeout)
        with ThreadPoolExecutor(len(self._ranks)) as pool:
            asked = [
                pool.submit(channel.ask, _of_rank(question, rank), timeout)
                for rank, channel in enumerate(self._ranks)
            ]
            try:
                for one in as_completed(asked):
                    one.result()
            except (Failed, RuntimeLost) as error:
                for channel in (*self._ranks, self._scheduler):
                    channel.signal()
                if opening or isinstance(error, RuntimeLost):
                    raise
                raise RuntimeLost(error.message, hint="open the model again") from None
        return asked[0].result()

    def close(self) -> None:
        """Ends all of them; calling it again does nothing."""
        scheduler = getattr(self, "_scheduler", None)
        for channel in self._ranks:
            channel.close()
        if scheduler is not None:
            scheduler.signal()
            scheduler.close()


def _of_rank(question: Mapping[str, Any], rank: int) -> dict[str, Any]:
    if question["do"] != "open":
        return dict(question)
    context = dict(question["context"])
    if context["device_target"] != "CPU":
        context["device_id"] = rank
    return {**question, "context": context}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
