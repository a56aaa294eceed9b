"""Writes a GGUF file that llama.cpp loads: unquantized, Q8_0 or Q4_0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddock.errors import MissingExtra
from paddock.inference.checkpoint import rope
from paddock.inference.checkpoint.base import Array, as_dtype
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.gguf import rope_factors, to_gguf
from paddock.inference.checkpoint.formats import gguf_blocks
from paddock.inference.checkpoint.formats.gguf import BLOCK
from paddock.inference.checkpoint.names import to_theirs
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.checkpoint.writer import create, write_at

_ALIGNMENT = 32
_TYPE = {"fp32": "F32", "fp16": "F16", "bf16": "BF16", "q8_0": "Q8_0", "q4_0": "Q4_0"}
# llama.cpp's llama_ftype.
_FILE_TYPE = {"fp32": 0, "fp16": 1, "q4_0": 2, "q8_0": 7, "bf16": 32}
# Elements quantized at a time: the library needs several times their size in float32.
_CHUNK = 1 << 19


class GgufWriter:
    """Writes metadata and tensor headers first, so that weights may come in any order."""

    def __init__(
        self,
        path: Path,
        config: ModelConfig,
        dtype: str,
        tokenizer: Mapping[str, Any],
        name: str,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        """``tokenizer`` are metadata; ``name`` is the model's.

        ``kinds`` say how each weight is stored; the default is ``stored_kinds(config, dtype)``.
        """
        import numpy as np

        try:
            import gguf
        except ImportError:
            raise MissingExtra("gguf", "models") from None
        self._config = config
        self._types = stored_kinds(config, dtype) if kinds is None else dict(kinds)
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_name(name)
        writer.add_file_type(_FILE_TYPE[dtype])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        for key, value in (dict(tokenizer) | to_gguf(config)).items():
            _add(writer, key, value)
        self._offsets = {}
        at = 0
        for ours, shape, kind in self._entries():
            theirs = ours if ours == "rope_freqs.weight" else to_theirs("gguf", ours)
            nbytes = _nbytes(shape, kind)
            raw_type = gguf.GGMLQuantizationType[_TYPE[kind]]
            writer.add_tensor_info(theirs, shape, np.dtype(np.float32), nbytes, raw_dtype=raw_type)
            self._offsets[ours] = at
            at += -(-nbytes // _ALIGNMENT) * _ALIGNMENT
        create(path).close()
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        self._start = -(-path.stat().st_size // _ALIGNMENT) * _ALIGNMENT
        self._file = path.open("r+b")
        self._file.truncate(self._start + at)
        self._write_factors()

    def write(self, name: str, weight: Array | Packed) -> None:
        """Reorders the rotary pairs, quantizes if asked for, and puts the weight into its place.

        A Packed must have the bits of its kind; its numbers stay as they are.
        """
        kind = self._types[name]
        packed = isinstance(weight, Packed)
        array = gguf_blocks.from_packed(weight) if isinstance(weight, Packed) else weight
        n_heads = rope.rotated_heads(name, self._config)
        if n_heads is not None:
            # Blocks lie along a row, so whole rows change places.
            array = rope.to_pairs(array, n_heads)
        if packed:
            stored = array
        else:
            stored = quantize(array, kind) if kind in BLOCK else as_dtype(array, kind)
        write_at(self._file, self._start + self._offsets[name], stored)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    abort = close

    def _entries(self) -> list[tuple[str, tuple[int, ...], str]]:
        entries = [
            (name, shape, self._types[name]) for name, shape in self._config.shapes().items()
        ]
        if self._llama3:
            entries.append(("rope_freqs.weight", (self._config.head_dim // 2,), "fp32"))
        return entries

    @property
    def _llama3(self) -> bool:
        return self._config.rope_scaling is not None and self._config.rope_scaling.kind == "llama3"

    def _write_factors(self) -> None:
        import numpy as np

        scaling = self._config.rope_scaling
        if scaling is not None and self._llama3:
            factors = rope_factors(scaling, self._config.rope_theta, self._config.head_dim)
            at = self._start + self._offsets["rope_freqs.weight"]
            write_at(self._file, at, np.array(factors, np.float32))


def quantize(array: Array, dtype: str) -> Array:
    """A matrix as ``q8_0`` or ``q4_0`` blocks, uint8 (rows, bytes per row), through gguf."""
    import gguf
    import numpy as np

    elements, size = BLOCK[dtype]
    kind = gguf.GGMLQuantizationType[_TYPE[dtype]]
    n_rows, n_columns = array.shape
    out = np.empty((n_rows, n_columns // elements * size), np.uint8)
    step = max(1, _CHUNK // n_columns)
    for at in range(0, n_rows, step):
        out[at : at + step] = gguf.quantize(array[at : at + step].astype(np.float32), kind)
    return out


def stored_kinds(config: ModelConfig, dtype: str) -> dict[str, str]:
    """How each weight of ``config`` is stored in a file of ``dtype``. Norms are fp32.

    For ``q4_0`` the head is q8_0, which it needs most; a matrix whose rows do not divide into
    blocks is fp16.
    """
    return {name: _stored(name, shape, dtype) for name, shape in config.shapes().items()}


def _stored(name: str, shape: tuple[int, ...], dtype: str) -> str:
    if len(shape) == 1:
        return "fp32"
    if dtype == "q4_0" and name == "output.weight":
        dtype = "q8_0"
    if dtype in BLOCK and shape[-1] % BLOCK[dtype][0]:
        return "fp16"
    return dtype


def _nbytes(shape: tuple[int, ...], kind: str) -> int:
    elements, size = BLOCK.get(kind, (1, 4 if kind == "fp32" else 2))
    return math.prod(shape) // elements * size


def _add(writer: Any, key: str, value: Any) -> None:
    """One metadata value with the type that llama.cpp expects of its kind."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        # Pieces of characters are no valid text; the library takes their bytes.
        items = [
            item.encode("utf-8", "surrogateescape") if isinstance(item, str) else item
            for item in value
        ]
        writer.add_array(key, items)
