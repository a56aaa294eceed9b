"""Rewrites a checkpoint in another format, weight by weight, all of it or nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from paddock.errors import UsageError, nearest
from paddock.inference.checkpoint import tokenizer_files
from paddock.inference.checkpoint.base import Array
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.formats.gguf_blocks import DTYPES
from paddock.inference.checkpoint.open import open_reader
from paddock.inference.checkpoint.reader import BITS, ITEM_BYTES, Reader
from paddock.inference.checkpoint.target import check_target, stream, write_whole
from paddock.inference.checkpoint.verify import checked, gate
from paddock.inference.checkpoint.writer import Writer, cast

Format = Literal["hf", "meta", "mindspore", "gguf"]
_PLAIN = ("bf16", "fp16", "fp32")
_DTYPES = {"hf": _PLAIN, "meta": _PLAIN, "mindspore": _PLAIN, "gguf": (*_PLAIN, "q8_0", "q4_0")}


def convert(
    src: str | Path,
    dst: str | Path,
    *,
    to: Format,
    dtype: str | None = None,
    shards: int = 1,
    max_shard_bytes: int = 5_000_000_000,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes the checkpoint at ``src`` as format ``to`` at ``dst`` and returns what was written.

    ``dst`` becomes a folder with weights, configuration and tokenizer; for ``gguf`` a path ending
    in ``.gguf`` becomes that one file. ``dtype`` defaults to the stored one (fp16 for quantized
    sources); for ``gguf`` from a packed
    checkpoint to the type that holds its numbers without loss. A quantized source that is written
    as GGUF of its own type keeps its numbers bit for bit; all else goes through ``tensors()``,
    that is dequantized. ``shards``: files for ``hf``, model-parallel ranks for ``meta``;
    ``max_shard_bytes`` holds for ``hf``. ``progress(done, total)`` counts bytes of the target's
    weights.

    Memory: one weight at a time, in source and target form. Everything is written under a temporary
    name beside ``dst`` and renamed at the end; after an error nothing is left and an existing
    ``dst`` is as it was. Raises UsageError for wishes that cannot be honoured, CheckpointError
    for weights or configurations that the source does not hold or the target cannot say.
    """
    src, dst = Path(src), Path(dst)
    reader = open_reader(src)
    config = reader.config()
    own = _quantized_kind(reader)
    usual = own if own and to == "gguf" and reader.format == "paddock" else config.dtype
    dtype = _check_wishes(to, dtype or usual, shards)
    check_target(src, dst, overwrite)
    lossless = to == "gguf" and dtype == own
    kinds = packed_kinds(reader) if lossless else dict.fromkeys(config.shapes(), dtype)
    sizes = weight_bytes(config, kinds)
    job = _Job(reader, to, dtype, dst, (shards, max_shard_bytes), sizes, progress)
    return write_whole(dst, round(sum(sizes.values())), job.copy_packed if lossless else job.write)


def packed_kinds(reader: Reader) -> dict[str, str]:
    """How each weight of a quantized checkpoint is stored in GGUF if nothing is to change."""
    config = reader.config()
    dtypes = {weight.name: weight.infos[0].dtype for weight in reader.weights()}
    kinds = {}
    for name, shape in config.shapes().items():
        dtype = dtypes.get(name, config.dtype)
        kinds[name] = DTYPES[BITS[dtype]] if dtype in BITS else "fp32" if len(shape) == 1 else dtype
    return kinds


def weight_bytes(config: ModelConfig, kinds: Mapping[str, str]) -> dict[str, float]:
    """Bytes of each weight stored in these kinds."""
    return {n: math.prod(shape) * ITEM_BYTES[kinds[n]] for n, shape in config.shapes().items()}


def _quantized_kind(reader: Reader) -> str | None:
    """``q4_0`` or ``q8_0``: the type that most quantized weights have; None if there are none."""
    counts = Counter(BITS[info.dtype] for info in reader.infos() if info.dtype in BITS)
    return DTYPES[counts.most_common(1)[0][0]] if counts else None


@dataclass(frozen=True, slots=True)
class _Job:
    """One conversion; its methods fill a folder and say what of it is to become ``dst``."""

    reader: Reader
    to: Format
    dtype: str
    dst: Path
    split: tuple[int, int]
    sizes: Mapping[str, float]
    progress: Callable[[int, int], None] | None

    def write(self, folder: Path) -> Path:
        config = self.reader.config()
        metadata = tokenizer_files.carry(self.reader, folder, config, self.to)
        # Quantized targets take fp32 and round once.
        plain = self.dtype if self.dtype in _PLAIN else "fp32"
        target = replace(config, dtype=plain)
        writer = _writer(folder, self.to, target, self.dtype, self.dst, self.split, metadata)
        vectors = "fp32" if self.to == "gguf" else plain
        weights = (
            (name, cast(name, array, plain if array.ndim > 1 else vectors))
            for name, array in checked(self.reader, config)
        )
        stream(weights, writer, self.sizes, self.progress)
        return self._result(folder)

    def copy_packed(self, folder: Path) -> Path:
        """A GGUF file with the source's own quantized numbers."""
        from paddock.inference.checkpoint.formats.gguf_writer import GgufWriter

        config = self.reader.config()
        metadata = tokenizer_files.carry(self.reader, folder, config, self.to)
        kinds = packed_kinds(self.reader)
        path = folder / gguf_name(self.dst)
        writer = GgufWriter(path, config, self.dtype, metadata, self.dst.stem, kinds)
        pieces = gate(self.reader, self.reader.pieces(), config)
        stream(pieces, writer, self.sizes, self.progress)
        return self._result(folder)

    def _result(self, folder: Path) -> Path:
        single = self.to == "gguf" and self.dst.suffix == ".gguf"
        return folder / self.dst.name if single else folder


def gguf_name(dst: Path) -> str:
    """The name of the GGUF file that is, or lies in, ``dst``."""
    return dst.name if dst.suffix == ".gguf" else "model.gguf"


def _writer(
    folder: Path,
    to: Format,
    config: ModelConfig,
    dtype: str,
    dst: Path,
    split: tuple[int, int],
    metadata: dict[str, Any],
) -> Writer[Array]:
    # Late: one format's library must not be needed for another's files.
    if to == "hf":
        from paddock.inference.checkpoint.formats.hf_writer import HfWriter

        return HfWriter(folder, config, *split)
    if to == "meta":
        from paddock.inference.checkpoint.formats.meta_writer import MetaWriter

        return MetaWriter(folder, config, split[0])
    if to == "mindspore":
        from paddock.inference.checkpoint.formats.mindspore_writer import MindSporeWriter

        return MindSporeWriter(folder, config, dst.name)
    from paddock.inference.checkpoint.formats.gguf_writer import GgufWriter

    return GgufWriter(folder / gguf_name(dst), config, dtype, metadata, dst.stem)


def _check_wishes(to: str, dtype: str, shards: int) -> str:
    if to not in _DTYPES:
        raise UsageError(
            f"there is no format {to!r}{nearest(to, _DTYPES)}",
            hint=f"known are {', '.join(_DTYPES)}",
        )
    if dtype not in _DTYPES[to]:
        raise UsageError(
            f"{to} is not written in {dtype!r}{nearest(dtype, _DTYPES[to])}",
            hint=f"known are {', '.join(_DTYPES[to])}",
        )
    if shards < 1 or (shards > 1 and to not in ("hf", "meta")):
        raise UsageError(f"shards is {shards}", hint="1 or more; only hf and meta have several")
    return dtype
