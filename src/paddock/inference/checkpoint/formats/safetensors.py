"""The safetensors container: a JSON header, then the tensors' bytes.

Own code rather than the safetensors library, which keeps every page of a file resident once read.
Layout: uint64 little-endian header length, the header, the data; offsets count from the data's
start. Source: the format section of huggingface/safetensors' README.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddock.errors import CorruptCheckpoint
from paddock.inference.checkpoint.base import Array, TensorInfo
from paddock.inference.checkpoint.mapped import MappedFile

ALIGNMENT = 64
"""Where the data of files written here begins, in bytes."""

MAX_HEADER = 100_000_000
"""Bytes; the library's own limit."""

# Bytes per element of every dtype the format defines in whole bytes, and our names for three.
_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "F8_E8M0": 1, "I16": 2, "U16": 2,
    "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8, "C64": 8,
}  # fmt: skip
_OURS = {"F16": "fp16", "BF16": "bf16", "F32": "fp32"}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}


class SafetensorsFile:
    """One file, its header read and checked. ``infos`` keep the header's spelling of names."""

    def __init__(self, path: Path) -> None:
        """Raises CorruptCheckpoint if header, offsets and file size do not agree."""
        self.path = path
        self._file = MappedFile(path)
        length = int.from_bytes(self._file.read(0, 8), "little")
        if length > MAX_HEADER:
            raise CorruptCheckpoint(f"{path}: a header of {length} bytes; not a safetensors file?")
        self._start = 8 + length
        header = _parse(self._file.read(8, length), path)
        self._spans: dict[str, tuple[int, int]] = {}
        self.infos: dict[str, TensorInfo] = {}
        for name, entry in header.items():
            if name != "__metadata__":
                self._add(name, entry)
        self._check_spans()

    def view(self, name: str) -> Array:
        """The bytes of tensor ``name``, a read-only uint8 view of the file."""
        begin, end = self._spans[name]
        return self._file.view(self._start + begin, end - begin)

    def give_back(self, name: str) -> None:
        """Drops the tensor's pages from resident memory."""
        begin, end = self._spans[name]
        self._file.give_back(self._start + begin, end - begin)

    def _add(self, name: str, entry: Any) -> None:
        where = f"{self.path}: tensor {name!r}"
        match entry:
            case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end]}:
                pass
            case _:
                raise CorruptCheckpoint(f"{where}: its header entry is malformed")
        if dtype not in _ITEM_BYTES:
            raise CorruptCheckpoint(f"{where}: unknown dtype {dtype[:40]!r}")
        if not all(_is_size(number) for number in (*shape, begin, end)) or len(shape) > 8:
            raise CorruptCheckpoint(f"{where}: its shape or offsets are not sizes")
        wanted = math.prod(shape) * _ITEM_BYTES[dtype]
        if end - begin != wanted:
            raise CorruptCheckpoint(
                f"{where} of shape {shape} and dtype {dtype} needs {wanted} bytes, "
                f"its offsets hold {end - begin}"
            )
        self._spans[name] = (begin, end)
        self.infos[name] = TensorInfo(
            name, tuple(shape), _OURS.get(dtype, dtype), end - begin, self.path
        )

    def _check_spans(self) -> None:
        """The format wants the tensors to cover the data without holes or overlaps."""
        at = 0
        for name, (begin, end) in sorted(self._spans.items(), key=lambda item: item[1]):
            if begin != at:
                raise CorruptCheckpoint(
                    f"{self.path}: tensor {name!r} begins at byte {begin} of the data, not {at}"
                )
            at = end
        if self._start + at != self._file.size:
            raise CorruptCheckpoint(
                f"{self.path} is {self._file.size} bytes long, its header tells "
                f"{self._start + at}: the file is truncated or has something appended"
            )


def header_bytes(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]],
) -> tuple[bytes, dict[str, int]]:
    """A file's beginning up to the data, and where in the file each tensor's bytes start.

    ``tensors`` are name -> (dtype, shape), the dtype ours or ``U8``, in the order in which they
    lie. The header is padded to 64 bytes: a cache line and the widest vector, so that data whose
    sizes are multiples of that are aligned in the file and in memory.
    """
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    offsets = {}
    for name, (dtype, shape) in tensors.items():
        theirs = _THEIRS.get(dtype, dtype)
        size = math.prod(shape) * _ITEM_BYTES[theirs]
        offsets[name] = at
        entries[name] = {
            "dtype": theirs, "shape": list(shape), "data_offsets": [at, at + size]
        }  # fmt: skip
        at += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    head = len(text).to_bytes(8, "little") + text
    return head, {name: len(head) + offset for name, offset in offsets.items()}


def _parse(text: bytes, path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key is given twice")
        return found

    try:
        header = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise CorruptCheckpoint(f"{path}: the header cannot be read: {error}") from error
    if not isinstance(header, dict):
        raise CorruptCheckpoint(f"{path}: the header is no table of tensors")
    return header


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62
