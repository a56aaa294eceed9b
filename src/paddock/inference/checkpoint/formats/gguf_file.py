"""The GGUF container: metadata, tensor headers, aligned data. Layout: see gguf_header.py."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from paddock.errors import CheckpointError, CorruptCheckpoint
from paddock.inference.checkpoint.base import Array, TensorInfo
from paddock.inference.checkpoint.formats.gguf_header import U32, U64, GgufHeader
from paddock.inference.checkpoint.mapped import MappedFile

# ggml type number -> (our name, elements per block, bytes per block); gguf.constants.
TYPES = {
    0: ("fp32", 1, 4), 1: ("fp16", 1, 2), 30: ("bf16", 1, 2),
    2: ("q4_0", 32, 18), 8: ("q8_0", 32, 34),
}  # fmt: skip
# Only to name what is refused.
_OTHERS = {
    3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K",
    14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
    21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
    29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip


class GgufFile:
    """One file, metadata and tensor headers read and checked.

    ``metadata`` holds plain Python values, arrays as lists. ``infos`` have shapes in our order
    (rows first; GGUF stores the row length first).
    """

    def __init__(self, path: Path) -> None:
        """Raises CorruptCheckpoint for anything that does not add up."""
        self.path = path
        self._file = MappedFile(path)
        # A copy of nothing: a memoryview of the map, so that parsing touches only the header.
        header = GgufHeader(self._file.view(0, self._file.size).data, path)
        self.metadata: dict[str, Any] = header.metadata
        self.infos: dict[str, TensorInfo] = {}
        self._offsets: dict[str, int] = {}
        for _ in range(header.n_tensors):
            self._tensor(header)
        self._place(header.at)

    def view(self, name: str) -> Array:
        """The bytes of tensor ``name``, a read-only uint8 view of the file."""
        return self._file.view(self._offsets[name], self.infos[name].nbytes)

    def give_back(self, name: str) -> None:
        """Drops the tensor's pages from resident memory."""
        self._file.give_back(self._offsets[name], self.infos[name].nbytes)

    def _tensor(self, header: GgufHeader) -> None:
        name = header.string()
        n_dims = header.scalar(U32)
        if name in self.infos or not 1 <= n_dims <= 4:
            raise CorruptCheckpoint(
                f"{self.path}: tensor {name!r} is given twice or has {n_dims} dimensions"
            )
        shape = tuple(reversed([header.scalar(U64) for _ in range(n_dims)]))
        number, offset = header.scalar(U32), header.scalar(U64)
        where = f"{self.path}: tensor {name!r}"
        if number not in TYPES:
            raise CheckpointError(
                f"{where} is stored as {_OTHERS.get(number, f'type {number}')}",
                hint="F32, F16, BF16, Q8_0 and Q4_0 are read; convert it with llama-quantize",
            )
        dtype, per_block, block_bytes = TYPES[number]
        if 0 in shape:
            raise CorruptCheckpoint(f"{where} has the empty shape {list(shape)}")
        if shape[-1] % per_block:
            raise CorruptCheckpoint(f"{where}: rows of {shape[-1]} do not divide into {dtype}")
        self.infos[name] = TensorInfo(
            name, shape, dtype, math.prod(shape) // per_block * block_bytes, self.path
        )
        self._offsets[name] = offset

    def _place(self, end: int) -> None:
        """Turns offsets into positions; headers end at ``end``. Checks that nothing overlaps."""
        alignment = self.metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise CorruptCheckpoint(f"{self.path}: general.alignment is {alignment!r}")
        start = -(-end // alignment) * alignment
        at = 0
        for name, offset in sorted(self._offsets.items(), key=lambda item: item[1]):
            nbytes = self.infos[name].nbytes
            if offset < at or offset % alignment:
                raise CorruptCheckpoint(
                    f"{self.path}: tensor {name!r} overlaps another or is not aligned"
                )
            at = offset + nbytes
            if start + at > self._file.size:
                raise CorruptCheckpoint(
                    f"{self.path}: tensor {name!r} ends at byte {start + at}, the file at "
                    f"{self._file.size}: truncated"
                )
            self._offsets[name] = start + offset
