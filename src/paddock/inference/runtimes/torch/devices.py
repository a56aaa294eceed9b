"""All that is particular to a device, so that the model never asks which one it runs on."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from paddock.errors import DeviceError, UsageError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.runtimes.torch.ops import PLAIN, Ops, npu_ops

Capture = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]
"""Takes a function that launches work on the device; returns one that launches all of it again."""

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
KINDS = ("cpu", "cuda", "npu")


@dataclass(frozen=True, slots=True)
class Device:
    """One device: its torch handle, its free memory in bytes (None: ask the host), its dtypes.

    ``native`` lists the dtypes that the hardware multiplies at full speed, best first. ``ops`` are
    its own operations; ``capture`` records launches as a graph, where the device can.
    ``collectives`` is the torch.distributed backend through which ranks on such devices talk.
    """

    kind: str
    handle: torch.device
    native: tuple[str, ...]
    free_bytes: int | None
    ops: Ops = PLAIN
    capture: Capture | None = None
    collectives: str = "gloo"

    def choose_dtype(self, asked: str, config: ModelConfig, available: int) -> str:
        """The dtype to compute in.

        ``auto`` is the stored one where the hardware multiplies it natively. Elsewhere it is fp32
        if the weights then take at most half of ``available`` bytes, else bf16 (slower on such a
        CPU, but half the size, with fp32's range).
        """
        if asked != "auto" and asked not in DTYPES:
            raise UsageError(f"dtype is {asked!r}", hint="use auto, bf16, fp16 or fp32")
        if asked != "auto":
            # Other devices compute in what they have no units for, slowly; an NPU's kernels fail.
            if self.kind == "npu" and asked not in self.native:
                raise DeviceError(
                    f"this NPU has no {asked} kernels", hint=f"use {' or '.join(self.native)}"
                )
            return asked
        if config.dtype in self.native:
            return config.dtype
        if "fp32" not in self.native:
            return self.native[0]
        if config.n_params() * 4 <= available // 2:
            return "fp32"
        return self.native[0] if self.native[0] != "fp32" else "bf16"


def select(name: str = "auto") -> Device:
    """The device called ``name``: ``auto``, ``cpu``, ``cuda[:N]`` or ``npu[:N]``.

    Raises DeviceError if it is absent, UsageError if there is no such kind.
    """
    if name == "auto":
        name = _best()
    kind, _, index = name.partition(":")
    if kind not in KINDS:
        raise UsageError(f"device is {name!r}", hint="use auto, cpu, cuda[:N] or npu[:N]")
    if index and not index.isdigit():
        raise UsageError(f"device is {name!r}", hint=f"the part after {kind}: must be a number")
    if kind == "cpu":
        return Device("cpu", torch.device("cpu"), _cpu_native(), None)
    if kind == "cuda":
        return _cuda(int(index or 0))
    return _npu(int(index or 0))


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    # torch_npu is looked for, not imported: without CANN its import fails.
    if importlib.util.find_spec("torch_npu") and Path("/dev/davinci_manager").exists():
        return "npu"
    return "cpu"


def _cpu_native() -> tuple[str, ...]:
    """What this CPU multiplies natively, from the kernel's own list of features."""
    try:
        features = Path("/proc/cpuinfo").read_text()
    except OSError:
        return ("fp32",)
    # avx512_bf16/amx_bf16 on x86-64, bf16 on aarch64 (Linux: arch/*/kernel/cpu names).
    words = set(features.split())
    return ("bf16", "fp32") if words & {"avx512_bf16", "amx_bf16", "bf16"} else ("fp32",)


def _cuda(index: int) -> Device:
    if not torch.cuda.is_available():
        raise DeviceError(
            "no CUDA device can be used by this PyTorch",
            hint="check nvidia-smi and that torch is a CUDA build, or use --device cpu",
        )
    count = torch.cuda.device_count()
    if index >= count:
        raise DeviceError(f"cuda:{index} does not exist", hint=f"there are {count}, from cuda:0")
    native = ("bf16", "fp16", "fp32") if torch.cuda.is_bf16_supported() else ("fp16", "fp32")
    free, _ = torch.cuda.mem_get_info(index)
    handle = torch.device("cuda", index)
    capture = _capture(torch.cuda, "CUDAGraph", handle)
    return Device("cuda", handle, native, free, capture=capture, collectives="nccl")


def _npu(index: int) -> Device:
    """Unverified on hardware."""
    try:
        torch_npu = importlib.import_module("torch_npu")
    except (ImportError, OSError, RuntimeError) as cause:
        raise DeviceError(
            f"torch_npu cannot be imported: {cause}",
            hint="install torch_npu of torch's version and source CANN's set_env.sh",
        ) from cause
    npu = torch_npu.npu
    if index >= npu.device_count():
        raise DeviceError(f"npu:{index} does not exist", hint=f"there are {npu.device_count()}")
    native = npu_dtypes(str(npu.get_device_name(index)))
    free, _ = npu.mem_get_info(index)
    handle = torch.device("npu", index)
    capture = _capture(npu, "NPUGraph", handle)
    return Device("npu", handle, native, int(free), npu_ops(torch_npu), capture, "hccl")


def npu_dtypes(chip: str) -> tuple[str, ...]:
    """What a chip of this name computes in, best first; names as ``npu.get_device_name`` has them.

    The 310 family has fp16 only (vllm-ascend's notes on 310P), the first 910 no bf16. Careful:
    "Ascend910B" without a digit is how CANN calls a 910 of the first generation.
    """
    if chip.startswith("Ascend310"):
        return ("fp16",)
    if chip == "Ascend910B" or chip.startswith(("Ascend910A", "Ascend910Pro")):
        return ("fp16", "fp32")
    return ("bf16", "fp16", "fp32")


_TRIALS = 3
"""Runs before a recording: libraries choose their kernels and take their memory in the first."""


def _capture(module: Any, graph_class: str, device: torch.device) -> Capture | None:
    """``Capture`` by ``torch.cuda`` or its twin ``torch.npu``; None where that has no graphs."""
    if not hasattr(module, graph_class):
        return None

    def capture(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        # Not on the default stream, which cannot be recorded.
        stream = module.Stream(device)
        stream.wait_stream(module.current_stream(device))
        with module.stream(stream):
            for _ in range(_TRIALS):
                run()
        module.current_stream(device).wait_stream(stream)
        graph = getattr(module, graph_class)()
        with module.graph(graph):
            result = run()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay

    return capture
