"""The beginning of a GGUF file: version, counts and metadata, for weights and tokenizers alike.

Own code rather than ``gguf.GGUFReader``, which makes several numpy objects for every token of a
vocabulary (a second for 32,000, ten for Llama 3) and checks neither counts nor offsets against the
file's size. Layout: docs/gguf.md of ggml-org/ggml, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import struct
from mmap import mmap
from pathlib import Path
from typing import Any

from paddock.errors import CorruptCheckpoint

_SCALARS = {
    0: struct.Struct("<B"), 1: struct.Struct("<b"), 2: struct.Struct("<H"), 3: struct.Struct("<h"),
    4: struct.Struct("<I"), 5: struct.Struct("<i"), 6: struct.Struct("<f"), 7: struct.Struct("<?"),
    10: struct.Struct("<Q"), 11: struct.Struct("<q"), 12: struct.Struct("<d"),
}  # fmt: skip
_STRING, _ARRAY = 8, 9
U32, U64 = _SCALARS[4], _SCALARS[10]


class GgufHeader:
    """``metadata`` in plain Python values, arrays as lists; what follows is read on from ``at``.

    ``n_tensors`` is how many tensor headers follow.
    """

    def __init__(
        self, data: memoryview | mmap, path: Path, undecodable: str = "surrogateescape"
    ) -> None:
        """``data`` is the whole file, of which only the header is touched.

        ``undecodable`` is the error handler for text that is not UTF-8: vocabularies hold pieces of
        characters, whose bytes are kept by default. Raises CorruptCheckpoint for anything that does
        not add up.
        """
        self.path = path
        self._data = data
        self._undecodable = undecodable
        self.at = 0
        self.metadata: dict[str, Any] = {}
        self.n_tensors, n_values = self._prologue()
        for _ in range(n_values):
            key = self.string()
            if key in self.metadata:
                raise CorruptCheckpoint(f"{path}: metadata key {key!r} is given twice")
            self.metadata[key] = self._value(self.scalar(U32))

    def scalar(self, layout: struct.Struct) -> Any:
        """The number that stands next."""
        try:
            (value,) = layout.unpack_from(self._data, self.at)
        except struct.error:
            raise CorruptCheckpoint(f"{self.path}: the header ends early: truncated") from None
        self.at += layout.size
        return value

    def string(self) -> str:
        """The text that stands next."""
        length = self.scalar(U64)
        end = self.at + length
        if end > len(self._data):
            raise CorruptCheckpoint(f"{self.path}: a text of {length} bytes runs past the end")
        text = bytes(self._data[self.at : end])
        self.at = end
        try:
            return text.decode("utf-8", self._undecodable)
        except UnicodeDecodeError as error:
            raise CorruptCheckpoint(f"{self.path}: a text is not UTF-8: {error}") from None

    def _prologue(self) -> tuple[int, int]:
        if bytes(self._data[:4]) != b"GGUF":
            raise CorruptCheckpoint(f"{self.path} is no GGUF file: it does not begin with 'GGUF'")
        self.at = 4
        version = self.scalar(U32)
        if version not in (2, 3):
            raise CorruptCheckpoint(
                f"{self.path}: GGUF version {version} is not known (big-endian files are not read)"
            )
        counts = self.scalar(U64), self.scalar(U64)
        # A tensor header takes 24 bytes or more, a value 13.
        if counts[0] * 24 + counts[1] * 13 > len(self._data):
            raise CorruptCheckpoint(
                f"{self.path} promises {counts[0]} tensors and {counts[1]} metadata values, "
                "more than it can hold"
            )
        return counts

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array()
        return self.scalar(self._layout(kind))

    def _layout(self, kind: int) -> struct.Struct:
        if kind not in _SCALARS:
            raise CorruptCheckpoint(f"{self.path}: metadata of unknown type {kind}")
        return _SCALARS[kind]

    def _array(self) -> list[Any]:
        kind, length = self.scalar(U32), self.scalar(U64)
        if kind == _ARRAY:
            # They exist in the format's description only.
            raise CorruptCheckpoint(f"{self.path}: an array of arrays in the metadata")
        item = 8 if kind == _STRING else self._layout(kind).size
        if length * item > len(self._data) - self.at:
            raise CorruptCheckpoint(f"{self.path}: an array of {length} values runs past the end")
        if kind == _STRING:
            return [self.string() for _ in range(length)]
        values = struct.unpack_from(f"<{length}{_SCALARS[kind].format[1:]}", self._data, self.at)
        self.at += length * item
        return list(values)
