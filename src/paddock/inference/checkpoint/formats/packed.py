"""Reads folders whose matrices are packed in 4 or 8 bits; see packed.py and recipe.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from paddock.errors import CheckpointError, CorruptCheckpoint, TensorMismatch
from paddock.inference.checkpoint.base import Array, TensorInfo
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.fields import load_json
from paddock.inference.checkpoint.configs.hf import from_hf, is_packed
from paddock.inference.checkpoint.formats.hf import HfCheckpoint
from paddock.inference.checkpoint.names import to_ours
from paddock.inference.checkpoint.packed import BLOCK, Packed
from paddock.inference.checkpoint.reader import Weight, as_array, whole_weights
from paddock.inference.checkpoint.recipe import Recipe, recipe_from_hf
from paddock.inference.kernels import library, matrices

# Groups whose scales are looked at together; what is computed of them stays in the cache.
_CHUNK = 1 << 13
_EXPONENT = np.uint16(0x7C00)


class PackedCheckpoint(HfCheckpoint):
    """The folder, or one file of it. What is packed must be what config.json says."""

    format = "paddock"

    @cached_property
    def recipe(self) -> Recipe:
        """Which weights have how many bits. Raises CheckpointError for what is not read here."""
        path = self._folder / "config.json"
        return recipe_from_hf(load_json(path)["quantization_config"], str(path), self.config())

    def infos(self) -> list[TensorInfo]:
        """Packed tensors as ``int4`` or ``int8`` in the shape of the matrix; sizes as stored.

        A tensor that is not stored as the recipe says keeps the file's dtype and shape, and is
        refused when weights are asked for.
        """
        return [self._logical(info) for info in super().infos()]

    def weights(self) -> list[Weight]:
        """As for plain files. Raises TensorMismatch for a tensor that is not as the recipe says."""
        config, layout = self.config(), self._layout
        for info in super().infos():
            name = to_ours("hf", info.name)
            if name not in layout or self._logical(info) is not info:
                continue
            dtype, shape = layout[name]
            bits = self.recipe.bits_of(name, config.shapes()[name])
            if bits is not None or info.dtype == "U8":
                wanted = f"{bits} bits, {dtype} {list(shape)}" if bits else "not packed"
                raise TensorMismatch(
                    f"{info.file}: tensor {info.name!r} is {info.dtype} {list(info.shape)}, "
                    f"config.json says {wanted}"
                )
        return whole_weights("hf", self.infos(), config)

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """Packed weights dequantized to fp32, the others as they are stored."""
        for name, weight in self.pieces():
            yield name, weight.dequantize() if isinstance(weight, Packed) else weight

    def pieces(self) -> Iterator[tuple[str, Array | Packed]]:
        """Views of the mapped files. Raises CorruptCheckpoint for a scale that is not finite."""
        files = {file.path: file for file in self._files}
        shapes = self.config().shapes()
        for weight in self.weights():
            info = weight.infos[0]
            file = files[info.file]
            data = file.view(info.name)
            bits = self.recipe.bits_of(weight.name, info.shape) if weight.name in shapes else None
            if bits is None:
                yield weight.name, as_array(data, info)
            else:
                stored = file.infos[info.name].shape
                n, k = shapes[weight.name]
                packed = Packed(bits, (n, k), data.reshape(stored))
                _check_scales(packed, info)
                yield weight.name, packed
                del packed
            del data
            file.give_back(info.name)

    def _logical(self, info: TensorInfo) -> TensorInfo:
        """``info`` of a packed matrix as what it means; others, and what is wrong, as they are."""
        name = to_ours("hf", info.name)
        shape = self.config().shapes().get(name or "")
        bits = self.recipe.bits_of(name or "", shape) if shape else None
        if not name or not shape or not bits:
            return info
        if (info.dtype, info.shape) != self._layout[name]:
            return info
        return replace(info, shape=shape, dtype=f"int{bits}")

    @cached_property
    def _layout(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        return self.recipe.layout(self.config())

    @cached_property
    def _config(self) -> ModelConfig:
        if self._given is not None:
            return self._given
        path = self._folder / "config.json"
        return self._with_generation(from_hf(load_json(path), str(path)))


def holds_packed(path: Path) -> bool:
    """Whether the config.json in or beside ``path`` describes packed weights.

    False where there is none that can be read: the plain reader says what is wrong with it.
    """
    file = (path if path.is_dir() else path.parent) / "config.json"
    try:
        return file.is_file() and is_packed(load_json(file))
    except CheckpointError:
        return False


def _check_scales(packed: Packed, info: TensorInfo) -> None:
    scales = packed.data.reshape(-1, packed.data.shape[-1])[:, -2 * BLOCK :].view(np.uint16)
    first = 0
    if library.unavailable() is None:
        bad = matrices.bad_scale(packed.data, packed.shape)
        if bad is None:
            return
        first = bad
    for at in range(first, len(scales), _CHUNK):
        # An fp16 is infinite or no number if all bits of its exponent are set.
        part = scales[at : at + _CHUNK] & _EXPONENT
        if part.max() == _EXPONENT:
            group, row = np.argwhere(part == _EXPONENT)[0]
            block, group = divmod(at + int(group), packed.data.shape[1])
            value = float(packed.data[block, group, -2 * BLOCK :].view(np.float16)[row])
            raise CorruptCheckpoint(
                f"{info.file}: tensor {info.name!r}: the scale of group {group} of row "
                f"{block * BLOCK + int(row)} is {value}"
            )
