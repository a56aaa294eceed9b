"""The command line and the environment of ``vllm serve``. Not verified with vLLM itself.

Sources: docs.vllm.ai, "vllm serve" and "Parallelism and Scaling" (multi-node by multiprocessing);
vllm-ascend's tutorials for several nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddock.errors import UsageError
from paddock.inference.checkpoint.parts import Split
from paddock.inference.runtimes.ranks import environment
from paddock.inference.runtimes.ranks.nodes import ALONE, Nodes, interface_of

OPTIONS = ("vllm", "vllm_args")
"""Options of LLM.open's that only this runtime has: the program, and words for its command line."""

_DTYPES = {"auto": "auto", "bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
_HONOURED = {
    "runtime", "device", "dtype", "max_seq_len", "tp", "pp", "nnodes", "node_rank",
    "rdzv_endpoint", "cache", *OPTIONS,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """How vLLM is started. ``key`` is what its API asks for; it goes by the environment."""

    model: Path
    name: str
    max_batch: int
    split: Split = field(default_factory=Split)
    nodes: Nodes = field(default_factory=Nodes)
    dtype: str = "auto"
    max_seq_len: int | None = None
    device: str = "auto"
    program: str = "vllm"
    extra: tuple[str, ...] = ()
    key: str = field(default="", repr=False)

    @classmethod
    def of(cls, model: Path, name: str, max_batch: int, options: Mapping[str, Any]) -> Command:
        """From the options of ``paddock serve``. Raises UsageError for one it cannot honour."""
        given = {key: value for key, value in options.items() if value is not None}
        strange = sorted(given.keys() - _HONOURED)
        if strange:
            raise UsageError(
                f"{strange[0]} is {given[strange[0]]!r}, which the vllm runtime does not have",
                hint="leave it out, or hand vLLM's own option on with --vllm-arg",
            )
        if not (model / "config.json").is_file():
            raise UsageError(
                f"{model} is no folder in Hugging Face's layout, the one vLLM reads",
                hint="convert it: paddock convert SRC DST --to hf",
            )
        device = str(given.get("device", "auto"))
        if device.partition(":")[0] == "cpu":
            raise UsageError("vLLM on a CPU is not supported", hint="use --runtime native")
        dtype = str(given.get("dtype", "auto"))
        if dtype not in _DTYPES:
            raise UsageError(f"dtype is {dtype!r}", hint=f"use {', '.join(_DTYPES)}")
        nodes = Nodes(
            given.get("nnodes", 1), given.get("node_rank", 0), given.get("rdzv_endpoint", ALONE)
        )
        split = Split(given.get("tp", 1), given.get("pp", 1))
        nodes.check(split)
        return cls(
            model, name, max_batch, split, nodes, dtype, given.get("max_seq_len"), device,
            given.get("vllm", "vllm"), tuple(given.get("vllm_args", ())),
        )  # fmt: skip

    def argv(self, port: int) -> list[str]:
        """The words, the API on ``port`` of the loopback."""
        words = [
            *(self.program, "serve", str(self.model)),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--served-model-name", self.name),
            *("--dtype", _DTYPES[self.dtype]),
            *("--max-num-seqs", str(self.max_batch)),
            *("--tensor-parallel-size", str(self.split.tp)),
            *("--pipeline-parallel-size", str(self.split.pp)),
            # What a request does not say is the front's to decide, not generation_config.json's.
            *("--generation-config", "vllm"),
        ]
        if self.max_seq_len is not None:
            words += ["--max-model-len", str(self.max_seq_len)]
        if self.nodes.count > 1:
            host, at = self.nodes.split_endpoint()
            words += [
                *("--distributed-executor-backend", "mp"),
                *("--nnodes", str(self.nodes.count), "--node-rank", str(self.nodes.rank)),
                *("--master-addr", host, "--master-port", str(at)),
            ]
            if self.nodes.rank:
                words.append("--headless")
        return [*words, *self.extra]

    def variables(self) -> dict[str, str]:
        """What the child's environment gets besides ours."""
        found = {"VLLM_API_KEY": self.key} if self.key else {}
        found["VLLM_NO_USAGE_STATS"] = "1"
        if self.nodes.count > 1:
            own = self.nodes.address
            found |= {"VLLM_HOST_IP": own, **environment.network(interface_of(own), own)}
        if self.device.partition(":")[0] == "npu":
            found |= environment.ascend()
        return found
