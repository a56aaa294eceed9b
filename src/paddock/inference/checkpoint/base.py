"""The seam behind which weight files of every origin look the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.packed import Packed

Array: TypeAlias = npt.NDArray[Any]
"""A numpy array; bfloat16 is ``ml_dtypes.bfloat16``."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor lies, known without reading it. ``name`` is as the file spells it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    file: Path


class Checkpoint(Protocol):
    """Weight files seen through our names, in Hugging Face's rotary order.

    Names are those of ``ModelConfig.shapes()``. The rows of ``wq`` and ``wk`` are ordered so that
    the two halves of a head are rotated against each other (Hugging Face, MindSpore); readers of
    formats that interleave pairs (Meta, GGUF) permute.
    """

    format: str
    path: Path

    def config(self) -> ModelConfig:
        """The model's shape. Raises CheckpointError if it cannot be known."""
        ...

    def infos(self) -> list[TensorInfo]:
        """What the files hold, from headers alone."""
        ...

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """Each weight once, one at a time, in no promised order.

        An array may be a read-only view of the mapped file, whose pages are given back when the
        next one is asked for; copy what must stay resident. Raises CorruptCheckpoint or
        TensorMismatch (both name file and tensor); a name that is missing or left over is found
        by ``verify.checked``, which every consumer goes through. Quantized weights come
        dequantized, so that any runtime opens any checkpoint.
        """
        ...

    def stored(self) -> Iterator[tuple[str, Array | Packed]]:
        """Like ``tensors``, but what is stored in 4 or 8 bits comes packed, without loss.

        For runtimes with kernels for it; the gate is ``verify.checked_stored``. The embedding is
        always an array, because its rows are looked up. The bytes of a Packed may be a view of the
        mapped file like an array's.
        """
        yield from self.tensors()


def as_dtype(array: Array, dtype: str) -> Array:
    """``array`` in ``bf16``, ``fp16`` or ``fp32``; the same object if it already is."""
    return array.astype(numpy_dtype(dtype), copy=False)


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """The numpy type of ``bf16``, ``fp16`` or ``fp32``."""
    import ml_dtypes

    types: dict[str, Any] = {
        "bf16": ml_dtypes.bfloat16,
        "fp16": np.float16,
        "fp32": np.float32,
    }
    result: np.dtype[Any] = np.dtype(types[dtype])
    return result
