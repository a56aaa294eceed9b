"""GGUF files: llama.cpp's format, quantized or not, with interleaved rotary pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from paddock.errors import CheckpointError, CorruptCheckpoint, MissingExtra
from paddock.inference.checkpoint import rope
from paddock.inference.checkpoint.base import Array, TensorInfo
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.gguf import from_gguf
from paddock.inference.checkpoint.formats import gguf_blocks
from paddock.inference.checkpoint.formats.gguf_file import TYPES, GgufFile
from paddock.inference.checkpoint.names import to_theirs
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.checkpoint.reader import (
    Reader,
    Weight,
    as_array,
    main_dtype,
    whole_weights,
)

BLOCK = {name: (elements, size) for name, elements, size in TYPES.values() if elements > 1}
"""Quantized types: elements and bytes per block. A block begins with its fp16 scale."""

# Elements dequantized at a time: the library needs several times their size in float32.
_CHUNK = 1 << 19


@dataclass(frozen=True, slots=True)
class Blocks:
    """A quantized weight as it is stored, its rows in our order.

    ``raw`` is uint8 (rows, bytes per row), ``shape`` that of the weight in elements, ``dtype``
    ``q8_0`` or ``q4_0``.
    """

    raw: Array
    shape: tuple[int, ...]
    dtype: str


class GgufCheckpoint(Reader):
    """Reads one file."""

    format = "gguf"

    def __init__(self, path: Path) -> None:
        """Reads metadata and tensor headers."""
        self.path = path
        self._file = GgufFile(path)
        splits = self._file.metadata.get("split.count", 0)
        if isinstance(splits, int) and splits > 1:
            raise CheckpointError(
                f"{path} is one of {splits} parts of a model",
                hint="merge them first: llama-gguf-split --merge",
            )

    @property
    def metadata(self) -> dict[str, object]:
        """The file's metadata, the tokenizer among them."""
        return self._file.metadata

    def config(self) -> ModelConfig:
        """From the metadata. Without an ``output.weight`` the head is tied, llama.cpp's rule."""
        return self._config

    def infos(self) -> list[TensorInfo]:
        """In the order of the header."""
        return list(self._file.infos.values())

    def weights(self) -> list[Weight]:
        """Without the rotary factors."""
        return whole_weights("gguf", self.infos(), None)

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """Unquantized weights as they are stored, quantized ones as fp32. See ``blocks``."""
        for name, weight in self.blocks():
            if isinstance(weight, Blocks):
                yield name, dequantize(weight)
            else:
                yield name, weight

    def pieces(self) -> Iterator[tuple[str, Array | Packed]]:
        """Unquantized weights as they are stored, quantized matrices packed, bit for bit."""
        for name, weight in self.blocks():
            if isinstance(weight, Blocks):
                yield name, gguf_blocks.to_packed(weight.raw, weight.dtype)
            else:
                yield name, weight

    def blocks(self) -> Iterator[tuple[str, Array | Blocks]]:
        """Like ``tensors``, but quantized weights stay in blocks, for kernels that take them so.

        Raises CorruptCheckpoint for a scale that is not finite.
        """
        config = self._config
        for weight in self.weights():
            info = weight.infos[0]
            data = self._file.view(info.name)
            n_heads = rope.rotated_heads(weight.name, config)
            if info.dtype in BLOCK:
                rows = data.reshape(-1, _row_bytes(info))
                _check_scales(rows, info)
            else:
                rows = as_array(data, info)
            if n_heads is not None:
                # Blocks lie along a row, so whole rows can change places without being unpacked.
                if rows.shape[0] % (2 * n_heads):
                    raise CorruptCheckpoint(
                        f"{weight.where} has {rows.shape[0]} rows, not {n_heads} heads"
                    )
                rows = rope.to_halves(rows, n_heads)
            if info.dtype in BLOCK:
                yield weight.name, Blocks(rows, info.shape, info.dtype)
            else:
                yield weight.name, rows
            self._file.give_back(info.name)

    @cached_property
    def _config(self) -> ModelConfig:
        infos = self._file.infos
        embedding = infos.get(to_theirs("gguf", "tok_embeddings.weight"))
        factors = infos.get("rope_freqs.weight")
        return from_gguf(
            self._file.metadata,
            str(self.path),
            vocab_size=embedding.shape[0] if embedding else None,
            tie_embeddings=to_theirs("gguf", "output.weight") not in infos,
            rope_factors=(
                as_array(self._file.view(factors.name), factors).astype(float).ravel().tolist()
                if factors
                else None
            ),
            dtype=main_dtype(self.infos()),
        )


def dequantize(weight: Blocks) -> Array:
    """A quantized weight as fp32, through the gguf library."""
    import numpy as np

    try:
        import gguf
    except ImportError:
        raise MissingExtra("gguf", "models") from None
    kind = gguf.GGMLQuantizationType[weight.dtype.upper()]
    out = np.empty(weight.shape, np.float32)
    rows = out.reshape(len(weight.raw), -1)
    step = max(1, _CHUNK // max(1, rows.shape[1]))
    for at in range(0, len(rows), step):
        rows[at : at + step] = gguf.dequantize(weight.raw[at : at + step], kind)
    return out


def _row_bytes(info: TensorInfo) -> int:
    elements, size = BLOCK[info.dtype]
    return info.shape[-1] // elements * size


def _check_scales(rows: Array, info: TensorInfo) -> None:
    import numpy as np

    _, size = BLOCK[info.dtype]
    scales = rows.reshape(-1, size)[:, :2].copy().view(np.float16)
    bad = np.flatnonzero(~np.isfinite(scales))
    if bad.size:
        raise CorruptCheckpoint(
            f"{info.file}: tensor {info.name!r}: the scale of block {bad[0]} is "
            f"{float(scales.flat[bad[0]])}"
        )
