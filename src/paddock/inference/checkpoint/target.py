"""Writes what is complete or nothing: a temporary name beside the target, renamed at the end."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from paddock.errors import CheckpointError, ModelNotFound, UsageError
from paddock.inference.checkpoint.memory import in_gib
from paddock.inference.checkpoint.open import detect
from paddock.inference.checkpoint.writer import Writer

_Weight = TypeVar("_Weight")


def write_whole(dst: Path, nbytes: int, fill: Callable[[Path], Path]) -> Path:
    """Lets ``fill`` write into a temporary folder; what of it that returns becomes ``dst``.

    ``nbytes`` is about how much will be written. After an error nothing is left, and an existing
    ``dst`` is as it was. Raises CheckpointError if the disk has no room or cannot be written.
    """
    temporary = dst.parent / f".{dst.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        dst.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(dst.parent).free
        if nbytes > free:
            raise CheckpointError(f"{dst} needs {in_gib(nbytes)} of disk, {in_gib(free)} are free")
        temporary.mkdir()
        written = fill(temporary)
        _sync(temporary)
        _move(written, dst)
    except OSError as error:
        raise CheckpointError(f"cannot write {dst}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return dst


def stream(
    weights: Iterator[tuple[str, _Weight]],
    writer: Writer[_Weight],
    sizes: Mapping[str, float],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Feeds ``writer`` and closes it; ``sizes`` are bytes by name in the target."""
    total, done = round(sum(sizes.values())), 0.0
    try:
        for name, weight in weights:
            writer.write(name, weight)
            # Holding on would keep two weights in memory.
            del weight
            done += sizes[name]
            if progress is not None:
                progress(round(done), total)
    except BaseException:
        writer.abort()
        raise
    writer.close()


def check_target(src: Path | None, dst: Path, overwrite: bool) -> None:
    """Refuses a target that is taken, or whose replacement would delete more than a checkpoint."""
    if not dst.name:
        raise UsageError(f"{dst} cannot be written to", hint="name a new folder or file")
    if not dst.exists():
        return
    if not overwrite:
        raise UsageError(f"{dst} exists", hint="name another target, or allow overwriting")
    if src is not None and (
        src.resolve() == dst.resolve() or dst.resolve() in src.resolve().parents
    ):
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
