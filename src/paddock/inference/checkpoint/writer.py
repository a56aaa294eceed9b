"""What the writers of all formats share: casting, raw bytes at a place, one method per weight."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from paddock.errors import CheckpointError
from paddock.inference.checkpoint.base import Array, as_dtype

_Weight = TypeVar("_Weight", contravariant=True)


class Writer(Protocol[_Weight]):
    """Receives each weight of ``ModelConfig.shapes()`` once, in any order, in our row order.

    Files appear in the folder given to the constructor; nothing but one weight is held in memory.
    ``Writer[Array]`` is what every format has; some take packed weights too.
    """

    def write(self, name: str, weight: _Weight, /) -> None:
        """Writes one weight, already in the stored dtype (fp32 for quantized targets)."""
        ...

    def close(self) -> None:
        """Finishes the files. They are not valid before."""
        ...

    def abort(self) -> None:
        """Closes the files as they are; the caller deletes them."""
        ...


def cast(name: str, array: Array, dtype: str) -> Array:
    """``array`` in ``dtype``. Raises CheckpointError if a number becomes infinite on the way.

    bfloat16 and float32 reach 3e38, float16 65,504.
    """
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        result = as_dtype(array, dtype)
    if dtype == "fp16" and array.dtype != result.dtype:
        lost = np.isinf(result) & np.isfinite(array)
        if lost.any():
            value = float(array[lost][0])
            raise CheckpointError(
                f"tensor {name!r}: {value:g} does not fit in fp16", hint="use bf16 or fp32"
            )
    return result


def raw(array: Array) -> memoryview:
    """The bytes of ``array`` in C order, copied only if they are not so already."""
    import numpy as np

    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def write_at(file: BinaryIO, offset: int, array: Array) -> None:
    """Writes the array's bytes at ``offset`` of the file."""
    file.seek(offset)
    file.write(raw(array))


def create(path: Path, size: int = 0) -> BinaryIO:
    """A new file of ``size`` zero bytes, open for reading and writing."""
    file = path.open("x+b")
    file.truncate(size)
    return file
