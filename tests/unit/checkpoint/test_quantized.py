"""Quantization while loading: a checkpoint seen through Quantized."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_checkpoints import CONFIG, FORMATS, hf_folder, in_format, random_weights

from paddock.errors import UsageError
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.checkpoint.quantize import quantize
from paddock.inference.checkpoint.quantized import Quantized, quantized
from paddock.inference.checkpoint.verify import checked, checked_stored


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("bits", [4, 8])
def test_every_format(tmp_path: Path, format: str, bits: int) -> None:
    checkpoint = Quantized(open_checkpoint(in_format(format, tmp_path)), bits)
    assert checkpoint.config() == open_checkpoint(checkpoint.path).config()
    packed = {n: w for n, w in checked_stored(checkpoint) if isinstance(w, Packed)}
    assert len(packed) == 7 * CONFIG.n_layers + 1
    weights = random_weights()
    for name, weight in packed.items():
        wanted = 8 if name == "output.weight" else bits
        assert np.array_equal(weight.data, quantize(weights[name], wanted).data), name
    for name, array in checked(checkpoint):
        expected = packed[name].dequantize() if name in packed else weights[name]
        assert np.array_equal(array, expected), name


@pytest.mark.parametrize("head", [4, 8, None])
def test_the_head_has_bits_of_its_own(tmp_path: Path, head: int | None) -> None:
    checkpoint = Quantized(open_checkpoint(hf_folder(tmp_path)), 4, head_bits=head)
    weight = dict(checked_stored(checkpoint))["output.weight"]
    assert (weight.bits if isinstance(weight, Packed) else None) == head


def test_what_has_as_few_bits_passes(tmp_path: Path) -> None:
    source = hf_folder(tmp_path / "s")
    four = open_checkpoint(convert(source, tmp_path / "4.gguf", to="gguf", dtype="q4_0"))
    eight = open_checkpoint(convert(source, tmp_path / "8.gguf", to="gguf", dtype="q8_0"))
    name = "layers.0.attention.wq.weight"
    kept = dict(checked_stored(Quantized(four, 8)))[name]
    assert isinstance(kept, Packed)
    assert np.array_equal(kept.data, dict(four.stored())[name].data)  # type: ignore[union-attr]
    fewer = dict(checked_stored(Quantized(eight, 4)))[name]
    assert isinstance(fewer, Packed) and fewer.bits == 4


@pytest.mark.parametrize("dtype", ["q4_0", "q8_0", "fp16"])
def test_a_tied_gguf(tmp_path: Path, dtype: str) -> None:
    tied = replace(CONFIG, tie_embeddings=True)
    path = convert(hf_folder(tmp_path / "s", tied), tmp_path / "x.gguf", to="gguf", dtype=dtype)
    checkpoint = Quantized(open_checkpoint(path), 4)
    found = dict(checked_stored(checkpoint))
    head, embedding = found["output.weight"], found["tok_embeddings.weight"]
    assert isinstance(head, Packed) and not isinstance(embedding, Packed)
    if dtype != "fp16":
        assert np.array_equal(head.dequantize(), embedding)


def test_words(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(hf_folder(tmp_path))
    assert quantized(checkpoint, None) is checkpoint
    assert quantized(checkpoint, "int8").recipe.bits == 8  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="did you mean 'int4'"):
        quantized(checkpoint, "int44")
