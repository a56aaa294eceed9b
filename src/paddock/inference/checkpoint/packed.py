"""Weights in 4 or 8 bits as the native kernels read them: the layout, and its meaning in numpy.

A matrix of ``n`` outputs and ``k`` inputs is cut into blocks of 16 outputs, a block into groups of
32 inputs; each output's share of a group has one fp16 scale. A group of a block is stored as

* 4 bits: 4 vectors of 64 bytes. Byte ``4 r + i`` of vector ``j`` belongs to output ``r`` of the
  block; its low half is input ``8 j + i`` of the group, its high half input ``8 j + 4 + i``, each
  as ``q + 8`` for ``q`` in -8..7;
* 8 bits: 8 vectors of 64 bytes. Byte ``4 r + i`` of vector ``j`` is input ``4 j + i`` as ``q`` in
  -128..127 (two's complement);

and behind it the 16 scales. The weight is ``q * scale``. So one 512-bit load holds four inputs of
16 outputs, the operand of ``vpdpbusd``, and a block is read from first byte to last. If ``n`` is no
multiple of 16, the last block is filled up with zeros (scale 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paddock.errors import CheckpointError

BLOCK = 16
"""Outputs that lie side by side."""

GROUP = 32
"""Inputs that share a scale."""

# Weights dequantized at a time: the temporaries stay in a core's cache.
_CHUNK = 1 << 17

GROUP_BYTES = {4: BLOCK * GROUP // 2 + 2 * BLOCK, 8: BLOCK * GROUP + 2 * BLOCK}
"""Bytes of one group of one block, scales included: 4.5 and 8.5 bits a weight."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """One matrix. ``data`` is uint8 of shape (ceil(n / 16), k / 32, GROUP_BYTES[bits])."""

    bits: int
    shape: tuple[int, int]
    data: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        wanted = packed_shape(self.shape, self.bits)
        if self.data.dtype != np.uint8 or self.data.shape != wanted:
            raise CheckpointError(
                f"packed weights of shape {self.shape} and {self.bits} bits are uint8 {wanted},"
                f" not {self.data.dtype} {self.data.shape}"
            )

    def dequantize(self) -> npt.NDArray[np.float32]:
        """The matrix (n, k) that is meant, in fp32; little memory beside it."""
        n, k = self.shape
        out = np.empty((n, k), np.float32)
        step = max(1, _CHUNK // (k * BLOCK))
        for at in range(0, len(self.data), step):
            rows = out[at * BLOCK : (at + step) * BLOCK]
            part = Packed(self.bits, (len(rows), k), self.data[at : at + step])
            rows[:] = dequantize(*unpack(part))
        return out


def packed_shape(shape: tuple[int, int], bits: int) -> tuple[int, int, int]:
    """The shape of ``Packed.data``. Raises CheckpointError if it cannot be packed."""
    n, k = shape
    if bits not in GROUP_BYTES:
        raise CheckpointError(f"{bits} bits cannot be packed", hint="use 4 or 8")
    if k % GROUP or not k or not n:
        raise CheckpointError(
            f"a matrix of {n} outputs and {k} inputs cannot be packed: its inputs are no multiple"
            f" of {GROUP}",
            hint="leave this matrix unquantized",
        )
    return -(-n // BLOCK), k // GROUP, GROUP_BYTES[bits]


def pack(q: npt.NDArray[np.int8], scales: npt.NDArray[np.float16], bits: int) -> Packed:
    """Lays out ``q`` (n, k) and ``scales`` (n, k / 32)."""
    n, k = q.shape
    blocks, groups, size = packed_shape((n, k), bits)
    data = np.zeros((blocks, groups, size), np.uint8)
    full = np.zeros((blocks * BLOCK, k), np.int8)
    full[:n] = q
    steps = full.reshape(blocks, BLOCK, groups, GROUP // 4, 4).transpose(0, 2, 3, 1, 4)
    if bits == 4:
        nibbles = (steps + 8).astype(np.uint8)
        codes = nibbles[:, :, 0::2] | nibbles[:, :, 1::2] << 4
    else:
        codes = steps.view(np.uint8)
    data[:, :, : -2 * BLOCK] = codes.reshape(blocks, groups, -1)
    wide = np.zeros((blocks * BLOCK, groups), np.float16)
    wide[:n] = scales
    data[:, :, -2 * BLOCK :] = np.ascontiguousarray(
        wide.reshape(blocks, BLOCK, groups).transpose(0, 2, 1)
    ).view(np.uint8)
    return Packed(bits, (n, k), data)


def unpack(packed: Packed) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]]:
    """``q`` (n, k) and ``scales`` (n, k / 32) back."""
    n, k = packed.shape
    blocks, groups, _ = packed.data.shape
    codes = packed.data[:, :, : -2 * BLOCK]
    if packed.bits == 4:
        halves = codes.reshape(blocks, groups, GROUP // 8, 1, BLOCK, 4)
        steps = np.concatenate((halves & 15, halves >> 4), 3).astype(np.int8) - 8
    else:
        steps = codes.view(np.int8)
    q = steps.reshape(blocks, groups, GROUP // 4, BLOCK, 4).transpose(0, 3, 1, 2, 4)
    scales = np.ascontiguousarray(packed.data[:, :, -2 * BLOCK :]).view(np.float16)
    return (
        q.reshape(blocks * BLOCK, k)[:n],
        scales.transpose(0, 2, 1).reshape(blocks * BLOCK, groups)[:n],
    )


def dequantize(q: npt.NDArray[np.int8], scales: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    """``q`` (n, k) times ``scales`` (n, k / 32), in fp32."""
    n, k = q.shape
    wide = q.reshape(n, -1, GROUP).astype(np.float32) * scales.astype(np.float32)[:, :, None]
    return wide.reshape(n, k)
