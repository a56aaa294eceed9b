"""One rank's part of any checkpoint, so that a rank reads and keeps only what it computes with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from paddock.errors import CheckpointError
from paddock.inference.checkpoint import names
from paddock.inference.checkpoint.base import Array, Checkpoint, TensorInfo
from paddock.inference.checkpoint.packed import BLOCK, GROUP, Packed, pack, unpack
from paddock.inference.checkpoint.parts import (
    EMBEDDING,
    HEAD,
    PartConfig,
    Split,
    cut_axis,
    part_of,
)
from paddock.inference.checkpoint.reader import Reader
from paddock.inference.checkpoint.verify import check_headers

_LAYER = re.compile(r"layers\.(\d+)\.")


class Shard:
    """A Checkpoint over another: rank ``rank``'s rows, columns and layers, layers counted from 0.

    Of mapped files (safetensors, ours included) only the part's own bytes are read. Formats that
    merge or reorder (Meta, GGUF, MindSpore) are read whole, one tensor at a time, and cut after.
    """

    def __init__(self, base: Checkpoint, split: Split, rank: int) -> None:
        """Raises UsageError if the model cannot be cut so."""
        self.base = base
        self.format, self.path = base.format, base.path
        self._split, self._rank = split, rank
        self._config = part_of(base.config(), split, rank)

    def config(self) -> PartConfig:
        """The part's shape."""
        return self._config

    def infos(self) -> list[TensorInfo]:
        """What the base's files hold of this part, whole tensors, under the part's names."""
        found = []
        for info in self.base.infos():
            whole = names.to_ours(self.format, info.name)
            ours = self._ours(whole) if whole is not None else None
            if ours is not None:
                found.append(replace(info, name=names.to_theirs(self.format, ours)))
        return found

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """See Checkpoint; quantized parts are dequantized after they were cut."""
        for name, weight in self.stored():
            yield name, weight.dequantize() if isinstance(weight, Packed) else weight

    def stored(self) -> Iterator[tuple[str, Array | Packed]]:
        """See Checkpoint. Raises CheckpointError for packed weights that cannot be cut so."""
        base = self.base
        if isinstance(base, Reader):
            # What other ranks have is theirs to read, and this one's to know of.
            check_headers(base, base.weights(), base.config())
        shapes = base.config().shapes()
        for whole, weight in base.pieces() if isinstance(base, Reader) else base.stored():
            if whole in shapes and weight.shape != shapes[whole]:
                yield whole, weight  # verify says what is wrong with it
                continue
            name = self._ours(whole)
            if name is not None:
                part = self._cut(whole, weight)
                if isinstance(part, Packed) and name == EMBEDDING:
                    part = part.dequantize()
                yield name, part
                del part
            del weight

    def _ours(self, whole: str) -> str | None:
        """The part's name of the whole model's weight; None if other stages have it."""
        config = self._config
        layer = _LAYER.match(whole)
        if layer is not None:
            number = int(layer[1]) - config.first_layer
            inside = 0 <= number < config.n_layers
            return f"layers.{number}.{whole[layer.end() :]}" if inside else None
        tied = self.base.config().tie_embeddings
        if whole == EMBEDDING and not config.has_embedding:
            return HEAD if tied and config.has_head else None
        if whole in ("norm.weight", HEAD) and not config.has_head:
            return None
        return whole

    def _cut(self, name: str, weight: Array | Packed) -> Array | Packed:
        axis = cut_axis(name)
        if axis is None or self._split.tp == 1:
            return weight
        n = -(-weight.shape[axis] // self._split.tp)
        first = self._rank % self._split.tp * n
        if isinstance(weight, Packed):
            return self._cut_packed(name, weight, axis, first, n)
        if axis == 1:
            return weight[:, first : first + n]
        part = weight[first : first + n]
        if len(part) == n:
            return part
        return np.concatenate((part, np.zeros((n - len(part), *part.shape[1:]), part.dtype)))

    def _cut_packed(self, name: str, weight: Packed, axis: int, first: int, n: int) -> Packed:
        """A part of the same numbers; a view where blocks and groups stay whole."""
        rows, columns = weight.shape
        if axis == 1:
            if n % GROUP:
                raise CheckpointError(
                    f"{self.path}: {name} has {columns} inputs in {weight.bits} bits, which cannot"
                    f" be cut into {self._split.tp} parts of whole groups of {GROUP}",
                    hint="use fewer tp ranks, or weights that are not quantized",
                )
            data = weight.data[:, first // GROUP : (first + n) // GROUP]
            return Packed(weight.bits, (rows, n), data)
        if first % BLOCK == 0 and n % BLOCK == 0 and first + n <= rows:
            data = weight.data[first // BLOCK : (first + n) // BLOCK]
            return Packed(weight.bits, (n, columns), data)
        codes, scales = unpack(weight)
        part = np.zeros((n, columns), np.int8)
        sizes = np.zeros((n, columns // GROUP), np.float16)
        kept = max(0, min(n, rows - first))
        part[:kept], sizes[:kept] = codes[first : first + kept], scales[first : first + kept]
        return pack(part, sizes, weight.bits)
