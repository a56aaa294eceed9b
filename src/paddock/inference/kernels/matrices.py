"""Products, rounding and repacking of matrices on numpy arrays, through the C++ library."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from paddock.errors import CheckpointError, UsageError
from paddock.inference.kernels import library
from paddock.inference.kernels.library import FORMATS, Matrix

BLOCK, GROUP = 16, 32
"""Outputs of a block and inputs of a group: those of checkpoint/packed.py."""

_BITS = {"int4": 4, "int8": 8}
_DTYPES = {
    np.dtype(np.float32): "fp32",
    np.dtype(ml_dtypes.bfloat16): "bf16",
    np.dtype(np.float16): "fp16",
}
_SHORT = "memory is short"


def product(
    weights: npt.NDArray[Any],
    x: npt.NDArray[np.float32],
    *,
    shape: tuple[int, int] | None = None,
    instructions: str = "best",
    threads: int | None = None,
) -> npt.NDArray[np.float32]:
    """``x`` (rows, k) fp32 times the transpose of a matrix (n, k): (rows, n) fp32.

    ``weights`` is fp32, bf16 or fp16 of shape (n, k), or uint8 as ``Packed.data``, and then
    ``shape`` is (n, k). Raises CheckpointError for packed data of another size than that of its
    shape, UsageError or DeviceError for ``instructions`` that do not exist or that this CPU lacks.
    """
    matrix, kept = _matrix(weights, shape)
    x = np.ascontiguousarray(x, np.float32)
    if x.ndim != 2 or x.shape[1] != matrix.k:
        raise UsageError(f"x is {x.shape}; it must be (rows, {matrix.k})")
    y = np.empty((len(x), matrix.n), np.float32)
    if not len(x):
        return y
    code = library.library().paddock_product(
        library.instruction_set(instructions),
        threads or library.threads(),
        matrix,
        x.ctypes.data,
        len(x),
        y.ctypes.data,
    )
    _check(code)
    del kept
    return y


def row(
    weights: npt.NDArray[Any], index: int, *, shape: tuple[int, int] | None = None
) -> npt.NDArray[np.float32]:
    """The ``k`` weights of output ``index`` in fp32; ``weights``, ``shape`` as in ``product``."""
    matrix, kept = _matrix(weights, shape)
    if not 0 <= index < matrix.n:
        raise UsageError(f"row {index} of a matrix of {matrix.n} rows")
    out = np.empty(matrix.k, np.float32)
    _check(library.library().paddock_row(matrix, index, out.ctypes.data))
    del kept
    return out


def quantize(
    weights: npt.NDArray[Any],
    bits: int,
    *,
    search: bool = True,
    instructions: str = "best",
    threads: int | None = None,
) -> npt.NDArray[np.uint8]:
    """``weights`` (n, k), fp32, bf16 or fp16, as ``Packed.data`` of 4 or 8 bits.

    Without ``search`` each group's largest weight falls on the lowest level. Raises
    CheckpointError for shapes that cannot be packed and for weights that are not finite or need a
    scale beyond fp16.
    """
    matrix, kept = _matrix(weights, None)
    data = np.empty(_packed_shape(matrix.n, matrix.k, bits), np.uint8)
    where = np.zeros(1, np.int32)
    code = library.library().paddock_quantize(
        library.instruction_set(instructions),
        threads or library.threads(),
        matrix,
        bits,
        search,
        data.ctypes.data,
        where.ctypes.data,
    )
    if code in (4, 5):
        first = BLOCK * int(where[0])
        what = "not finite" if code == 4 else "so large that its scale is beyond fp16"
        raise CheckpointError(
            f"a weight in rows {first} to {min(first + BLOCK, matrix.n) - 1} is {what};"
            " such weights cannot be quantized"
        )
    _check(code)
    del kept
    return data


def repack(
    blocks: npt.NDArray[np.uint8], bits: int, shape: tuple[int, int], *, threads: int | None = None
) -> npt.NDArray[np.uint8]:
    """GGUF's Q4_0 (``bits`` 4) or Q8_0 (8) as ``Packed.data``: the same codes, the same scales.

    ``blocks`` is the tensor's bytes, ``shape`` its (n, k). Raises CheckpointError for bytes of
    another size.
    """
    n, k = shape
    data = np.empty(_packed_shape(n, k, bits), np.uint8)
    blocks = np.ascontiguousarray(blocks)
    wanted = n * (k // GROUP) * (2 + 4 * bits)
    if blocks.dtype != np.uint8 or blocks.size != wanted:
        raise CheckpointError(
            f"blocks of {bits} bits and shape {shape} are {wanted} bytes,"
            f" not {blocks.size} of {blocks.dtype}"
        )
    code = library.library().paddock_repack(
        threads or library.threads(), blocks.ctypes.data, bits, n, k, data.ctypes.data
    )
    _check(code)
    return data


def bad_scale(
    data: npt.NDArray[np.uint8], shape: tuple[int, int], *, threads: int | None = None
) -> int | None:
    """The first group of ``Packed.data`` with a scale that is not finite, counted by blocks."""
    matrix, kept = _matrix(data, shape)
    found = int(library.library().paddock_bad_scale(threads or library.threads(), matrix))
    if found < -1:
        raise MemoryError(_SHORT)
    del kept
    return found if found >= 0 else None


def _matrix(
    weights: npt.NDArray[Any], shape: tuple[int, int] | None
) -> tuple[Matrix, npt.NDArray[Any]]:
    """The descriptor, and the array that must live as long as it is used."""
    weights = np.ascontiguousarray(weights)
    if weights.dtype != np.uint8:
        if weights.dtype not in _DTYPES or weights.ndim != 2 or not weights.size:
            raise UsageError(f"a matrix of {weights.dtype} {weights.shape}")
        n, k = weights.shape
        return Matrix(weights.ctypes.data, FORMATS[_DTYPES[weights.dtype]], n, k), weights
    if shape is None:
        raise UsageError("packed weights need their shape (n, k)")
    n, k = shape
    for name, bits in _BITS.items():
        if weights.shape == _packed_shape(n, k, bits):
            return Matrix(weights.ctypes.data, FORMATS[name], n, k), weights
    raise CheckpointError(
        f"packed weights of shape {shape} are {_packed_shape(n, k, 4)} with 4 bits and"
        f" {_packed_shape(n, k, 8)} with 8, not {weights.shape}: the data are truncated or another"
        " matrix's"
    )


def _packed_shape(n: int, k: int, bits: int) -> tuple[int, int, int]:
    if bits not in (4, 8) or n < 1 or k < 1 or k % GROUP:
        raise CheckpointError(
            f"a matrix of {n} outputs and {k} inputs cannot be packed in {bits} bits",
            hint=f"bits are 4 or 8, inputs a multiple of {GROUP}",
        )
    return -(-n // BLOCK), k // GROUP, BLOCK * GROUP * bits // 8 + 2 * BLOCK


def _check(code: int) -> None:
    if code == 3:
        raise MemoryError(_SHORT)
    if code:
        raise AssertionError(f"the library refused what was checked here ({code})")
