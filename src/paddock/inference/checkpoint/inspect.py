"""What a checkpoint holds, told from headers alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock.errors import CheckpointError, TensorMismatch
from paddock.inference.checkpoint.base import TensorInfo
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.open import open_reader
from paddock.inference.checkpoint.reader import Reader, Weight
from paddock.inference.checkpoint.verify import check_headers

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One weight file. ``size`` is in bytes; ``sha256`` is None unless asked for."""

    path: Path
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Inspection:
    """A checkpoint as its headers describe it.

    ``tensors`` are the files' own, ``total_bytes`` their sum, ``n_params`` the numbers in the
    model's weights. ``complete`` says whether they are exactly the weights of ``config``;
    ``problem`` says why not, or why ``config`` is None. ``quantization`` is what
    config.json says of packed weights.
    """

    format: str
    path: Path
    config: ModelConfig | None
    tensors: tuple[TensorInfo, ...]
    files: tuple[FileInfo, ...]
    total_bytes: int
    n_params: int
    complete: bool
    problem: str | None
    quantization: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; sizes in bytes, paths as text."""
        return {
            "format": self.format,
            "path": str(self.path),
            "config": self.config.to_dict() if self.config else None,
            "quantization": self.quantization,
            "n_params": self.n_params,
            "total_bytes": self.total_bytes,
            "complete": self.complete,
            "problem": self.problem,
            "files": [
                {"path": str(file.path), "size": file.size, "sha256": file.sha256}
                for file in self.files
            ],
            "tensors": [
                {
                    "name": info.name,
                    "shape": list(info.shape),
                    "dtype": info.dtype,
                    "bytes": info.nbytes,
                    "file": info.file.name,
                }
                for info in self.tensors
            ],
        }


def inspect(
    path: str | Path,
    *,
    hashes: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Reads the headers at ``path``; with ``hashes`` all of every file, for its SHA-256.

    ``progress(done, total)`` counts hashed bytes. Raises what ``open_checkpoint`` raises; a
    configuration that is missing or does not match is told in the result.
    """
    reader = open_reader(path)
    infos = reader.infos()
    config, weights, problem = _compare(reader)
    paths = sorted({info.file for info in infos})
    sizes = [file.stat().st_size for file in paths]
    files, done = [], 0
    for file, size in zip(paths, sizes, strict=True):
        digest = _sha256(file, done, sum(sizes), progress) if hashes else None
        files.append(FileInfo(file, size, digest))
        done += size
    return Inspection(
        format=reader.format,
        path=reader.path,
        config=config,
        tensors=tuple(infos),
        files=tuple(files),
        total_bytes=sum(info.nbytes for info in infos),
        n_params=sum(math.prod(weight.shape) for weight in weights),
        complete=problem is None,
        problem=problem,
        quantization=_quantization(reader),
    )


def _compare(reader: Reader) -> tuple[ModelConfig | None, list[Weight], str | None]:
    try:
        config = reader.config()
    except CheckpointError as error:
        return None, _as_stored(reader), str(error)
    try:
        weights = reader.weights()
        check_headers(reader, weights, config)
    except TensorMismatch as error:
        return config, weights, str(error)
    except CheckpointError as error:
        return config, _as_stored(reader), str(error)
    return config, weights, None


def _quantization(reader: Reader) -> dict[str, Any] | None:
    from paddock.inference.checkpoint.formats.packed import PackedCheckpoint

    try:
        return reader.recipe.to_hf() if isinstance(reader, PackedCheckpoint) else None
    except CheckpointError:
        return None  # the comparison has told why


def _as_stored(reader: Reader) -> list[Weight]:
    return [Weight(info.name, info.shape, (info,)) for info in reader.infos()]


def _sha256(path: Path, done: int, total: int, progress: Callable[[int, int], None] | None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()
