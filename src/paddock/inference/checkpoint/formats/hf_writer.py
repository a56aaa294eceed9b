"""Writes a Hugging Face folder: config.json and safetensors, in one file or several."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import BinaryIO

from paddock.inference.checkpoint.base import Array, numpy_dtype
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.hf import to_hf
from paddock.inference.checkpoint.formats.hf import INDEX, SINGLE
from paddock.inference.checkpoint.formats.safetensors import header_bytes
from paddock.inference.checkpoint.names import to_theirs
from paddock.inference.checkpoint.writer import create, write_at


class HfWriter:
    """Writes every header first, so that weights may come in any order."""

    def __init__(self, folder: Path, config: ModelConfig, shards: int, max_bytes: int) -> None:
        """``config.dtype`` is stored. Aims at ``shards`` files, none above ``max_bytes`` if it can.

        Raises CheckpointError if config.json cannot say the configuration.
        """
        values = to_hf(config)
        (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n")
        self._places: dict[str, tuple[BinaryIO, int]] = {}
        self._files: list[BinaryIO] = []
        groups = split(config, shards, max_bytes)
        weight_map: dict[str, str] = {}
        for number, group in enumerate(groups, 1):
            name = SINGLE
            if len(groups) > 1:
                name = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
            shapes = {to_theirs("hf", ours): shape for ours, shape in group.items()}
            head, offsets = header_bytes(shapes, config.dtype)
            file = create(folder / name, len(head) + _size(group, config.dtype))
            file.write(head)
            self._files.append(file)
            self._places |= {ours: (file, offsets[to_theirs("hf", ours)]) for ours in group}
            weight_map |= dict.fromkeys(shapes, name)
        if len(groups) > 1:
            total = _size(config.shapes(), config.dtype)
            index = {"metadata": {"total_size": total}, "weight_map": weight_map}
            (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")

    def write(self, name: str, array: Array) -> None:
        """Puts the weight where the header says."""
        file, offset = self._places[name]
        write_at(file, offset, array)

    def close(self) -> None:
        """Closes the files."""
        for file in self._files:
            file.close()

    abort = close


def split(config: ModelConfig, shards: int, max_bytes: int) -> list[dict[str, tuple[int, ...]]]:
    """The weights in at most ``shards`` groups of like size, cut again where one is too large.

    A single weight above ``max_bytes`` gets a file of its own.
    """
    shapes = config.shapes()
    total = _size(shapes, config.dtype)
    groups: list[dict[str, tuple[int, ...]]] = []
    done, last, filled = 0, -1, 0
    for name, shape in shapes.items():
        size = _size({name: shape}, config.dtype)
        shard = min(shards - 1, int((done + size / 2) * shards / total))
        if shard != last or filled + size > max_bytes:
            groups.append({})
            last, filled = shard, 0
        groups[-1][name] = shape
        done += size
        filled += size
    return groups


def _size(shapes: dict[str, tuple[int, ...]], dtype: str) -> int:
    return sum(math.prod(shape) for shape in shapes.values()) * numpy_dtype(dtype).itemsize
