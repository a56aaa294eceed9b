"""The one gate between files and a model: proves that exactly the expected weights came through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from paddock.errors import CorruptCheckpoint, TensorMismatch
from paddock.inference.checkpoint import names
from paddock.inference.checkpoint.base import Array, Checkpoint
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.checkpoint.reader import Reader, Weight

_Stored = TypeVar("_Stored", bound=Array | Packed)


def checked(
    checkpoint: Checkpoint, config: ModelConfig | None = None
) -> Iterator[tuple[str, Array]]:
    """Streams ``checkpoint.tensors()`` and proves that they are the weights of ``config``.

    ``config`` defaults to the checkpoint's own. Each weight comes exactly once, in its exact
    shape, with no other beside it, and no norm weight is NaN or infinite (the scales of quantized
    formats are checked by their reader). What headers can tell is checked before the first weight.
    Raises TensorMismatch or CorruptCheckpoint naming file and tensor.
    """
    return _checked(checkpoint, checkpoint.tensors(), config or checkpoint.config())


def checked_stored(
    checkpoint: Checkpoint, config: ModelConfig | None = None
) -> Iterator[tuple[str, Array | Packed]]:
    """``checked`` for ``checkpoint.stored()``: the same proof, quantized matrices left packed."""
    return _checked(checkpoint, checkpoint.stored(), config or checkpoint.config())


def _checked(
    checkpoint: Checkpoint, weights: Iterator[tuple[str, _Stored]], config: ModelConfig
) -> Iterator[tuple[str, _Stored]]:
    import numpy as np

    expected = config.shapes()
    if isinstance(checkpoint, Reader):
        check_headers(checkpoint, checkpoint.weights(), config)
    seen: set[str] = set()
    for name, array in weights:
        if name not in expected:
            raise TensorMismatch(f"{_where(checkpoint, name)} is no weight of this model")
        if name in seen:
            raise TensorMismatch(f"{_where(checkpoint, name)} is there twice")
        seen.add(name)
        if array.shape != expected[name]:
            raise TensorMismatch(
                f"{_where(checkpoint, name)} " + _shape_text(name, array.shape, config)
            )
        if not isinstance(array, Packed) and array.ndim == 1 and not np.isfinite(array).all():
            at = int(np.flatnonzero(~np.isfinite(array))[0])
            raise CorruptCheckpoint(
                f"{_where(checkpoint, name)} ({name}): element {at} is {float(array[at])}"
            )
        yield name, array
        # The consumer has it; holding on would keep two weights resident.
        del array
    _check_missing(checkpoint, seen, config)


def check_headers(checkpoint: Checkpoint, weights: list[Weight], config: ModelConfig) -> None:
    """The same proof of names and shapes from headers alone. Raises TensorMismatch."""
    expected = config.shapes()
    seen: set[str] = set()
    for weight in weights:
        if weight.name not in expected:
            raise TensorMismatch(f"{weight.where} is no weight of this model")
        if weight.name in seen:
            raise TensorMismatch(f"{weight.where} is there twice")
        seen.add(weight.name)
        if weight.shape != expected[weight.name]:
            raise TensorMismatch(f"{weight.where} {_shape_text(weight.name, weight.shape, config)}")
    _check_missing(checkpoint, seen, config)


def _check_missing(checkpoint: Checkpoint, seen: set[str], config: ModelConfig) -> None:
    missing = [name for name in config.shapes() if name not in seen]
    if missing:
        theirs = names.to_theirs(checkpoint.format, missing[0])
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise TensorMismatch(f"{_files(checkpoint)}: tensor {theirs!r} is missing{more}")


def _files(checkpoint: Checkpoint) -> str:
    """The one file that should have held a tensor, or the folder of several."""
    files = {info.file for info in checkpoint.infos()}
    return str(files.pop() if len(files) == 1 else checkpoint.path)


def _shape_text(name: str, shape: tuple[int, ...], config: ModelConfig) -> str:
    expected = config.shapes()[name]
    by_vocabulary = name in ("tok_embeddings.weight", "output.weight")
    if by_vocabulary and len(shape) == 2 and shape[1] == expected[1]:
        return (
            f"has a vocabulary of {shape[0]}, the configuration says {config.vocab_size} "
            f"(shape {list(shape)}, expected {list(expected)})"
        )
    return f"has shape {list(shape)}, the configuration wants {list(expected)}"


def _where(checkpoint: Checkpoint, name: str) -> str:
    for info in checkpoint.infos():
        if info.name == name or names.to_ours(checkpoint.format, info.name) == name:
            return f"{info.file}: tensor {info.name!r}"
    return f"{checkpoint.path}: tensor {name!r}"
