"""Streams a checkpoint into a Llama, one tensor at a time, straight to its final place and type."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from paddock.inference.checkpoint.base import Array, Checkpoint
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.verify import checked
from paddock.inference.runtimes.torch.devices import DTYPES
from paddock.inference.runtimes.torch.llama import Linear, Llama

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
) -> Llama:
    """A ready model in ``dtype`` on ``device``; ``transposed`` is ``store_transposed``'s layout.

    Beyond the model itself only one tensor is in memory at a time. Raises what ``checked`` raises.
    """
    model = _empty(config, DTYPES[dtype], device)
    if transposed:
        store_transposed(model)
        if config.tie_embeddings:
            model.tie()
    places = dict(_places(model, config))
    with torch.no_grad():
        for name, array in checked(checkpoint, config):
            places[name].copy_(to_torch(array))
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


def _empty(config: ModelConfig, dtype: torch.dtype, device: torch.device) -> Llama:
    """The model with memory that is not written yet, its rotary tables excepted.

    Not by way of the meta device: two of torch's functions for it import sympy and the compiler,
    which costs more than this model's loading.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = Llama(config)
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


def _places(model: Llama, config: ModelConfig) -> Iterator[tuple[str, Tensor]]:
    """Where each weight of ``config.shapes()`` goes: a parameter or the rows of a fused one."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    q, kv = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    starts = {
        "attention.wqkv": (0, q, q + kv, q + 2 * kv),
        "feed_forward.w13": (0, config.hidden_dim, 2 * config.hidden_dim),
    }
    for name in config.shapes():
        match = re.fullmatch(r"(layers\.\d+\.)(\w+\.\w+)\.weight", name)
        if match is None or match[2] not in _FUSED:
            yield name, parameters[name].data
            continue
        fused, part = _FUSED[match[2]]
        rows = slice(starts[fused][part], starts[fused][part + 1])
        yield name, parameters[f"{match[1]}{fused}.weight"].data[rows]
