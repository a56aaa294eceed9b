"""Writes a Hugging Face folder: config.json and safetensors, plain or packed, in one or more files.

Packed matrices are uint8 tensors under the name of the weight, in the shape of ``Packed.data``;
config.json has a ``quantization_config`` (see recipe.py).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from paddock.inference.checkpoint.base import Array
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.hf import to_hf
from paddock.inference.checkpoint.formats.hf import INDEX, SINGLE
from paddock.inference.checkpoint.formats.safetensors import ALIGNMENT, header_bytes
from paddock.inference.checkpoint.names import to_theirs
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.checkpoint.recipe import Recipe
from paddock.inference.checkpoint.writer import cast, create, write_at

Layout = Mapping[str, tuple[str, tuple[int, ...]]]
"""Our name -> dtype (ours or U8) and shape in the file."""

_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "U8": 1}


class HfWriter:
    """Writes every header first, so that weights may come in any order."""

    def __init__(
        self,
        folder: Path,
        config: ModelConfig,
        shards: int,
        max_bytes: int,
        recipe: Recipe | None = None,
    ) -> None:
        """Aims at ``shards`` files, none above ``max_bytes`` if it can.

        ``config.dtype`` is stored, or what ``recipe`` says. Raises CheckpointError if config.json
        cannot say the configuration.
        """
        values = to_hf(config)
        if recipe is not None:
            values["quantization_config"] = recipe.to_hf()
            self._layout: Layout = recipe.layout(config)
        else:
            self._layout = {name: (config.dtype, shape) for name, shape in config.shapes().items()}
        (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n")
        self._places: dict[str, tuple[BinaryIO, int]] = {}
        self._files: list[BinaryIO] = []
        groups = split(self._layout, shards, max_bytes)
        weight_map: dict[str, str] = {}
        for number, group in enumerate(groups, 1):
            name = SINGLE
            if len(groups) > 1:
                name = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
            ordered = {to_theirs("hf", ours): self._layout[ours] for ours in self._in_order(group)}
            head, offsets = header_bytes(ordered)
            file = create(folder / name, len(head) + sum(map(self._size, group)))
            file.write(head)
            self._files.append(file)
            self._places |= {ours: (file, offsets[to_theirs("hf", ours)]) for ours in group}
            weight_map |= dict.fromkeys(ordered, name)
        if len(groups) > 1:
            total = sum(map(self._size, self._layout))
            index = {"metadata": {"total_size": total}, "weight_map": weight_map}
            (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")

    def write(self, name: str, weight: Array | Packed) -> None:
        """Puts the weight where the header says."""
        file, offset = self._places[name]
        if isinstance(weight, Packed):
            write_at(file, offset, weight.data)
        else:
            write_at(file, offset, cast(name, weight, self._layout[name][0]))

    def close(self) -> None:
        """Closes the files."""
        for file in self._files:
            file.close()

    abort = close

    def _size(self, name: str) -> int:
        return nbytes(self._layout[name])

    def _in_order(self, group: list[str]) -> list[str]:
        """The model's order; what would push its followers off the alignment goes last."""
        return sorted(group, key=lambda name: self._size(name) % ALIGNMENT != 0)


def split(layout: Layout, shards: int, max_bytes: int) -> list[list[str]]:
    """The weights in at most ``shards`` groups of like size, cut again where one is too large.

    A single weight above ``max_bytes`` gets a file of its own.
    """
    total = sum(map(nbytes, layout.values()))
    groups: list[list[str]] = []
    done, last, filled = 0, -1, 0
    for name, entry in layout.items():
        size = nbytes(entry)
        shard = min(shards - 1, int((done + size / 2) * shards / total))
        if shard != last or filled + size > max_bytes:
            groups.append([])
            last, filled = shard, 0
        groups[-1].append(name)
        done += size
        filled += size
    return groups


def nbytes(entry: tuple[str, tuple[int, ...]]) -> int:
    """Bytes of a weight of this dtype and shape."""
    return math.prod(entry[1]) * _BYTES[entry[0]]
