"""From a checkpoint to the matrices that the kernels read: in place in the file, or converted."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from paddock.inference.checkpoint.base import Array, Checkpoint, numpy_dtype
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.checkpoint.verify import checked_stored
from paddock.inference.runtimes.native.library import FORMATS, Layer, Matrix
from paddock.inference.runtimes.native.memory import allocate, resident

_NAMES = {np.dtype(np.float32): "fp32", np.dtype(np.float16): "fp16"}


@dataclass
class Weights:
    """All weights of a model, ready to be pointed at. ``formats``: bytes by FORMATS' names."""

    embeddings: Matrix
    output: Matrix
    norm: int
    layers: ctypes.Array[Layer]
    formats: dict[str, int]
    kept: list[npt.NDArray[Any]] = field(repr=False)


def load(checkpoint: Checkpoint, config: ModelConfig, dtype: str) -> Weights:
    """Every weight. ``dtype`` is that of unquantized matrices: ``auto`` as they are stored.

    What a mapped file holds in the kernels' own layout stays there: its pages are shared with every
    other process that reads it and with the next start. Beyond the model itself only one tensor is
    in memory at a time. Raises what ``checked_stored`` raises.
    """
    kept: list[npt.NDArray[Any]] = []
    formats: dict[str, int] = {}
    matrices: dict[str, Matrix] = {}
    vectors: dict[str, int] = {}
    for name, weight in checked_stored(checkpoint, config):
        if isinstance(weight, Packed) or weight.ndim == 2:
            array, kind = _matrix(weight, dtype)
            n, k = weight.shape
            matrices[name] = Matrix(array.ctypes.data, FORMATS[kind], n, k)
        else:
            array, kind = _copy(weight, np.dtype(np.float32)), "fp32"
            vectors[name] = array.ctypes.data
        kept.append(array)
        formats[kind] = formats.get(kind, 0) + array.nbytes
    resident(kept)
    layers = (Layer * config.n_layers)()
    for i, layer in enumerate(layers):
        for norm in ("attention_norm", "ffn_norm"):
            setattr(layer, norm, vectors[f"layers.{i}.{norm}.weight"])
        for part, names in (("attention", "qkvo"), ("feed_forward", "132")):
            for letter in names:
                setattr(layer, f"w{letter}", matrices[f"layers.{i}.{part}.w{letter}.weight"])
    embeddings = matrices["tok_embeddings.weight"]
    output = embeddings if config.tie_embeddings else matrices["output.weight"]
    return Weights(embeddings, output, vectors["norm.weight"], layers, formats, kept)


def _matrix(weight: Array | Packed, dtype: str) -> tuple[npt.NDArray[Any], str]:
    if isinstance(weight, Packed):
        return np.ascontiguousarray(weight.data), f"int{weight.bits}"
    kind = weight.dtype if dtype == "auto" else numpy_dtype(dtype)
    if weight.dtype == kind and weight.flags.c_contiguous:
        return weight, _NAMES.get(kind, "bf16")
    return _copy(weight, kind), _NAMES.get(kind, "bf16")


def _copy(array: Array, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    to = allocate(array.shape, dtype)
    np.copyto(to, array, casting="unsafe")
    return to
