"""Picks a runtime; a library that is missing hurts only whoever selects it."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

from paddock.errors import DeviceError, MissingExtra, UsageError, nearest
from paddock.inference.checkpoint.base import Checkpoint
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.runtimes.base import Runtime
from paddock.inference.runtimes.ranks.launch import Group, open_group

RUNTIMES = ("native", "torch", "mindspore")
ONLY = {
    "native": ("kv", "instructions"),
    "torch": ("graphs", "compiled"),
    "mindspore": ("python", "mode", "use_past", "values", "context", "ranks", "shards", "timeouts"),
    "vllm": ("vllm", "vllm_args"),
}
"""Options that one runtime has and the others do not."""

# Character devices of the drivers: NVIDIA's, NVIDIA's under WSL, Ascend's.
_ACCELERATORS = ("/dev/nvidiactl", "/dev/dxg", "/dev/davinci_manager")
_said: set[str] = set()


def load_runtime(
    checkpoint: Checkpoint, name: str = "auto", *, quant: str | None = None, **options: Any
) -> Runtime:
    """The runtime called ``name`` with ``checkpoint`` loaded; ``auto`` as in ``choose_runtime``.

    ``quant`` is ``int4`` or ``int8`` to quantize what is not yet, or ``fp8`` on GPUs. ``options``
    are those of that runtime's ``build``: ``device``, ``dtype``, ``max_seq_len``, ``max_batch``,
    ``cache``, ``threads``, ``vocab_size``, and those in ONLY; None is "not given". ``tp``, ``pp``,
    ``nnodes``, ``node_rank`` and ``rdzv_endpoint`` spread the model over several ranks of the torch
    runtime (runtimes/ranks). Raises UsageError for an unknown name or an option of another runtime,
    and MissingExtra where a library is not installed.
    """
    options = {key: value for key, value in options.items() if value is not None}
    group = Group.take(options)
    if group is not None:
        return _load_group(checkpoint, name, group, quant, options)
    name = choose_runtime(checkpoint.config(), name, options.get("device", "auto"))
    for owner, keys in ONLY.items():
        for key in keys:
            if owner != name and key in options:
                raise UsageError(
                    f"{key} is {options[key]!r}, which the {name} runtime does not have",
                    hint=f"leave it out, or choose the {owner} runtime",
                )
    if name == "mindspore":
        if quant is not None:
            raise UsageError(
                f"quant is {quant!r}, which the mindspore runtime does not have",
                hint="leave it out, or choose the native or the torch runtime",
            )
        from paddock.inference.runtimes.mindspore.build import build as build_mindspore

        return build_mindspore(checkpoint, **options)
    if quant == "fp8":
        if name == "native":
            raise UsageError("quant is 'fp8', which is for GPUs", hint="use int4 or int8 on a CPU")
        options["quant"] = quant
    else:
        from paddock.inference.checkpoint.quantized import quantized

        checkpoint = quantized(checkpoint, quant)
    if name == "native":
        from paddock.inference.runtimes.native.build import build as build_native

        return build_native(checkpoint, **options)
    _import_torch()
    from paddock.inference.runtimes.torch.build import build as build_torch

    return build_torch(checkpoint, **options)


def _load_group(
    checkpoint: Checkpoint, name: str, group: Group, quant: str | None, options: dict[str, Any]
) -> Runtime:
    """Several ranks, which only the torch runtime has."""
    if name not in ("auto", "torch"):
        raise UsageError(
            f"runtime is {name!r}, and tp is {group.split.tp}, pp {group.split.pp}",
            hint="several ranks run on torch",
        )
    for key in (key for keys in ONLY.values() for key in keys):
        # Recorded steps with NCCL inside were never tried, the rest is other runtimes'.
        if key in options:
            raise UsageError(
                f"{key} is {options[key]!r}, which several ranks do not have", hint="leave it out"
            )
    if not _has_torch():
        raise MissingExtra("torch", "torch")
    _import_torch()
    if quant not in (None, "int4", "int8", "fp8"):
        raise UsageError(f"quant is {quant!r}", hint="use int4, int8 or fp8, or leave it out")
    return open_group(checkpoint, group, quant=quant, **options)


def choose_runtime(config: ModelConfig, name: str = "auto", device: str = "auto") -> str:
    """``name``, or for ``auto`` ``native`` or ``torch``, by ``device`` (``auto``: ``best_device``).

    On CPUs that is the native one. Where it cannot serve, torch does, and a UserWarning says why,
    once per process. Raises UsageError for an unknown name, MissingExtra or DeviceError where
    nothing can serve.
    """
    if name not in ("auto", *RUNTIMES):
        raise UsageError(
            f"runtime is {name!r}{nearest(name, RUNTIMES)}",
            hint=f"use auto, {', '.join(RUNTIMES[:-1])} or {RUNTIMES[-1]}",
        )
    if name in ("native", "mindspore"):
        return name
    if name == "auto":
        kind = (best_device() if device == "auto" else device).partition(":")[0]
        if kind == "cpu":
            from paddock.inference.runtimes.native.build import unfit

            reason = unfit(config)
            if reason is None:
                return "native"
            if not _has_torch():
                raise DeviceError(
                    f"the native runtime cannot be used: {reason}; and torch is not installed",
                    hint="install a C++ compiler and Paddock again, or: pip install"
                    " 'paddock[torch]'",
                )
            _say_once(f"torch runs the model, slower: the native runtime cannot, {reason}")
    if not _has_torch():
        raise MissingExtra("torch", "torch")
    return "torch"


def best_device() -> str:
    """``cuda``, ``npu`` or ``cpu``: what ``auto`` stands for on this machine.

    Torch is asked, and imported, only where there is a driver for an accelerator.
    """
    if not any(Path(path).exists() for path in _ACCELERATORS) or not _has_torch():
        return "cpu"
    _import_torch()
    from paddock.inference.runtimes.torch import devices

    return devices.select("auto").kind


def _has_torch() -> bool:
    try:
        return importlib.util.find_spec("torch") is not None
    except ModuleNotFoundError:
        return False


def _import_torch() -> None:
    """Imports torch, which imports every installed backend: torch_npu breaks it without CANN.

    Raises DeviceError that names the deepest reason.
    """
    try:
        importlib.import_module("torch")
    except ImportError as error:
        if error.name == "torch":
            raise MissingExtra("torch", "torch") from error
        raise _broken(error) from error
    except (RuntimeError, OSError) as error:
        raise _broken(error) from error


def _broken(error: BaseException) -> DeviceError:
    deepest = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    said = str(deepest).strip("'").splitlines()
    return DeviceError(
        f"torch cannot be imported: {said[0] if said else type(deepest).__name__}",
        hint="source CANN's set_env.sh where that is torch_npu's library; to do without torch_npu: "
        "export TORCH_DEVICE_BACKEND_AUTOLOAD=0; paddock doctor says more",
    )


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        warnings.warn(message, UserWarning, stacklevel=3)
