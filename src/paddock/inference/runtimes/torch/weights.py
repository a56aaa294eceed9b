"""Streams a checkpoint into a Llama, one tensor at a time, straight to its final place and type."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from paddock.inference.checkpoint.base import Array, Checkpoint
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.checkpoint.verify import checked, checked_stored
from paddock.inference.runtimes.torch.devices import DTYPES
from paddock.inference.runtimes.torch.llama import Linear, Llama
from paddock.inference.runtimes.torch.ops import PLAIN, Ops
from paddock.inference.runtimes.torch.quantize import Fp8Linear, from_packed

# Weights that lie below each other in one parameter, in this order.
_FUSED = {
    "attention.wq": ("attention.wqkv", 0),
    "attention.wk": ("attention.wqkv", 1),
    "attention.wv": ("attention.wqkv", 2),
    "feed_forward.w1": ("feed_forward.w13", 0),
    "feed_forward.w3": ("feed_forward.w13", 1),
}


def load(
    checkpoint: Checkpoint,
    config: ModelConfig,
    dtype: str,
    device: torch.device,
    *,
    transposed: bool = False,
    ops: Ops = PLAIN,
) -> Llama:
    """A ready model in ``dtype`` on ``device``; ``transposed`` is ``store_transposed``'s layout.

    Beyond the model itself only one tensor is in memory at a time. Raises what ``checked`` raises.
    """
    model = _empty(config, DTYPES[dtype], device, ops)
    if transposed:
        store_transposed(model)
        if config.tie_embeddings:
            model.tie()
    places = dict(_places(model, config))
    with torch.no_grad():
        for name, array in checked(checkpoint, config):
            places[name].copy_(to_torch(array))
    return model.eval().requires_grad_(False)


def load_quantized(
    checkpoint: Checkpoint,
    config: ModelConfig,
    dtype: str,
    device: torch.device,
    *,
    fp8: bool = False,
    ops: Ops = PLAIN,
) -> Llama:
    """Like ``load``, but matrices that the checkpoint stores packed stay packed on the device.

    ``fp8`` turns the others into e4m3. Of what is read, one layer's fused matrix at a time exists
    twice.
    """
    with torch.device("meta"):
        model = Llama(config, ops)
    kind = DTYPES[dtype]
    model.cos, model.sin = model.cos.to(device, kind), model.sin.to(device, kind)
    waiting: dict[str, dict[int, Tensor | Packed]] = {}
    for name, array in checked_stored(checkpoint, config):
        part = array if isinstance(array, Packed) else to_torch(array).to(device, kind, copy=True)
        path, index = _place_of(name)
        owner, attribute = _owner(model, path)
        if not isinstance(getattr(owner, attribute), Linear):
            assert isinstance(part, Tensor), name
            getattr(owner, attribute).weight = nn.Parameter(part, requires_grad=False)
            continue
        parts = waiting.setdefault(path, {})
        parts[index] = part
        if len(parts) == _n_parts(path):
            ordered = [parts[i] for i in sorted(parts)]
            setattr(owner, attribute, _matrix(ordered, kind, device, fp8))
            del waiting[path]
    if config.tie_embeddings:
        model.tie()
    return model.eval().requires_grad_(False)


def store_transposed(model: Llama) -> None:
    """Lays the matrices out column by column in memory; names, shapes and results stay.

    fp32 on a CPU only: one token's products read such weights about 1.8 times as fast (measured
    with torch 2.13, AVX2), many tokens' equally fast; bf16 and fp16 products would be slower.
    """
    for module in model.modules():
        if isinstance(module, Linear):
            outputs, inputs = module.weight.shape
            empty = torch.empty(inputs, outputs, device=module.weight.device)
            module.weight = nn.Parameter(empty.t(), requires_grad=False)


def _empty(config: ModelConfig, dtype: torch.dtype, device: torch.device, ops: Ops) -> Llama:
    """The model with memory that is not written yet, its rotary tables excepted.

    Not by way of the meta device: two of torch's functions for it import sympy and the compiler,
    which costs more than this model's loading.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = Llama(config, ops)
    finally:
        torch.set_default_dtype(before)
    model.cos, model.sin = model.cos.to(device, dtype), model.sin.to(device, dtype)
    return model


def to_torch(array: Array) -> Tensor:
    """A tensor that shares the array's memory, bfloat16 included. Read it only."""
    with warnings.catch_warnings():
        # Arrays are read-only views of files; torch warns that writing would be undefined.
        warnings.filterwarnings("ignore", message=".*not writable.*")
        if array.dtype.name == "bfloat16":
            return torch.from_numpy(array.view("int16")).view(torch.bfloat16)
        return torch.from_numpy(array)


def _matrix(
    parts: list[Tensor | Packed], dtype: torch.dtype, device: torch.device, fp8: bool
) -> nn.Module:
    """One module for matrices below each other; if only some are packed, none stays so."""
    packed = [part for part in parts if isinstance(part, Packed)]
    if len(packed) == len(parts):
        return from_packed(packed, device)
    plain = [
        to_torch(part.dequantize()).to(device, dtype) if isinstance(part, Packed) else part
        for part in parts
    ]
    weight = torch.cat(plain) if len(plain) > 1 else plain[0]
    if fp8:
        return Fp8Linear(weight)
    with torch.device("meta"):
        linear = Linear(weight.shape[1], weight.shape[0])
    linear.weight = nn.Parameter(weight, requires_grad=False)
    return linear


def _owner(model: nn.Module, path: str) -> tuple[nn.Module, str]:
    """The module that has the module at ``path``, and by which name."""
    parent, _, name = path.rpartition(".")
    return model.get_submodule(parent), name


def _n_parts(path: str) -> int:
    return max(1, sum(path.endswith(fused) for fused, _ in _FUSED.values()))


def _place_of(name: str) -> tuple[str, int]:
    """The module that holds a weight and which part of its matrix the weight is."""
    module = name.removesuffix(".weight")
    match = re.fullmatch(r"(layers\.\d+\.)(\w+\.\w+)", module)
    if match is None or match[2] not in _FUSED:
        return module, 0
    fused, part = _FUSED[match[2]]
    return match[1] + fused, part


def _places(model: Llama, config: ModelConfig) -> Iterator[tuple[str, Tensor]]:
    """Where each weight of ``config.shapes()`` goes: a parameter or the rows of a fused one."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    filled: dict[str, int] = {}
    for name, shape in config.shapes().items():
        path, _ = _place_of(name)
        # Parts come in their order, each below the one before it.
        first = filled.get(path, 0)
        filled[path] = first + shape[0]
        yield name, parameters[f"{path}.weight"].data[first : first + shape[0]]
