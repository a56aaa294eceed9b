"""The packed layout: what is laid out comes back, byte by byte where the docstring says so."""

from __future__ import annotations

import numpy as np
import pytest

from paddock.errors import CheckpointError
from paddock.inference.checkpoint.packed import GROUP_BYTES, Packed, pack, packed_shape, unpack


def numbers(n: int, k: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng()
    low = -(1 << bits - 1)
    q = rng.integers(low, -low, (n, k)).astype(np.int8)
    return q, rng.normal(size=(n, k // 32)).astype(np.float16)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", [(1, 32), (16, 32), (17, 96), (48, 64), (100, 320)])
def test_what_is_packed_comes_back(bits, shape):
    q, scales = numbers(*shape, bits)
    packed = pack(q, scales, bits)
    assert packed.data.shape == packed_shape(shape, bits)
    again, scales_again = unpack(packed)
    assert np.array_equal(again, q)
    assert np.array_equal(scales_again, scales)
    assert np.array_equal(packed.dequantize(), q * np.repeat(scales.astype(np.float32), 32, axis=1))


def test_bytes_lie_where_the_kernels_look_for_them():
    q, scales = numbers(32, 64, 4)
    data = pack(q, scales, 4).data
    r, group, j, i = 5, 1, 3, 2
    byte = data[1, group, 64 * j + 4 * r + i]
    assert byte & 15 == q[16 + r, 32 * group + 8 * j + i] + 8
    assert byte >> 4 == q[16 + r, 32 * group + 8 * j + 4 + i] + 8
    assert data[1, group, 256:].view(np.float16)[r] == scales[16 + r, group]
    q, scales = numbers(32, 64, 8)
    data = pack(q, scales, 8).data
    j = 6
    assert data[1, group, 64 * j + 4 * r + i].view(np.int8) == q[16 + r, 32 * group + 4 * j + i]
    assert data[1, group, 512:].view(np.float16)[r] == scales[16 + r, group]


@pytest.mark.parametrize(("shape", "bits"), [((16, 33), 4), ((16, 0), 4), ((0, 32), 8)])
def test_what_cannot_be_packed_is_refused(shape, bits):
    with pytest.raises(CheckpointError, match="multiple of 32"):
        packed_shape(shape, bits)


def test_a_wrong_size_is_refused():
    with pytest.raises(CheckpointError, match="not uint8"):
        Packed(4, (16, 64), np.zeros((1, 1, GROUP_BYTES[4]), np.uint8))
    with pytest.raises(CheckpointError, match="3 bits"):
        packed_shape((16, 32), 3)
