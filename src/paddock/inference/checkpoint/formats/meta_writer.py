"""Writes Meta's folders: params.json and consolidated.NN.pth, without holding the model.

torch.save wants all tensors at once. So it is given shapes without memory (fake tensors) and told
to skip their bytes, which are then filled in as the weights come; the zip's checksums last.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from paddock.errors import CheckpointError, MissingExtra
from paddock.inference.checkpoint import rope
from paddock.inference.checkpoint.base import Array, numpy_dtype
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.meta import to_meta
from paddock.inference.checkpoint.formats.meta import SPLIT_AXIS
from paddock.inference.checkpoint.writer import create, raw

_DESCRIPTOR, _CENTRAL = b"PK\x07\x08", b"PK\x01\x02"


class MetaWriter:
    """One file per model-parallel rank; each weight is cut along Meta's axis as it comes."""

    def __init__(self, folder: Path, config: ModelConfig, shards: int) -> None:
        """Raises CheckpointError for what Meta's format cannot say or ``shards`` cannot divide."""
        (folder / "params.json").write_text(json.dumps(to_meta(config)) + "\n")
        self._config = config
        self._n_shards = shards
        shapes = {name: self._part(name, shape) for name, shape in config.shapes().items()}
        self._shards = [
            _Zip(folder / f"consolidated.{number:02d}.pth", shapes, config)
            for number in range(shards)
        ]

    def write(self, name: str, array: Array) -> None:
        """Reorders the rotary pairs and puts each rank's part into its file."""
        import numpy as np

        n_heads = rope.rotated_heads(name, self._config)
        if n_heads is not None:
            array = rope.to_pairs(array, n_heads)
        axis = self._axis(name)
        parts = [array] * self._n_shards
        if axis is not None and self._n_shards > 1:
            parts = np.split(array, self._n_shards, axis)
        for shard, part in zip(self._shards, parts, strict=True):
            shard.write(name, part)

    def close(self) -> None:
        """Writes the checksums and closes the files."""
        for shard in self._shards:
            shard.close()

    def abort(self) -> None:
        """Closes the files."""
        for shard in self._shards:
            shard.file.close()

    def _axis(self, name: str) -> int | None:
        kind = name.split(".")[-2]
        if kind == "tok_embeddings" and self._config.tie_embeddings:
            return 0  # by rows like the head, so that both are one memory in every file
        return SPLIT_AXIS.get(kind)

    def _part(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        axis = self._axis(name)
        if axis is None:
            return shape
        if shape[axis] % self._n_shards:
            raise CheckpointError(
                f"tensor {name!r} of shape {list(shape)} does not divide into {self._n_shards}"
            )
        part = list(shape)
        part[axis] //= self._n_shards
        return tuple(part)


class _Zip:
    """One torch file whose tensors' bytes are filled in place."""

    def __init__(self, path: Path, shapes: dict[str, tuple[int, ...]], config: ModelConfig) -> None:
        _save_skeleton(path, shapes, config)
        with zipfile.ZipFile(path) as archive:
            entries = {
                int(entry.filename.rsplit("/", 1)[1]): entry
                for entry in archive.infolist()
                if entry.filename.split("/")[-2:-1] == ["data"]
            }
            self._directory = archive.start_dir
        self.file: BinaryIO = path.open("r+b")
        self._spans: dict[str, tuple[int, int]] = {}
        self._crcs: dict[str, int] = {}
        self._members: dict[bytes, str] = {}
        # torch numbers memories in the order in which it meets them: that of the table.
        for number, (name, shape) in enumerate(shapes.items()):
            entry = entries[number]
            size = numpy_dtype(config.dtype).itemsize
            for side in shape:
                size *= side
            assert entry.file_size == size, f"torch gave {name} {entry.file_size} bytes"
            self._spans[name] = (self._data_start(entry.header_offset), size)
            self._members[entry.filename.encode()] = name

    def write(self, name: str, array: Array) -> None:
        start, size = self._spans[name]
        data = raw(array)
        assert len(data) == size
        self._crcs[name] = zlib.crc32(data)
        self.file.seek(start)
        self.file.write(data)

    def close(self) -> None:
        for name, (start, size) in self._spans.items():
            self.file.seek(start + size)
            if self.file.read(4) == _DESCRIPTOR:
                self.file.write(struct.pack("<I", self._crcs[name]))
        self._patch_directory()
        self.file.close()

    def _data_start(self, header: int) -> int:
        # Local header: 30 bytes, then a name and padding of the lengths given at its end.
        self.file.seek(header + 26)
        n_name, n_extra = struct.unpack("<HH", self.file.read(4))
        start: int = header + 30 + n_name + n_extra
        return start

    def _patch_directory(self) -> None:
        """Sets the CRC in every tensor's entry of the zip's central directory."""
        at = self._directory
        while True:
            self.file.seek(at)
            head = self.file.read(46)
            if not head.startswith(_CENTRAL):
                return
            n_name, n_extra, n_comment = struct.unpack_from("<HHH", head, 28)
            name = self._members.get(self.file.read(n_name))
            if name is not None:
                self.file.seek(at + 16)
                self.file.write(struct.pack("<I", self._crcs[name]))
            at += 46 + n_name + n_extra + n_comment


def _save_skeleton(path: Path, shapes: dict[str, tuple[int, ...]], config: ModelConfig) -> None:
    try:
        import torch
        from torch._subclasses.fake_tensor import FakeTensorMode
        from torch.serialization import skip_data
    except ImportError:
        raise MissingExtra("torch", "torch") from None
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[config.dtype]
    create(path).close()
    with FakeTensorMode(), skip_data(materialize_fake_tensors=True):
        table = {name: torch.empty(shape, dtype=dtype) for name, shape in shapes.items()}
        if config.tie_embeddings:
            # Meta's code needs the name; one memory under two names says that the head is tied.
            table["output.weight"] = table["tok_embeddings.weight"]
        torch.save(table, path)
