"""Decode steps in one C++ call: finds native/decode.cpp's library and shows it a model's memory."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from ctypes import c_float, c_int, c_int32, c_int64, c_void_p
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from paddock.errors import DeviceError, GenerationError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.runtimes.base import Limits, Work
from paddock.inference.runtimes.torch.cache import ContiguousCache, KVCache, check_pages
from paddock.inference.runtimes.torch.llama import Block, Llama

ABI = 1
"""Of the structs below and the calls; a library built from other sources is not used."""

SETS = {"best": 0, "base": 1, "avx2": 2, "avx512": 3}
"""Instruction sets: the best this CPU has, or a certain one for tests."""

_MAX_HEAD_DIM = 512
_BYTES_PER_THREAD = 1 << 20


class _Layer(ctypes.Structure):
    _fields_ = [
        (name, c_void_p)
        for name in ("attention_norm", "wqkv", "wo", "ffn_norm", "w13", "w2", "cache")
    ]


class _Model(ctypes.Structure):
    _fields_ = [
        *((name, c_void_p) for name in ("embeddings", "norm", "output", "cos", "sin", "layers")),
        *((f"{name}_stride", c_int64) for name in ("page", "position", "head")),
        ("page_size", c_int64),
        *((name, c_int32) for name in ("n_layers", "dim", "n_heads", "n_kv_heads", "head_dim")),
        *((name, c_int32) for name in ("hidden_dim", "vocab_size", "max_pages")),
        ("norm_eps", c_float),
    ]


def available() -> str | None:
    """None if the library is there and of this ABI, else why not, in words."""
    found = _library()
    return found if isinstance(found, str) else None


def unfit(config: ModelConfig, dtype: str, device: torch.device) -> str | None:
    """None if a model of this kind can decode natively, else why not, in words."""
    if device.type != "cpu" or dtype != "fp32":
        return f"it computes fp32 on CPUs, not {dtype} on {device.type}"
    if config.head_dim > _MAX_HEAD_DIM:
        return f"heads have {config.head_dim} dimensions, it holds {_MAX_HEAD_DIM}"
    return available()


class NativeDecoder:
    """Steps in which every request has one token. Not thread-safe: one caller at a time.

    After ``os.fork`` the child's copy works too, on the calling thread alone.
    """

    def __init__(
        self,
        model: Llama,
        kv: KVCache,
        limits: Limits,
        threads: int | None = None,
        instructions: str = "best",
    ) -> None:
        """``model`` and ``kv`` are fp32 on the CPU, matrices laid out row by row.

        ``threads`` defaults to torch's; a thread is started per MB of weights at most. Raises
        DeviceError where ``unfit`` gives a reason or this CPU lacks ``instructions``.
        """
        reason = unfit(model.config, "fp32", model.norm.weight.device)
        library = _library()
        if reason or isinstance(library, str):
            raise DeviceError(f"native decoding is not possible: {reason}", hint="use native=False")
        self._limits = limits
        # The model's rows, of which the limits may allow fewer to be chosen.
        self._n_logits = model.config.vocab_size
        self._kv = kv
        self._max_pages = -(-limits.max_seq_len // limits.page_size)
        self._kept, descriptor = _describe(model, kv, self._max_pages)
        megabytes = 4 * model.config.n_params() // _BYTES_PER_THREAD
        self.threads = max(1, min(threads or torch.get_num_threads(), megabytes))
        handle = library.paddock_open(descriptor, self.threads, SETS[instructions])
        if not handle:
            raise DeviceError(f"this CPU has no {instructions}, or memory is short")
        self._decode = library.paddock_decode
        self._handle: int | None = handle
        self._free = weakref.finalize(self, library.paddock_close, handle)
        self._tokens = (c_int32 * limits.max_batch)()
        self._positions = (c_int32 * limits.max_batch)()
        self._pages = (c_int32 * (limits.max_batch * self._max_pages))()
        self._held: list[tuple[int, ...] | None] = [None] * limits.max_batch

    def step(self, work: Sequence[Work]) -> Tensor:
        """fp32 logits (len(work), the model's vocab_size); writes keys, values at each ``start``.

        Each of ``work`` has one token. Raises GenerationError before anything is touched if a
        token, position or page does not exist.
        """
        if self._handle is None:
            raise GenerationError("this runtime is closed")
        if len(work) > self._limits.max_batch:
            raise GenerationError(
                f"{len(work)} requests in a step; the limit is {self._limits.max_batch}"
            )
        for i, item in enumerate(work):
            self._place(i, item)
        logits = torch.empty(len(work), self._n_logits)
        self._decode(
            self._handle,
            len(work),
            self._tokens,
            self._positions,
            self._pages,
            logits.data_ptr(),
        )
        return logits

    def close(self) -> None:
        """Stops the threads and frees the memory; calling it again does nothing."""
        self._handle = None
        self._free()

    def _place(self, i: int, item: Work) -> None:
        (token,) = item.tokens
        start = item.start
        if not 0 <= token < self._limits.vocab_size:
            raise GenerationError(f"request {item.request} has token id {token}")
        if not 0 <= start < self._limits.max_seq_len:
            raise GenerationError(f"request {item.request} is at position {start}")
        pages = item.pages
        if pages is not self._held[i] or len(pages) * self._limits.page_size <= start:
            check_pages(item, start + 1, self._kv)
            used: list[c_int32 | int] = [*pages[: self._max_pages]]
            begin = i * self._max_pages
            self._pages[begin : begin + len(used)] = used
            self._held[i] = pages
        self._tokens[i] = token
        self._positions[i] = start


@cache
def _library() -> ctypes.CDLL | str:
    folder = Path(__file__).parents[2] / "kernels"
    files = [folder / f"_native{suffix}" for suffix in EXTENSION_SUFFIXES]
    found = next((file for file in files if file.exists()), None)
    if found is None:
        return "its library was not built (a C++ compiler at install time builds it)"
    try:
        library = ctypes.CDLL(str(found))
        library.paddock_abi.restype = c_int
        library.paddock_abi.argtypes = ()
        abi = library.paddock_abi()
        if abi != ABI:
            return f"{found.name} was built from other sources (ABI {abi}, not {ABI}); reinstall"
        library.paddock_open.restype = c_void_p
        library.paddock_open.argtypes = (ctypes.POINTER(_Model), c_int, c_int)
        library.paddock_decode.restype = None
        library.paddock_decode.argtypes = (c_void_p, c_int, *4 * (c_void_p,))
        library.paddock_close.restype = None
        library.paddock_close.argtypes = (c_void_p,)
    except (OSError, AttributeError) as cause:
        return f"{found.name} cannot be loaded: {cause}"
    return library


def _describe(model: Llama, kv: KVCache, max_pages: int) -> tuple[list[object], _Model]:
    """The descriptor, and all that must live as long as it is used."""
    kept: list[object] = []

    def address(tensor: Tensor) -> int:
        if tensor.dtype != torch.float32 or not tensor.is_contiguous():
            raise DeviceError("native decoding needs fp32 weights laid out row by row")
        kept.append(tensor)
        return tensor.data_ptr()

    config = model.config
    layers = (_Layer * config.n_layers)()
    for module, cached, layer in zip(model.layers, _layers_of(kv), layers, strict=True):
        block = cast("Block", module)
        layer.attention_norm = address(block.attention_norm.weight)
        layer.wqkv = address(block.attention.wqkv.weight)
        layer.wo = address(block.attention.wo.weight)
        layer.ffn_norm = address(block.ffn_norm.weight)
        layer.w13 = address(block.feed_forward.w13.weight)
        layer.w2 = address(block.feed_forward.w2.weight)
        layer.cache = address(cached)
    kept.append(layers)
    first = _layers_of(kv)[0]
    if isinstance(kv, ContiguousCache):  # (pages, heads, positions, head_dim)
        page, head, position, _ = first.stride()
    else:  # (positions, heads, head_dim)
        position, head, _ = first.stride()
        page = position * kv.page_size
    descriptor = _Model(
        address(model.tok_embeddings.weight),
        address(model.norm.weight),
        address(model.output.weight),
        address(model.cos),
        address(model.sin),
        ctypes.cast(layers, c_void_p),
        page,
        position,
        head,
        kv.page_size,
        config.n_layers,
        config.dim,
        config.n_heads,
        config.n_kv_heads,
        config.head_dim,
        config.hidden_dim,
        config.vocab_size,
        max_pages,
        config.norm_eps,
    )
    return kept, descriptor


def _layers_of(kv: KVCache) -> tuple[Tensor, ...]:
    return kv.kv  # type: ignore[attr-defined,no-any-return]
