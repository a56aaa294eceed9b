"""The parts of a checkpoint, put together again, are the whole, whatever the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llamas import saved
from paddock.errors import CheckpointError, TensorMismatch, UsageError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.checkpoint.parts import Split, cut_axis, part_of, possible_tp
from paddock.inference.checkpoint.quantize_files import quantize_files
from paddock.inference.checkpoint.quantized import quantized
from paddock.inference.checkpoint.shard import Shard
from paddock.inference.checkpoint.verify import checked, checked_stored

BIG = ModelConfig(32000, 8192, 80, 64, 8, 28672, 128)


def values(weight: object) -> np.ndarray:
    array = weight.dequantize() if isinstance(weight, Packed) else np.asarray(weight)
    return np.array(array, np.float32)


def together(base: object, split: Split, wrap: object = None) -> dict[str, np.ndarray]:
    """All weights, from every rank's part, through the gate that a runtime loads by."""
    found: dict[str, list[np.ndarray]] = {}
    for rank in range(split.size):
        part = Shard(base, split, rank)  # type: ignore[arg-type]
        source = wrap(part) if wrap else part  # type: ignore[operator]
        first = part.config().first_layer
        for name, weight in checked_stored(source):
            words = name.split(".")
            if words[0] == "layers":
                words[1] = str(int(words[1]) + first)
            found.setdefault(".".join(words), []).append(values(weight))
    whole = {}
    for name, parts in found.items():
        axis = cut_axis(name)
        if axis is None:
            assert len(parts) == split.tp or name == "norm.weight"
            whole[name] = parts[0]
        else:
            assert len(parts) == split.tp
            whole[name] = np.concatenate(parts, axis)
    return whole


@pytest.mark.parametrize("split", [Split(2, 1), Split(1, 2), Split(2, 2), Split(4, 2)], ids=str)
@pytest.mark.parametrize("form", ["hf", "meta", "mindspore", "gguf"])
def test_parts_make_the_whole(form: str, split: Split, tmp_path: Path) -> None:
    # A vocabulary that does not divide by 4: the last part ends in rows of zeros.
    saved(tmp_path / "hf", "mha", vocab_size=321)
    out = tmp_path / ("out.gguf" if form == "gguf" else "out")
    base = open_checkpoint(convert(tmp_path / "hf", out, to=form, dtype="fp32"))  # type: ignore[arg-type]
    whole = {name: values(array) for name, array in checked(base)}
    found = together(base, split)
    assert found.keys() == whole.keys()
    for name, array in whole.items():
        kept = found[name][: len(array)]
        assert np.array_equal(kept, array), name
        assert not found[name][len(array) :].any()


@pytest.mark.parametrize("split", [Split(2, 1), Split(1, 2)], ids=str)
def test_a_tied_head_goes_where_it_is_used(split: Split, tmp_path: Path) -> None:
    saved(tmp_path, "tied")
    base = open_checkpoint(tmp_path)
    found = together(base, split)
    whole = dict(base.tensors())
    assert np.array_equal(found["tok_embeddings.weight"], whole["tok_embeddings.weight"])
    if split.pp == 2:
        assert np.array_equal(found["output.weight"], whole["tok_embeddings.weight"])
    else:
        assert "output.weight" not in found


@pytest.mark.parametrize("bits", [4, 8])
def test_packed_weights_are_cut_packed(bits: int, tmp_path: Path) -> None:
    # Rows of a part that are no whole block of 16: 321 / 2 of the head.
    saved(tmp_path / "hf", "mha", vocab_size=321, intermediate_size=192)
    base = open_checkpoint(quantize_files(tmp_path / "hf", tmp_path / "packed", bits=bits))
    whole = dict(base.tensors())
    kinds = {name: type(weight) for name, weight in Shard(base, Split(2, 1), 1).stored()}
    assert kinds["layers.0.attention.wo.weight"] is Packed
    assert kinds["output.weight"] is Packed
    for name, array in together(base, Split(2, 2)).items():
        assert np.array_equal(array[: len(whole[name])], values(whole[name])), name


def test_quantizing_a_part_gives_the_part_of_what_is_quantized(tmp_path: Path) -> None:
    saved(tmp_path, "mha", intermediate_size=192)
    base = open_checkpoint(tmp_path)
    whole = {name: values(w) for name, w in quantized(base, "int4").tensors()}
    found = together(base, Split(2, 2), lambda part: quantized(part, "int4"))
    for name, array in whole.items():
        assert np.array_equal(found[name], array), name


def test_groups_that_would_be_cut_are_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path / "hf", "mha", intermediate_size=160)  # 160 / 2 is no multiple of 32
    base = open_checkpoint(quantize_files(tmp_path / "hf", tmp_path / "packed", bits=4))
    with pytest.raises(CheckpointError, match=r"w2.*160 inputs in 4 bits.*2 parts"):
        list(Shard(base, Split(2), 0).stored())


def test_a_missing_weight_is_missed_by_every_rank(tmp_path: Path) -> None:
    from dataclasses import replace

    saved(tmp_path, "mha")
    base = open_checkpoint(tmp_path)
    larger = open_checkpoint(tmp_path, config=replace(base.config(), n_layers=3))
    for rank in range(2):
        with pytest.raises(TensorMismatch, match="missing"):
            list(checked(Shard(larger, Split(1, 2), rank)))


@pytest.mark.parametrize(
    ("split", "config", "words"),
    [
        (Split(3), BIG, r"tp is 3.*8 key/value heads.*use 1, 2, 4 or 8"),
        (Split(16), BIG, r"tp is 16.*use 1, 2, 4 or 8"),
        (Split(1, 81), BIG, r"pp is 81, the model has 80 layers.*use 1 to 80"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_what_can(
    split: Split, config: ModelConfig, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        split.check(config)


def test_counts() -> None:
    assert possible_tp(BIG) == [1, 2, 4, 8]
    with pytest.raises(UsageError, match="tp is 0"):
        Split(0)
    assert [len(Split(1, 3).layers(stage, 80)) for stage in range(3)] == [27, 27, 26]
    sizes = [part_of(BIG, Split(8), rank).n_params() for rank in range(8)]
    assert len(set(sizes)) == 1
    # Norms are the only weights that every rank has.
    assert sizes[0] * 8 - BIG.n_params() == 7 * (2 * 80 + 1) * 8192
