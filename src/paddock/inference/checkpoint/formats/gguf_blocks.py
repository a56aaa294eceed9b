"""GGUF's Q4_0 and Q8_0 blocks and our packed layout: the same numbers in another order of bytes.

Both have one fp16 scale for 32 weights of a row and mean ``q * scale``. A Q8_0 block is the scale
and 32 bytes; a Q4_0 block is the scale and 16 bytes, the low halves inputs 0 to 15, the high halves
inputs 16 to 31, each as ``q + 8``. Source: block_q4_0 and block_q8_0 in llama.cpp's ggml-common.h
and their dequantization in ggml-quants.c. Four bytes that lie together in one layout do so in the
other, so words are moved, not bytes.
"""

from __future__ import annotations

import numpy as np

from paddock.inference.checkpoint.base import Array
from paddock.inference.checkpoint.packed import BLOCK, GROUP, Packed, packed_shape
from paddock.inference.kernels import library, matrices

DTYPES = {4: "q4_0", 8: "q8_0"}
"""Bits and the type of block that holds them."""

BITS = {dtype: bits for bits, dtype in DTYPES.items()}
_LOW, _HIGH = np.uint32(0x0F0F0F0F), np.uint32(0xF0F0F0F0)
_FOUR = np.uint32(4)


def to_packed(rows: Array, dtype: str) -> Packed:
    """``rows`` (n, k / 32 * block's bytes), uint8, packed; no number changes."""
    bits = BITS[dtype]
    n, k = len(rows), rows.shape[1] // (2 + GROUP * bits // 8) * GROUP
    if library.unavailable() is None:
        return Packed(bits, (n, k), matrices.repack(rows, bits, (n, k)))
    return to_packed_in_numpy(rows, dtype)


def to_packed_in_numpy(rows: Array, dtype: str) -> Packed:
    """``to_packed`` without the C++ library: the same bytes."""
    bits = BITS[dtype]
    size = 2 + GROUP * bits // 8
    n, k = len(rows), rows.shape[1] // size * GROUP
    data = np.empty(packed_shape((n, k), bits), np.uint8)
    blocks, groups, _ = data.shape
    full = rows.reshape(n, groups, size)
    if n % BLOCK:
        zeros = np.full((blocks * BLOCK, groups, size), 0x88 if bits == 4 else 0, np.uint8)
        zeros[:, :, :2] = 0
        zeros[:n] = full
        full = zeros
    # (block, row, group, bytes) -> (block, group, row, bytes)
    full = full.reshape(blocks, BLOCK, groups, size).swapaxes(1, 2)
    data[:, :, -2 * BLOCK :] = full[..., :2].reshape(blocks, groups, 2 * BLOCK)
    words = np.ascontiguousarray(full[..., 2:]).view(np.uint32).swapaxes(2, 3)
    if bits == 4:
        # Word w of a block: inputs 4 w + i low, 16 + 4 w + i high. Vector j: 8 j + i, 8 j + 4 + i.
        even, odd = words[:, :, 0::2], words[:, :, 1::2]
        low = even & _LOW | (odd & _LOW) << _FOUR
        high = even >> _FOUR & _LOW | odd & _HIGH
        words = np.concatenate((low, high), 2)
    data[:, :, : -2 * BLOCK] = (
        np.ascontiguousarray(words).reshape(blocks, groups, -1).view(np.uint8)
    )
    return Packed(bits, (n, k), data)


def from_packed(packed: Packed) -> Array:
    """The rows of blocks, uint8 (n, k / 32 * block's bytes), that ``to_packed`` takes."""
    n = packed.shape[0]
    blocks, groups, _ = packed.data.shape
    size = 2 + GROUP * packed.bits // 8
    rows = np.empty((blocks, BLOCK, groups, size), np.uint8)
    turned = rows.swapaxes(1, 2)
    turned[..., :2] = packed.data[:, :, -2 * BLOCK :].reshape(blocks, groups, BLOCK, 2)
    codes = np.ascontiguousarray(packed.data[:, :, : -2 * BLOCK])
    words = codes.view(np.uint32).reshape(blocks, groups, -1, BLOCK)
    if packed.bits == 4:
        low, high = words[:, :, :2], words[:, :, 2:]
        both = np.empty_like(words)
        both[:, :, 0::2] = low & _LOW | (high & _LOW) << _FOUR
        both[:, :, 1::2] = low >> _FOUR & _LOW | high & _HIGH
        words = both
    turned[..., 2:] = np.ascontiguousarray(words.swapaxes(2, 3)).view(np.uint8)
    return rows.reshape(blocks * BLOCK, groups * size)[:n]
