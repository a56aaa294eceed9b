"""GGUF's Q4_0 and Q8_0 in the packed layout: no bit is lost, says the gguf package."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from tiny_checkpoints import CONFIG, hf_folder

from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.formats.gguf_blocks import (
    DTYPES,
    from_packed,
    to_packed,
    to_packed_in_numpy,
)
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.packed import Packed, pack
from paddock.inference.checkpoint.quantize_files import quantize_files
from paddock.inference.checkpoint.verify import checked, checked_stored


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", [(1, 32), (16, 32), (17, 96), (40, 352)])
def test_any_bytes_mean_the_same(bits: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng()
    kind = gguf.GGMLQuantizationType[DTYPES[bits].upper()]
    _, size = gguf.GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (shape[0], shape[1] // 32 * size)).astype(np.uint8)
    scales = rng.normal(size=(shape[0], shape[1] // 32)).astype(np.float16)
    raw.reshape(shape[0], -1, size)[:, :, :2] = scales[..., None].view(np.uint8)
    packed = to_packed(raw, DTYPES[bits])
    assert packed.shape == shape
    assert np.array_equal(packed.data, to_packed_in_numpy(raw, DTYPES[bits]).data)
    assert np.array_equal(packed.dequantize(), gguf.dequantize(raw, kind))
    assert np.array_equal(from_packed(packed), raw)


@pytest.mark.parametrize("bits", [4, 8])
def test_the_padding_is_that_of_pack(bits: int) -> None:
    rng = np.random.default_rng()
    q = rng.integers(-8, 8, (21, 64)).astype(np.int8)
    packed = pack(q, rng.normal(size=(21, 2)).astype(np.float16), bits)
    again = to_packed(from_packed(packed), DTYPES[bits])
    assert np.array_equal(again.data, packed.data)


@pytest.mark.parametrize("dtype", ["q4_0", "q8_0"])
def test_a_file_is_read_packed(tmp_path: Path, dtype: str) -> None:
    """Values of every tensor as gguf dequantizes them, rotary rows in our order."""
    path = convert(hf_folder(tmp_path / "source"), tmp_path / "x.gguf", to="gguf", dtype=dtype)
    checkpoint = open_checkpoint(path)
    plain = {name: array.copy() for name, array in checked(checkpoint)}
    kinds = set()
    for name, weight in checked_stored(checkpoint):
        if isinstance(weight, Packed):
            kinds.add(weight.bits)
            assert np.array_equal(weight.dequantize(), plain[name]), name
        else:
            assert name == "tok_embeddings.weight" or weight.ndim == 1
            assert np.array_equal(weight, plain[name]), name
    assert kinds == ({4, 8} if dtype == "q4_0" else {8})
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    wk = tensors["blk.1.attn_k.weight"]
    theirs = gguf.dequantize(wk.data, wk.tensor_type)
    ours = plain["layers.1.attention.wk.weight"]
    head = ours[: CONFIG.head_dim]
    assert np.array_equal(theirs[0 : CONFIG.head_dim : 2], head[: CONFIG.head_dim // 2])
    assert np.array_equal(theirs[1 : CONFIG.head_dim : 2], head[CONFIG.head_dim // 2 :])


@pytest.mark.parametrize("dtype", ["q4_0", "q8_0"])
def test_gguf_to_packed_and_back_is_the_same_file(tmp_path: Path, dtype: str) -> None:
    path = convert(hf_folder(tmp_path / "source"), tmp_path / "x.gguf", to="gguf", dtype=dtype)
    folder = quantize_files(path, tmp_path / "packed", bits=int(dtype[1]))
    back = convert(folder, tmp_path / "y.gguf", to="gguf")
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    ours = {tensor.name: tensor for tensor in gguf.GGUFReader(back).tensors}
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].tensor_type == tensor.tensor_type, name
        assert np.array_equal(ours[name].data, tensor.data), name
    again = convert(path, tmp_path / "z.gguf", to="gguf", dtype=dtype)
    for tensor in gguf.GGUFReader(again).tensors:
        assert np.array_equal(tensor.data, theirs[tensor.name].data), tensor.name
