"""What every format's reader shares: a header that says, without reading weights, what is there."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paddock.errors import CheckpointError, CorruptCheckpoint
from paddock.inference.checkpoint import names
from paddock.inference.checkpoint.base import Array, TensorInfo, numpy_dtype
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.packed import Packed

ITEM_BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
"""Bytes per element. GGUF's blocks hold 32 elements and one fp16 scale."""


@dataclass(frozen=True, slots=True)
class Weight:
    """One whole weight, known from headers: ``name`` and ``shape`` are ours, ``infos`` its parts.

    A name that no table knows is kept as the file spells it; verify reports it.
    """

    name: str
    shape: tuple[int, ...]
    infos: tuple[TensorInfo, ...]

    @property
    def where(self) -> str:
        """File and name for an error message."""
        return f"{self.infos[0].file}: tensor {self.infos[0].name!r}"


class Reader(ABC):
    """A Checkpoint whose headers have been read. Subclasses fill in ``weights`` and ``tensors``."""

    format: str
    path: Path

    @abstractmethod
    def config(self) -> ModelConfig:
        """The model's shape. Raises CheckpointError if it cannot be known."""

    @abstractmethod
    def infos(self) -> list[TensorInfo]:
        """What the files hold, from headers alone."""

    @abstractmethod
    def weights(self) -> list[Weight]:
        """The weights that ``tensors`` will give, from headers alone; leftovers are dropped."""

    @abstractmethod
    def tensors(self) -> Iterator[tuple[str, Array]]:
        """Each weight once; see ``Checkpoint.tensors``."""

    def stored(self) -> Iterator[tuple[str, Array | Packed]]:
        """See ``Checkpoint.stored``; most formats have nothing packed."""
        yield from self.tensors()


def whole_weights(format: str, infos: list[TensorInfo], config: ModelConfig | None) -> list[Weight]:
    """Weights of a format that stores each in one piece, without what is known to be none."""
    weights = []
    for info in infos:
        if names.is_harmless(format, info.name):
            continue
        ours = names.to_ours(format, info.name) or info.name
        if ours == "output.weight" and config is not None and config.tie_embeddings:
            continue
        weights.append(Weight(ours, info.shape, (info,)))
    return weights


def main_dtype(infos: list[TensorInfo]) -> str:
    """The dtype that most bytes are stored in, as ``ModelConfig.dtype`` spells it.

    Quantized weights count as fp16, the precision of their scales.
    """
    sizes: dict[str, int] = {}
    for info in infos:
        if len(info.shape) > 1:
            sizes[info.dtype] = sizes.get(info.dtype, 0) + info.nbytes
    best = max(sizes, key=sizes.__getitem__, default="fp16")
    return best if best in ("bf16", "fp16", "fp32") else "fp16"


def as_array(data: Array, info: TensorInfo) -> Array:
    """Raw bytes of one unquantized tensor as an aligned, shaped array; a view where possible."""
    if info.dtype not in ("bf16", "fp16", "fp32"):
        raise CheckpointError(
            f"{info.file}: tensor {info.name!r} is stored as {info.dtype}",
            hint="only fp32, fp16 and bf16 weights are read here",
        )
    dtype = numpy_dtype(info.dtype)
    wanted = math.prod(info.shape) * dtype.itemsize
    if data.nbytes != wanted:
        raise CorruptCheckpoint(
            f"{info.file}: tensor {info.name!r} of shape {list(info.shape)} needs {wanted} bytes, "
            f"found {data.nbytes}"
        )
    # A consumer may hand the memory to code that assumes aligned elements.
    if data.ctypes.data % dtype.itemsize:
        data = data.copy()
    return data.view(dtype).reshape(info.shape)
