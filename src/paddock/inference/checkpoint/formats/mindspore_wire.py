"""MindSpore's .ckpt container: protobuf messages read one by one, without reading the weights.

    message Checkpoint { repeated Value value = 1; }
    message Value { required string tag = 1;
                    oneof value { TensorProto tensor = 2; MapTensorProto maptensor = 3; } }
    message TensorProto { repeated int64 dims = 1; required string tensor_type = 2;
                          required bytes tensor_content = 3; }

A file is any number of such messages after another; a large tensor is cut into consecutive Values
of the same tag, each with the full dims, whose contents join. ``crc_check=True`` appends
``crc_num`` and ten bytes with the CRC-32 of everything before. An encrypted file is cipher blocks
that begin with a magic number. Read in MindSpore 2.0.0, 2.7.0 and 2.10.0.
Own code rather than the protobuf library, which would hold a whole model twice and refuses
messages over 2 GiB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from paddock.errors import CheckpointError, CorruptCheckpoint
from paddock.inference.checkpoint.base import TensorInfo
from paddock.inference.checkpoint.mapped import MappedFile

_CRC_MARK = b"crc_num"
_CRC_SIZE = len(_CRC_MARK) + 10
_CIPHERS = {0x7F3A5ED8: "AES-GCM", 0x7F3A5ED9: "AES-CBC", 0x7F3A5EDA: "SM4-CBC"}
# Bytes per element; "str" holds UTF-32 characters and its dims do not count them.
_ITEM_BYTES = {
    "Float16": 2, "Float32": 4, "Float64": 8, "BFloat16": 2, "Int8": 1, "Int16": 2, "Int32": 4,
    "Int64": 8, "UInt8": 1, "UInt16": 2, "UInt32": 4, "UInt64": 8, "Bool": 1,
}  # fmt: skip
TO_OURS = {"Float16": "fp16", "BFloat16": "bf16", "Float32": "fp32"}
TO_THEIRS = {ours: theirs for theirs, ours in TO_OURS.items()}


@dataclass(slots=True)
class Entry:
    """One tensor: where its pieces lie. ``spans`` are (start, length) in bytes of the file."""

    info: TensorInfo
    spans: list[tuple[int, int]] = field(default_factory=list)

    @property
    def have(self) -> int:
        """Bytes found so far."""
        return sum(length for _, length in self.spans)


class CkptFile:
    """One file, its messages found. ``entries`` lie in file order; ``crc`` is None without one."""

    def __init__(self, path: Path) -> None:
        """Raises CorruptCheckpoint for damage, CheckpointError for encrypted files."""
        self.path = path
        self.file = MappedFile(path)
        magic = int.from_bytes(self.file.read(0, min(4, self.file.size)), "little")
        if magic in _CIPHERS:
            raise CheckpointError(
                f"{path} is encrypted ({_CIPHERS[magic]})",
                hint="decrypt it with mindspore.load_checkpoint(dec_key=...) and save it again",
            )
        self.end = self.file.size
        self.crc: int | None = None
        tail = self.file.read(max(0, self.end - _CRC_SIZE), min(self.end, _CRC_SIZE))
        if tail.startswith(_CRC_MARK):
            self.crc = int.from_bytes(tail[len(_CRC_MARK) :], "big")
            self.end -= _CRC_SIZE
        self.entries: list[Entry] = []
        self._scan()

    def _scan(self) -> None:
        for number, start, length in self._fields(0, self.end):
            if number != 1:
                raise CorruptCheckpoint(f"{self.path} is no MindSpore checkpoint (field {number})")
            self._value(start, start + length)
        for entry in self.entries:
            self._check_whole(entry)

    def _value(self, start: int, end: int) -> None:
        tag, tensor = None, None
        for number, at, length in self._fields(start, end):
            if number == 1:
                tag = self._text(at, length)
            elif number == 2:
                tensor = (at, at + length)
            elif number == 3:
                raise CheckpointError(f"{self.path}: {tag!r} is a map of tensors; not read here")
        if tag is None or tensor is None:
            raise CorruptCheckpoint(f"{self.path}: a value at byte {start} has no name or tensor")
        dims: list[int] = []
        kind, content = None, None
        for number, at, length in self._fields(*tensor, varints=dims):
            if number == 2:
                kind = self._text(at, length)
            elif number == 3:
                content = (at, length)
        if kind is None or content is None:
            raise CorruptCheckpoint(f"{self.path}: tensor {tag!r} has no type or no content")
        self._add(tag, tuple(dims), kind, content)

    def _add(self, tag: str, dims: tuple[int, ...], kind: str, content: tuple[int, int]) -> None:
        where = f"{self.path}: tensor {tag!r}"
        shape = () if dims == (0,) else dims
        if kind != "str" and kind not in _ITEM_BYTES:
            raise CorruptCheckpoint(f"{where} has the unknown type {kind[:40]!r}")
        if len(shape) > 8 or any(side >= 1 << 62 for side in shape):
            raise CorruptCheckpoint(f"{where} has the impossible shape {list(shape)[:9]}")
        nbytes = content[1] if kind == "str" else math.prod(shape) * _ITEM_BYTES[kind]
        last = self.entries[-1] if self.entries else None
        if last is not None and last.info.name == tag and last.have < last.info.nbytes:
            if (last.info.shape, last.info.dtype) != (shape, TO_OURS.get(kind, kind)):
                raise CorruptCheckpoint(f"{where}: its pieces differ in shape or type")
            last.spans.append(content)
            return
        info = TensorInfo(tag, shape, TO_OURS.get(kind, kind), nbytes, self.path)
        self.entries.append(Entry(info, [content]))

    def _check_whole(self, entry: Entry) -> None:
        info = entry.info
        if entry.have != info.nbytes:
            raise CorruptCheckpoint(
                f"{self.path}: tensor {info.name!r} of shape {list(info.shape)} needs "
                f"{info.nbytes} bytes, found {entry.have}"
            )

    def _fields(
        self, at: int, end: int, varints: list[int] | None = None
    ) -> Iterator[tuple[int, int, int]]:
        """Length-delimited fields as (number, start, length).

        With ``varints`` field 1 is a list of int64, one by one or packed, collected there. Other
        kinds of fields are skipped, as protobuf does with what it does not know.
        """
        while at < end:
            key, at = self._varint(at, end)
            number, wire = key >> 3, key & 7
            if wire == 0:
                value, at = self._varint(at, end)
                if varints is not None and number == 1:
                    varints.append(value)
                continue
            if wire == 2:
                length, at = self._varint(at, end)
            elif wire in (1, 5):
                length = 8 if wire == 1 else 4
            else:
                raise CorruptCheckpoint(f"{self.path} is damaged at byte {at}: no such field")
            if at + length > end:
                raise CorruptCheckpoint(
                    f"{self.path}: a field of {length} bytes at byte {at} runs past byte {end}: "
                    "truncated or damaged"
                )
            if wire == 2 and varints is not None and number == 1:
                stop = at + length
                while at < stop:
                    value, at = self._varint(at, stop)
                    varints.append(value)
                continue
            if wire == 2:
                yield number, at, length
            at += length

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """One base-128 number of at most 64 bits, and where the next field starts."""
        value = 0
        for i, byte in enumerate(self.file.read(at, min(10, end - at))):
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                return value, at + i + 1
        raise CorruptCheckpoint(f"{self.path} is damaged at byte {at}: a number does not end")

    def _text(self, at: int, length: int) -> str:
        if length > 4096:
            raise CorruptCheckpoint(f"{self.path}: a name of {length} bytes at byte {at}")
        try:
            return self.file.read(at, length).decode()
        except UnicodeDecodeError:
            raise CorruptCheckpoint(f"{self.path}: the name at byte {at} is no text") from None


def value_header(tag: str, shape: tuple[int, ...], kind: str, n_content: int) -> bytes:
    """A Checkpoint message with one Value, up to where its ``n_content`` bytes of content start."""
    name, type_name = tag.encode(), kind.encode()
    tensor = b"".join(b"\x08" + _encode(side) for side in shape)
    tensor += b"\x12" + _encode(len(type_name)) + type_name
    tensor += b"\x1a" + _encode(n_content)
    value = b"\x0a" + _encode(len(name)) + name
    value += b"\x12" + _encode(len(tensor) + n_content) + tensor
    return b"\x0a" + _encode(len(value) + n_content) + value


def crc_trailer(crc: int) -> bytes:
    """What ``crc_check=True`` appends."""
    return _CRC_MARK + crc.to_bytes(10, "big")


def _encode(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
