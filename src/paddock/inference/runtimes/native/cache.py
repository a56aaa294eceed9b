"""Where keys and values live, and how much memory they take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.runtimes.base import Limits
from paddock.inference.runtimes.native import library
from paddock.inference.runtimes.native.memory import allocate

RUN = 16
"""Positions whose keys lie side by side; pages are filled up to whole runs (native/cache.h)."""

_DTYPES = {"fp32": np.float32, "fp16": np.float16, "int8": np.int8}


@dataclass
class KVCache:
    """Keys and values of all layers.

    ``data`` is (layers, pages, key/value heads, 2, padded positions x head_dim), ``scales`` of int8
    (layers, pages, heads, 2, padded positions) in fp32.
    """

    kind: str
    data: npt.NDArray[Any] = field(repr=False)
    scales: npt.NDArray[np.float32] | None = field(repr=False)
    described: library.Cache = field(repr=False)


def new_cache(kind: str, config: ModelConfig, limits: Limits) -> KVCache:
    """An empty cache of ``kind`` (``fp32``, ``fp16``, ``int8``) of the size ``limits`` says."""
    padded = -(-limits.page_size // RUN) * RUN
    places = (config.n_layers, limits.n_pages, config.n_kv_heads, 2, padded)
    data = allocate((*places[:-1], padded * config.head_dim), _DTYPES[kind])
    scales = allocate(places, np.float32) if kind == "int8" else None
    described = library.Cache(
        data.ctypes.data,
        scales.ctypes.data if scales is not None else None,
        library.KV[kind],
        limits.n_pages,
        limits.page_size,
        config.n_kv_heads,
        config.head_dim,
    )
    return KVCache(kind, data, scales, described)


def bytes_per_position(config: ModelConfig, kind: str) -> int:
    """What one position of one request costs, keys and values of all layers, in bytes."""
    head = config.head_dim * np.dtype(_DTYPES[kind]).itemsize + (4 if kind == "int8" else 0)
    return 2 * config.n_layers * config.n_kv_heads * head
