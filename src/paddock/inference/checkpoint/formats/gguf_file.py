"""The GGUF container: metadata, tensor headers, aligned data.

Own code rather than ``gguf.GGUFReader``, which makes several numpy objects for every token of a
vocabulary (a second for 32,000) and checks neither counts nor offsets against the file's size.
Layout: the GGUF specification in ggml-org/ggml, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

from paddock.errors import CheckpointError, CorruptCheckpoint
from paddock.inference.checkpoint.base import Array, TensorInfo
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
_SCALARS = {
    0: struct.Struct("<B"), 1: struct.Struct("<b"), 2: struct.Struct("<H"), 3: struct.Struct("<h"),
    4: struct.Struct("<I"), 5: struct.Struct("<i"), 6: struct.Struct("<f"), 7: struct.Struct("<?"),
    10: struct.Struct("<Q"), 11: struct.Struct("<q"), 12: struct.Struct("<d"),
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_U32, _U64 = _SCALARS[4], _SCALARS[10]


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
        self._data = self._file.view(0, self._file.size).data
        self._at = 0
        self.metadata: dict[str, Any] = {}
        self.infos: dict[str, TensorInfo] = {}
        self._offsets: dict[str, int] = {}
        n_tensors, n_values = self._prologue()
        for _ in range(n_values):
            key = self._string()
            if key in self.metadata:
                raise CorruptCheckpoint(f"{path}: metadata key {key!r} is given twice")
            self.metadata[key] = self._value(self._scalar(_U32))
        for _ in range(n_tensors):
            self._tensor()
        self._place()

    def view(self, name: str) -> Array:
        """The bytes of tensor ``name``, a read-only uint8 view of the file."""
        return self._file.view(self._offsets[name], self.infos[name].nbytes)

    def give_back(self, name: str) -> None:
        """Drops the tensor's pages from resident memory."""
        self._file.give_back(self._offsets[name], self.infos[name].nbytes)

    def _prologue(self) -> tuple[int, int]:
        if bytes(self._data[:4]) != b"GGUF":
            raise CorruptCheckpoint(f"{self.path} is no GGUF file: it does not begin with 'GGUF'")
        self._at = 4
        version = self._scalar(_U32)
        if version not in (2, 3):
            raise CorruptCheckpoint(
                f"{self.path}: GGUF version {version} is not known (big-endian files are not read)"
            )
        counts = self._scalar(_U64), self._scalar(_U64)
        # A tensor header takes 24 bytes or more, a value 13.
        if counts[0] * 24 + counts[1] * 13 > self._file.size:
            raise CorruptCheckpoint(
                f"{self.path} promises {counts[0]} tensors and {counts[1]} metadata values, "
                "more than it can hold"
            )
        return counts

    def _scalar(self, layout: struct.Struct) -> Any:
        try:
            (value,) = layout.unpack_from(self._data, self._at)
        except struct.error:
            raise CorruptCheckpoint(f"{self.path}: the header ends early: truncated") from None
        self._at += layout.size
        return value

    def _string(self) -> str:
        length = self._scalar(_U64)
        end = self._at + length
        if end > self._file.size:
            raise CorruptCheckpoint(f"{self.path}: a text of {length} bytes runs past the end")
        text = bytes(self._data[self._at : end])
        self._at = end
        # Vocabularies hold pieces of characters; keep their bytes.
        return text.decode("utf-8", "surrogateescape")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array()
        return self._scalar(self._layout(kind))

    def _layout(self, kind: int) -> struct.Struct:
        if kind not in _SCALARS:
            raise CorruptCheckpoint(f"{self.path}: metadata of unknown type {kind}")
        return _SCALARS[kind]

    def _array(self) -> list[Any]:
        kind, length = self._scalar(_U32), self._scalar(_U64)
        if kind == _ARRAY:
            raise CorruptCheckpoint(f"{self.path}: an array of arrays in the metadata")
        item = 8 if kind == _STRING else self._layout(kind).size
        if length * item > self._file.size - self._at:
            raise CorruptCheckpoint(f"{self.path}: an array of {length} values runs past the end")
        if kind == _STRING:
            return [self._string() for _ in range(length)]
        values = struct.unpack_from(f"<{length}{_SCALARS[kind].format[1:]}", self._data, self._at)
        self._at += length * item
        return list(values)

    def _tensor(self) -> None:
        name = self._string()
        n_dims = self._scalar(_U32)
        if name in self.infos or not 1 <= n_dims <= 4:
            raise CorruptCheckpoint(
                f"{self.path}: tensor {name!r} is given twice or has {n_dims} dimensions"
            )
        shape = tuple(reversed([self._scalar(_U64) for _ in range(n_dims)]))
        number, offset = self._scalar(_U32), self._scalar(_U64)
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

    def _place(self) -> None:
        """Turns offsets into positions in the file and checks that nothing overlaps."""
        alignment = self.metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise CorruptCheckpoint(f"{self.path}: general.alignment is {alignment!r}")
        start = -(-self._at // alignment) * alignment
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
