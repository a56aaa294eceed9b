"""Products and rounding in C++ against float64 and numpy, on fresh random numbers in each run."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import gguf
import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from paddock.errors import CheckpointError, DeviceError, PaddockError, UsageError
from paddock.inference.checkpoint import quantize as twin
from paddock.inference.checkpoint.packed import Packed, pack, unpack
from paddock.inference.kernels import library, matrices

pytestmark = pytest.mark.skipif(
    library.unavailable() is not None, reason=f"no C++ library: {library.unavailable()}"
)
SETS = [] if library.unavailable() else library.available_sets()[1:]  # without "best"
FORMATS = ("fp32", "bf16", "fp16", "int8", "int4")
GGUF = {4: gguf.GGMLQuantizationType.Q4_0, 8: gguf.GGMLQuantizationType.Q8_0}


@pytest.fixture
def rng(record_property: pytest.RecordProperty) -> Iterator[np.random.Generator]:
    """Another seed each run; a failing test's report shows it."""
    seed = secrets.randbits(64)
    record_property("seed", seed)
    print("seed", seed)
    yield np.random.default_rng(seed)


def _weights(
    rng: np.random.Generator, kind: str, n: int, k: int
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.float64]]:
    """A matrix as the library takes it, and what it means."""
    if kind in ("int4", "int8"):
        bits = int(kind[3])
        low = -(1 << bits - 1)
        q = rng.integers(low, -low, (n, k), np.int8)
        q[rng.random((n, k)) < 0.1] = low
        scales = rng.normal(size=(n, k // 32)).astype(np.float16)
        scales[rng.random(scales.shape) < 0.05] = 3e-7  # subnormal
        packed = pack(q, scales, bits)
        return packed.data, packed.dequantize().astype(np.float64)
    dtype = {"fp32": np.float32, "fp16": np.float16, "bf16": ml_dtypes.bfloat16}[kind]
    weights = rng.normal(size=(n, k)).astype(dtype)
    return weights, weights.astype(np.float64)


def _allowed(
    meaning: npt.NDArray[np.float64], x: npt.NDArray[np.float32], packed: bool
) -> npt.NDArray[np.float64]:
    """What may be lost: half a step of the activations' 8 bits, and fp32's own roundings.

    Where scales are sums of two powers of two a step is up to a fifth larger than need be.
    """
    size = np.abs(x.astype(np.float64))
    rounding: npt.NDArray[np.float64] = 2e-6 * (size @ np.abs(meaning).T) + 1e-30
    if packed:
        steps = 1.2 * size.reshape(len(x), -1, 32).max(2) / 127
        rounding += np.repeat(steps / 2, 32, 1) @ np.abs(meaning).T
    return rounding


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("kind", FORMATS)
def test_products_of_any_shape(kind: str, instructions: str, rng: np.random.Generator) -> None:
    packed = kind.startswith("int")
    for _ in range(25):
        n = int(rng.integers(1, 258))
        k = 32 * int(rng.integers(1, 9)) if packed else int(rng.integers(1, 258))
        rows = int(rng.integers(1, 41))
        weights, meaning = _weights(rng, kind, n, k)
        x = (rng.normal(size=(rows, k)) * 10.0 ** rng.integers(-6, 7)).astype(np.float32)
        y = matrices.product(weights, x, shape=(n, k), instructions=instructions)
        error = np.abs(y - x.astype(np.float64) @ meaning.T)
        assert (error <= _allowed(meaning, x, packed)).all(), (n, k, rows)


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_row_is_the_same_alone(kind: str, instructions: str, rng: np.random.Generator) -> None:
    weights, _ = _weights(rng, kind, 131, 224)
    x = rng.normal(size=(37, 224)).astype(np.float32)
    together = matrices.product(weights, x, shape=(131, 224), instructions=instructions, threads=3)
    for row in range(len(x)):
        alone = matrices.product(
            weights, x[row : row + 1], shape=(131, 224), instructions=instructions, threads=1
        )
        assert alone.tobytes() == together[row].tobytes()


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so(
    kind: str, instructions: str, bad: float, rng: np.random.Generator
) -> None:
    weights, _ = _weights(rng, kind, 40, 96)
    x = rng.normal(size=(11, 96)).astype(np.float32)
    good = matrices.product(weights, x, shape=(40, 96), instructions=instructions)
    x[4, 50] = bad
    y = matrices.product(weights, x, shape=(40, 96), instructions=instructions)
    assert not np.isfinite(y[4]).any()
    assert (np.delete(y, 4, 0) == np.delete(good, 4, 0)).all()


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("bits", [4, 8])
def test_the_extremes_do_not_saturate(bits: int, instructions: str) -> None:
    low = -(1 << bits - 1)
    ends = np.array([low, -low - 1], np.int8)
    q = np.stack([np.full(64, low), np.full(64, -low - 1), np.tile(ends, 32)]).astype(np.int8)
    packed = pack(q, np.ones((3, 2), np.float16), bits)
    x = np.stack([np.full(64, 127), np.full(64, -127), np.tile([127, -127], 32)])
    y = matrices.product(
        packed.data, x.astype(np.float32), shape=(3, 64), instructions=instructions
    )
    assert (y == x @ q.astype(np.int64).T).all()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_row_of_weights(kind: str, rng: np.random.Generator) -> None:
    weights, meaning = _weights(rng, kind, 35, 64)
    for index in (0, 17, 34):
        assert (matrices.row(weights, index, shape=(35, 64)) == meaning[index]).all()


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("search", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_rounding_is_that_of_the_numpy_twin(
    dtype: npt.DTypeLike, bits: int, search: bool, instructions: str, rng: np.random.Generator
) -> None:
    # Some 6,000 groups: which of two nearly equal scales one group gets must not decide the test.
    weights = (rng.standard_t(5, size=(293, 640)) * 0.02).astype(dtype)
    weights[3, 32:64] = 0
    weights[5, :32] = 1e-9
    ours = Packed(
        bits,
        weights.shape,
        matrices.quantize(weights, bits, search=search, instructions=instructions),
    )
    theirs = twin.quantize(weights, bits, search=search)
    wide = weights.astype(np.float64)
    error, wanted = (((p.dequantize() - wide) ** 2).sum() for p in (ours, theirs))
    assert error <= wanted * 1.0001
    q, scales = unpack(ours)
    want_q, want_scales = unpack(theirs)
    # Sums in another order may choose another of two scales that are equally good; with 8 bits many
    # nearly are.
    share = 0.8 if bits == 8 and search else 0.97
    assert (scales == want_scales).mean() > share
    assert (q == want_q).mean() > share


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("bits", [4, 8])
def test_the_search_never_hurts_a_group(
    bits: int, instructions: str, rng: np.random.Generator
) -> None:
    weights = rng.normal(size=(64, 256)).astype(np.float32)

    def errors(search: bool) -> npt.NDArray[np.float64]:
        data = matrices.quantize(weights, bits, search=search, instructions=instructions)
        rest = Packed(bits, (64, 256), data).dequantize().astype(np.float64) - weights
        squared: npt.NDArray[np.float64] = (rest.reshape(64, -1, 32) ** 2).sum(2)
        return squared

    plain, searched = errors(search=False), errors(search=True)
    assert (searched <= plain * (1 + 1e-5)).all()
    assert searched.sum() < 0.95 * plain.sum()


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "not finite"), (np.inf, "not finite"), (3e6, "beyond fp16")]
)
def test_weights_that_cannot_be_rounded(value: float, words: str, instructions: str) -> None:
    weights = np.ones((40, 64), np.float32)
    weights[20, 7] = value
    with pytest.raises(CheckpointError, match=f"rows 16 to 31.*{words}"):
        matrices.quantize(weights, 4, instructions=instructions)


@pytest.mark.parametrize("bits", [4, 8])
def test_gguf_blocks_keep_their_meaning(bits: int, rng: np.random.Generator) -> None:
    weights = rng.normal(size=(45, 320)).astype(np.float32)
    blocks = gguf.quants.quantize(weights, GGUF[bits])
    packed = Packed(bits, (45, 320), matrices.repack(blocks.reshape(-1), bits, (45, 320)))
    assert (packed.dequantize() == gguf.quants.dequantize(blocks, GGUF[bits])).all()
    again = pack(*unpack(packed), bits)
    assert (again.data == packed.data).all()


def test_int4_errs_less_than_llama_cpp(rng: np.random.Generator) -> None:
    """Against a numpy model of llama.cpp's product of Q4_0 weights and Q8_0 activations.

    The weights are rounded by the gguf package, which gives llama.cpp's bytes; activations have an
    fp16 scale of amax / 127 per 32; sums within a group are exact in both.
    """
    theirs, ours = 0.0, dict.fromkeys(SETS, 0.0)
    # A few columns of outliers decide: one draw's ratio scatters by 0.013 around 0.953.
    for _ in range(4):
        weights = (rng.standard_t(6, size=(512, 2048)) * 0.02).astype(np.float32)
        x = rng.normal(size=(8, 2048)).astype(np.float32)
        x[:, rng.integers(0, 2048, 8)] *= 20
        want = x.astype(np.float64) @ weights.astype(np.float64).T
        q4 = gguf.quants.dequantize(gguf.quants.quantize(weights, GGUF[4]), GGUF[4])
        q8 = gguf.quants.dequantize(gguf.quants.quantize(x, GGUF[8]), GGUF[8])
        theirs += np.square(q8.astype(np.float64) @ q4.astype(np.float64).T - want).sum()
        data = matrices.quantize(weights, 4)
        for one in SETS:
            made = matrices.product(data, x, shape=weights.shape, instructions=one)
            ours[one] += np.square(made - want).sum()
    for one, error in ours.items():
        assert error**0.5 < 0.98 * theirs**0.5, one


def _refusals() -> list[tuple[str, type[PaddockError], str]]:
    return [
        ("truncated", CheckpointError, "truncated or another matrix's"),
        ("bytes", CheckpointError, "truncated or another matrix's"),
        ("inputs", CheckpointError, "multiple of 32"),
        ("width", UsageError, "must be"),
        ("unknown", UsageError, "did you mean 'avx2'"),
        ("absent", DeviceError, "this CPU has no"),
        ("bits", CheckpointError, "3 bits"),
        ("uneven", CheckpointError, "33 inputs"),
        ("blocks", CheckpointError, "bytes"),
    ]


@pytest.mark.parametrize(("case", "kind", "words"), _refusals())
def test_refusals(case: str, kind: type[PaddockError], words: str) -> None:
    weights = np.ones((32, 64), np.float32)
    data = matrices.quantize(weights, 4)
    x = np.ones((2, 64), np.float32)
    absent = next(name for name in library.SETS if name not in ("best", *SETS))
    with pytest.raises(kind) as caught:
        {
            "truncated": lambda: matrices.product(data[:1], x, shape=(32, 64)),
            "bytes": lambda: matrices.product(data.reshape(-1)[:-1], x, shape=(32, 64)),
            "inputs": lambda: matrices.product(data, x[:, :33], shape=(32, 33)),
            "width": lambda: matrices.product(data, x[:, :32], shape=(32, 64)),
            "unknown": lambda: matrices.product(data, x, shape=(32, 64), instructions="avx3"),
            "absent": lambda: matrices.product(data, x, shape=(32, 64), instructions=absent),
            "bits": lambda: matrices.quantize(weights, 3),
            "uneven": lambda: matrices.quantize(np.ones((4, 33), np.float32), 4),
            "blocks": lambda: matrices.repack(np.zeros(17, np.uint8), 4, (1, 32)),
        }[case]()
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_without_a_library_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "find", lambda: "it was not built")
    with pytest.raises(DeviceError, match="it was not built"):
        matrices.quantize(np.ones((16, 32), np.float32), 4)
