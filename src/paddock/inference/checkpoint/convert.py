"""Rewrites a checkpoint in another format, weight by weight, all of it or nothing."""

from __future__ import annotations

import math
import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from paddock.errors import CheckpointError, ModelNotFound, UsageError, nearest
from paddock.inference.checkpoint import tokenizer_files
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.memory import in_gib
from paddock.inference.checkpoint.open import detect, open_reader
from paddock.inference.checkpoint.reader import ITEM_BYTES, Reader
from paddock.inference.checkpoint.verify import checked
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
    sources). ``shards``: files for ``hf``, model-parallel ranks for ``meta``; ``max_shard_bytes``
    holds for ``hf``. ``progress(done, total)`` counts bytes of the target's weights.

    Memory: one weight at a time, in source and target form. Everything is written under a temporary
    name beside ``dst`` and renamed at the end; after an error nothing is left and an existing
    ``dst`` is as it was. Raises UsageError for wishes that cannot be honoured, CheckpointError
    for weights or configurations that the source does not hold or the target cannot say.
    """
    src, dst = Path(src), Path(dst)
    reader = open_reader(src)
    config = reader.config()
    dtype = _check_wishes(to, dtype or config.dtype, shards)
    _check_target(src, dst, overwrite)
    total = int(config.n_params() * ITEM_BYTES[dtype])
    dst.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(dst.parent).free
    if total > free:
        raise CheckpointError(f"{dst} needs {in_gib(total)} of disk, {in_gib(free)} are free")
    temporary = dst.parent / f".{dst.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        temporary.mkdir()
        split = (shards, max_shard_bytes)
        written = _write(reader, temporary, to, config, dtype, dst, split, progress)
        _sync(temporary)
        _move(written, dst)
    except OSError as error:
        raise CheckpointError(f"cannot write {dst}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return dst


def _write(
    reader: Reader,
    folder: Path,
    to: Format,
    config: ModelConfig,
    dtype: str,
    dst: Path,
    split: tuple[int, int],
    progress: Callable[[int, int], None] | None,
) -> Path:
    """Fills ``folder``; what of it is to become ``dst``."""
    metadata = _carry_tokenizer(reader, folder, config, to)
    # Quantized targets take fp32 and round once.
    plain = dtype if dtype in _PLAIN else "fp32"
    target = replace(config, dtype=plain)
    writer = _writer(folder, to, target, dtype, dst, split, metadata)
    total, done = int(config.n_params() * ITEM_BYTES[dtype]), 0.0
    try:
        for name, array in checked(reader, config):
            stored = plain if array.ndim > 1 or to != "gguf" else "fp32"
            writer.write(name, cast(name, array, stored))
            done += math.prod(array.shape) * ITEM_BYTES[dtype]
            if progress is not None:
                progress(round(done), total)
    except BaseException:
        writer.abort()
        raise
    writer.close()
    return folder / dst.name if to == "gguf" and dst.suffix == ".gguf" else folder


def _writer(
    folder: Path,
    to: Format,
    config: ModelConfig,
    dtype: str,
    dst: Path,
    split: tuple[int, int],
    metadata: dict[str, Any],
) -> Writer:
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

    name = dst.name if dst.suffix == ".gguf" else "model.gguf"
    return GgufWriter(folder / name, config, dtype, metadata, dst.stem)


def _carry_tokenizer(
    reader: Reader, folder: Path, config: ModelConfig, to: Format
) -> dict[str, Any]:
    """Puts the tokenizer's files into ``folder``; its GGUF metadata."""
    if reader.format == "gguf":
        metadata = {
            key: value
            for key, value in getattr(reader, "metadata", {}).items()
            if key.startswith("tokenizer.")
        }
        model = tokenizer_files.model_from_gguf(metadata)
        if model is not None:
            (folder / "tokenizer.model").write_bytes(model)
        template = metadata.get("tokenizer.chat_template")
    else:
        source = tokenizer_files.source_folder(reader.path)
        tokenizer_files.copy(source, folder)
        metadata = tokenizer_files.gguf_metadata(source, config) if to == "gguf" else {}
        template = None
    if to == "hf":
        tokenizer_files.write_tokenizer_config(folder, config, template)
    return metadata


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


def _check_target(src: Path, dst: Path, overwrite: bool) -> None:
    """Refuses a target that is taken, or whose replacement would delete more than a checkpoint."""
    if not dst.name:
        raise UsageError(f"{dst} cannot be written to", hint="name a new folder or file")
    if not dst.exists():
        return
    if not overwrite:
        raise UsageError(f"{dst} exists", hint="name another target, or allow overwriting")
    if src.resolve() == dst.resolve() or dst.resolve() in src.resolve().parents:
        raise UsageError(f"{dst} holds the source", hint="name another target")
    try:
        if dst.is_dir() and any(dst.iterdir()):
            detect(dst)
    except ModelNotFound:
        raise UsageError(
            f"{dst} holds no checkpoint and is not replaced", hint="name another target"
        ) from None


def _sync(folder: Path) -> None:
    """Makes the data reach the disk before the rename does, which must not overtake it."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _move(written: Path, dst: Path) -> None:
    """Renames; a folder that is replaced is put back if the rename fails."""
    if not dst.is_dir():
        written.replace(dst)
        return
    old = dst.parent / f".{dst.name}.{uuid.uuid4().hex[:8]}.old.part"
    dst.rename(old)
    try:
        written.rename(dst)
    except OSError:
        old.rename(dst)
        raise
    shutil.rmtree(old, ignore_errors=True)
