"""Rounds matrices to 4 or 8 bits: symmetric, with the scale of each group searched for.

A group of 32 weights shares one scale. The obvious scale lets the largest weight fall on the end of
the range; a slightly other one, found by least squares, leaves a smaller squared error. Sixteen
rows and more are worked on at a time, so that memory stays bounded.

The C++ library does the same many times as fast and is used where it was built. The two differ in
groups where two scales are equally good to within the rounding of fp32, so that neither is nearer
to the weights (a test holds that).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paddock.errors import CheckpointError
from paddock.inference.checkpoint.base import Array
from paddock.inference.checkpoint.packed import BLOCK, GROUP, Packed, pack, packed_shape
from paddock.inference.kernels import library, matrices

STEPS = range(-9, 10)
"""The largest weight is tried on the level ``-2^(bits-1) + step / 10`` for each step.

The candidates of ``make_qx_quants`` in llama.cpp's ggml-quants.c, which is also where the search by
least squares is from.
"""
# Weights worked on at a time: their few temporaries stay in a core's cache.
_CHUNK = 1 << 16


def quantize(array: Array, bits: int, *, search: bool = True, name: str = "a matrix") -> Packed:
    """``array`` (n, k), of any floating type, in 4 or 8 bits; ``name`` is for errors.

    Without ``search`` each group's largest weight falls on the lowest level. With it the group's
    squared error is never larger than without. Raises CheckpointError for a shape that cannot be
    packed and for weights that are not finite or beyond what an fp16 scale reaches.
    """
    n, k = array.shape
    packed_shape((n, k), bits)  # refuses what cannot be packed
    if library.unavailable() is None:
        # The library reads fp32, fp16 and bf16; a wider type is rounded to fp32 first, as in numpy.
        narrow = array if array.dtype.itemsize <= 4 else array.astype(np.float32)
        try:
            return Packed(bits, (n, k), matrices.quantize(narrow, bits, search=search))
        except CheckpointError:
            pass  # below, the error names row, column and value
    return quantize_in_numpy(array, bits, search=search, name=name)


def quantize_in_numpy(
    array: Array, bits: int, *, search: bool = True, name: str = "a matrix"
) -> Packed:
    """``quantize`` without the C++ library, and the measure of it."""
    n, k = array.shape
    data = np.empty(packed_shape((n, k), bits), np.uint8)
    step = max(BLOCK, _CHUNK // k // BLOCK * BLOCK)
    for at in range(0, n, step):
        rows = array[at : at + step].astype(np.float32)
        if not np.isfinite(rows).all():
            row, column = np.argwhere(~np.isfinite(rows))[0]
            raise CheckpointError(
                f"{name}: row {at + row}, column {column} is {rows[row, column]}; "
                "such weights cannot be quantized"
            )
        q, scales = _round(rows.reshape(-1, GROUP), bits, search, name)
        part = pack(q.reshape(rows.shape), scales.reshape(len(rows), -1), bits)
        data[at // BLOCK : at // BLOCK + len(part.data)] = part.data
    return Packed(bits, (n, k), data)


def _round(
    x: npt.NDArray[np.float32], bits: int, search: bool, name: str
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]]:
    """Levels (groups, 32) and scales (groups,) of ``x`` (groups, 32)."""
    low = -(1 << bits - 1)
    largest = x[np.arange(len(x)), np.abs(x).argmax(1)]
    plain = _half(largest / low, name)
    q = _levels(x, plain, low)
    if search:
        found = _half(_searched(x, largest, low), name)
        other = _levels(x, found, low)
        better = _error(x, other, found) < _error(x, q, plain)
        q[better], plain[better] = other[better], found[better]
    return q.astype(np.int8), plain


def _searched(
    x: npt.NDArray[np.float32], largest: npt.NDArray[np.float32], low: int
) -> npt.NDArray[np.float32]:
    """The scale with the least squared error among those that the candidates lead to.

    For fixed levels q the best scale is x·q / q·q; it takes (x·q)² / q·q off the error.
    """
    best = np.zeros(len(x), np.float32)
    gain = np.full(len(x), -1.0, np.float32)
    inverse = _inverse(largest)
    q = np.empty_like(x)
    for step in STEPS:
        np.multiply(x, (inverse * (low + step / 10)).astype(np.float32)[:, None], out=q)
        np.rint(q, out=q)
        np.clip(q, low, -low - 1, out=q)
        xq, qq = np.einsum("ij,ij->i", x, q), np.einsum("ij,ij->i", q, q)
        scale = xq * _inverse(qq)
        better = xq * scale > gain
        best[better], gain[better] = scale[better], (xq * scale)[better]
    return best


def _levels(
    x: npt.NDArray[np.float32], scales: npt.NDArray[np.float16], low: int
) -> npt.NDArray[np.float32]:
    q = np.rint(x * _inverse(scales.astype(np.float32))[:, None])
    clipped: npt.NDArray[np.float32] = np.clip(q, low, -low - 1, out=q)
    return clipped


def _error(
    x: npt.NDArray[np.float32], q: npt.NDArray[np.float32], scales: npt.NDArray[np.float16]
) -> npt.NDArray[np.float32]:
    rest: npt.NDArray[np.float32] = x - q * scales.astype(np.float32)[:, None]
    error: npt.NDArray[np.float32] = np.einsum("ij,ij->i", rest, rest)
    return error


def _inverse(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """1 / values, and 0 for a group of zeros or of what lies far below the smallest scale."""
    return np.divide(1, values, out=np.zeros_like(values), where=np.abs(values) > 1e-30)


def _half(scales: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float16]:
    with np.errstate(over="ignore"):
        half = scales.astype(np.float16)
    if not np.isfinite(half).all():
        raise CheckpointError(
            f"{name}: weights as large as {np.abs(scales).max():g} times the range need a scale "
            "beyond fp16; they cannot be quantized"
        )
    return half
