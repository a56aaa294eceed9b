"""The gate: what a reader may give and what is refused, with a reader made of a list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from tiny_checkpoints import CONFIG, random_weights

from paddock.errors import CorruptCheckpoint, TensorMismatch
from paddock.inference.checkpoint.base import Array, TensorInfo
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.checkpoint.verify import checked, checked_stored


class Listed:
    """A Checkpoint that gives what it was told."""

    format = "hf"
    path = Path("listed")

    def __init__(self, pairs: list[tuple[str, Array]]) -> None:
        self.pairs = pairs

    def config(self) -> ModelConfig:
        return CONFIG

    def infos(self) -> list[TensorInfo]:
        return [TensorInfo("model.norm.weight", (32,), "fp16", 64, Path("listed/a.safetensors"))]

    def tensors(self) -> Iterator[tuple[str, Array]]:
        yield from self.pairs

    def stored(self) -> Iterator[tuple[str, Array | Packed]]:
        yield from self.pairs


def pairs() -> list[tuple[str, Array]]:
    return list(random_weights().items())


def run(pairs: list[tuple[str, Array]]) -> list[str]:
    found = [name for name, _ in checked(Listed(pairs))]
    assert [name for name, _ in checked_stored(Listed(pairs))] == found
    return found


def test_order_does_not_matter() -> None:
    assert run(pairs()[::-1]) == [name for name, _ in pairs()][::-1]


def test_missing() -> None:
    with pytest.raises(TensorMismatch, match=r"a\.safetensors: tensor 'lm_head\.weight' is miss"):
        run([pair for pair in pairs() if pair[0] != "output.weight"])


def test_extra() -> None:
    with pytest.raises(TensorMismatch, match=r"listed: tensor 'bias' is no weight"):
        run([*pairs(), ("bias", np.zeros(3, np.float16))])


def test_twice() -> None:
    norm = dict(pairs())["norm.weight"]
    with pytest.raises(
        TensorMismatch, match=r"a\.safetensors: tensor 'model\.norm\.weight' is there twice"
    ):
        run([*pairs(), ("norm.weight", norm)])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, ml_dtypes.bfloat16])
def test_norms_are_finite(bad: float, dtype: type) -> None:
    table = dict(pairs())
    table["norm.weight"] = table["norm.weight"].astype(dtype)
    table["norm.weight"][7] = bad
    with pytest.raises(CorruptCheckpoint, match=r"'model\.norm\.weight'.*element 7 is"):
        run(list(table.items()))


def test_transposed() -> None:
    table = dict(pairs())
    table["layers.0.feed_forward.w1.weight"] = table["layers.0.feed_forward.w1.weight"].T
    with pytest.raises(TensorMismatch, match=r"\[32, 64\], the configuration wants \[64, 32\]"):
        run(list(table.items()))


def test_a_larger_vocabulary_is_named_so() -> None:
    table = dict(pairs())
    table["output.weight"] = np.zeros((43, 32), np.float16)
    with pytest.raises(TensorMismatch, match="vocabulary of 43, the configuration says 40"):
        run(list(table.items()))
