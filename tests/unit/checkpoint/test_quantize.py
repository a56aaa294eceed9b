"""Rounding to 4 and 8 bits: how far from the weights, against a reference in float64."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from paddock.errors import CheckpointError
from paddock.inference.checkpoint.packed import GROUP, Packed, unpack
from paddock.inference.checkpoint.quantize import quantize, quantize_in_numpy
from paddock.inference.kernels import library


def weights(n: int = 48, k: int = 160, scale: float = 0.02) -> np.ndarray:
    return np.random.default_rng().normal(0, scale, (n, k)).astype(np.float32)


def errors(packed: Packed, w: np.ndarray) -> np.ndarray:
    """Squared error of each group, in float64."""
    rest = packed.dequantize().astype(np.float64) - w.astype(np.float64)
    return (rest.reshape(len(w), -1, GROUP) ** 2).sum(-1)


def best(w: np.ndarray, bits: int) -> np.ndarray:
    """The least squared error of each group over a fine grid of fp16 scales, by brute force."""
    low = -(1 << bits - 1)
    x = w.astype(np.float64).reshape(len(w), -1, GROUP)
    largest = np.take_along_axis(x, np.abs(x).argmax(-1)[..., None], -1)
    found = np.full(x.shape[:2], np.inf)
    for part in np.linspace(0.6, 1.2, 600):
        scale = (largest / low * part).astype(np.float16).astype(np.float64)
        q = np.clip(np.rint(x / scale), low, -low - 1)
        found = np.minimum(found, ((q * scale - x) ** 2).sum(-1))
    return found


@pytest.mark.parametrize("bits", [4, 8])
def test_every_weight_is_within_half_a_step(bits: int) -> None:
    w = weights()
    packed = quantize(w, bits, search=False)
    _, scales = unpack(packed)
    step = np.repeat(np.abs(scales.astype(np.float64)), GROUP, 1)
    low = 1 << bits - 1
    # The scale in fp16 is off by up to 2^-11; what falls on the missing level +low is clipped by
    # one step.
    near = np.abs(packed.dequantize() - w.astype(np.float64))
    clipped = np.abs(w) > (low - 1.5) * step
    assert (near[~clipped] <= step[~clipped] * 0.5001).all()
    assert (near <= step * (1.0001 + low * 2.0**-11)).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_searching_never_costs_and_comes_near_the_best(bits: int) -> None:
    w = weights(64, 512)
    plain, searched = (errors(quantize(w, bits, search=s), w) for s in (False, True))
    assert (searched <= plain * (1 + 1e-4)).all()
    assert searched.sum() < 0.93 * plain.sum()  # 0.89 of the squared error in 4 bits, 0.87 in 8
    # In 8 bits a step of fp16 is about a tenth of a level at the end of the range; the search is
    # not for that.
    assert searched.sum() <= {4: 1.005, 8: 1.25}[bits] * best(w, bits).sum()


def test_no_worse_than_the_gguf_library() -> None:
    import gguf

    w = weights(64, 512)
    for bits, kind in ((4, "Q4_0"), (8, "Q8_0")):
        kind = gguf.GGMLQuantizationType[kind]
        theirs = gguf.dequantize(gguf.quantize(w, kind), kind)
        assert errors(quantize(w, bits), w).sum() < ((theirs.astype(np.float64) - w) ** 2).sum()


@pytest.mark.parametrize("bits", [4, 8])
def test_what_is_on_the_levels_comes_back(bits: int) -> None:
    rng = np.random.default_rng()
    low = -(1 << bits - 1)
    q = rng.integers(low, -low, (32, 4, GROUP))
    q[..., 0] = low
    scales = rng.uniform(0.001, 0.1, (32, 4, 1)).astype(np.float16).astype(np.float32)
    w = (q * scales).astype(np.float32).reshape(32, -1)
    for search in (False, True):
        assert np.array_equal(quantize(w, bits, search=search).dequantize(), w)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_any_floating_type(dtype: type) -> None:
    w = weights().astype(dtype)
    again = quantize(w.astype(np.float32), 4)
    assert np.array_equal(quantize(w, 4).data, again.data)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 100])
def test_rows_do_not_depend_on_each_other(n: int) -> None:
    w = weights(n, 8192)  # more than one chunk
    whole = quantize(w, 4).dequantize()
    assert np.array_equal(whole[n // 2 :], quantize(w[n // 2 :], 4).dequantize())


@pytest.mark.skipif(library.unavailable() is not None, reason=f"{library.unavailable()}")
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("search", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_the_library_agrees_with_numpy(bits: int, search: bool, dtype: type) -> None:
    """Where they differ, both scales are as good: one rounding of fp32 decides."""
    w = weights(128, 1024).astype(dtype)
    fast, slow = quantize(w, bits, search=search), quantize_in_numpy(w, bits, search=search)
    ours, theirs = errors(fast, w), errors(slow, w)
    differ = (fast.dequantize() != slow.dequantize()).reshape(128, -1, GROUP).any(-1)
    # fp32 weights; bf16 ones have equally large weights of both signs, a tie.
    assert differ.mean() <= (0.15 if (search and bits == 8) or dtype != np.float32 else 0.01)
    assert np.allclose(ours[~differ], theirs[~differ], rtol=1e-12)
    assert np.isclose(ours.sum(), theirs.sum(), rtol=1e-3)


def test_groups_with_little_in_them() -> None:
    w = weights(16, 128)
    w[0] = 0
    w[1] = 1e-30  # below any scale
    w[2] = 1e-7  # between the smallest fp16 scales
    w[3, :] = 0
    w[3, 5] = -1
    for bits in (4, 8):
        got = quantize(w, bits).dequantize()
        assert (got[:2] == 0).all()
        assert np.abs(got[2] - 1e-7).max() <= 1e-7
        assert np.array_equal(got[3, :32], w[3, :32])


def test_what_cannot_be_quantized_is_named() -> None:
    w = weights()
    w[33, 70] = np.nan
    with pytest.raises(CheckpointError, match=r"wo: row 33, column 70 is nan"):
        quantize(w, 4, name="wo")
    w[33, 70] = 1e6
    with pytest.raises(CheckpointError, match=r"wo: .*beyond fp16"):
        quantize(w, 4, name="wo")
    with pytest.raises(CheckpointError, match="no multiple of 32"):
        quantize(w[:, :33], 4)
    with pytest.raises(CheckpointError, match="3 bits"):
        quantize(w, 3)
