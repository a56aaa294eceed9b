"""Meta's files are pickles: nothing in them may run, whatever they hold."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_checkpoints import CONFIG, in_format, random_weights

from paddock.errors import CheckpointError, CorruptCheckpoint, UnsafeCheckpoint
from paddock.inference.checkpoint import rope
from paddock.inference.checkpoint.configs import to_meta
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.verify import checked


class Malicious:
    """Unpickled by an ordinary loader, it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "params.json").write_text(json.dumps(to_meta(CONFIG)))
    return tmp_path


def test_code_in_a_zip_is_not_run(folder: Path) -> None:
    proof = folder / "proof"
    torch.save({"norm.weight": Malicious(proof)}, folder / "consolidated.00.pth")
    with pytest.raises(
        UnsafeCheckpoint, match=r"consolidated\.00\.pth holds more than tensors: .*mkdir"
    ):
        open_checkpoint(folder)
    assert not proof.exists()
    torch.load(folder / "consolidated.00.pth", weights_only=False)
    assert proof.exists()  # the file was dangerous indeed


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 4])
def test_code_in_a_bare_pickle_is_not_run(folder: Path, protocol: int) -> None:
    proof = folder / "proof"
    data = pickle.dumps({"norm.weight": Malicious(proof)}, protocol=protocol)
    (folder / "consolidated.00.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"consolidated\.00\.pth"):
        open_checkpoint(folder)
    assert not proof.exists()


def test_code_in_the_old_format_is_not_run(folder: Path) -> None:
    proof = folder / "proof"
    torch.save(
        {"norm.weight": Malicious(proof)},
        folder / "consolidated.00.pth",
        _use_new_zipfile_serialization=False,
    )
    with pytest.raises(UnsafeCheckpoint):
        open_checkpoint(folder)
    assert not proof.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([torch.zeros(3)], "holds list"),
        ({"model": {"norm.weight": torch.zeros(3)}}, "'model' is dict, not a tensor"),
        ({3: torch.zeros(3)}, "3 is Tensor"),
    ],
)
def test_other_contents_are_refused(folder: Path, content: object, says: str) -> None:
    torch.save(content, folder / "consolidated.00.pth")
    with pytest.raises(CorruptCheckpoint, match=says):
        open_checkpoint(folder)


def meta_table() -> dict[str, torch.Tensor]:
    table = {}
    for name, array in random_weights().items():
        heads = rope.rotated_heads(name, CONFIG)
        table[name] = torch.from_numpy(rope.to_pairs(array, heads) if heads else array)
    return table


def same_as_random(folder: Path) -> None:
    expected = random_weights()
    read = {name: array.copy() for name, array in checked(open_checkpoint(folder))}
    assert read.keys() == expected.keys()
    assert all(np.array_equal(read[name], expected[name]) for name in expected)


def test_old_format_and_strided_tensors(folder: Path) -> None:
    table = meta_table()
    table["output.weight"] = table["output.weight"].T.contiguous().T
    torch.save(table, folder / "consolidated.00.pth", _use_new_zipfile_serialization=False)
    same_as_random(folder)


def test_harmless_extra_is_dropped(folder: Path) -> None:
    torch.save(meta_table() | {"rope.freqs": torch.zeros(4)}, folder / "consolidated.00.pth")
    same_as_random(folder)


@pytest.mark.parametrize("embedding_axis", [0, 1])
def test_shards_join_along_either_axis_of_the_embedding(folder: Path, embedding_axis: int) -> None:
    """Llama 1 and 2 split the embedding by columns, Llama 3 by rows."""
    axes = {"wq": 0, "wk": 0, "wv": 0, "w1": 0, "w3": 0, "output": 0, "wo": 1, "w2": 1}
    axes["tok_embeddings"] = embedding_axis
    for rank in range(2):
        part = {}
        for name, tensor in meta_table().items():
            axis = axes.get(name.split(".")[-2])
            part[name] = tensor if axis is None else tensor.chunk(2, axis)[rank].clone()
        torch.save(part, folder / f"consolidated.{rank:02d}.pth")
    values = to_meta(CONFIG) | {"vocab_size": -1}
    (folder / "params.json").write_text(json.dumps(values))
    same_as_random(folder)


def test_copies_of_a_norm_must_agree(tmp_path: Path) -> None:
    folder = in_format("meta", tmp_path, shards=2)
    part = torch.load(folder / "consolidated.01.pth", weights_only=True)
    part["norm.weight"][0] += 1
    torch.save(part, folder / "consolidated.01.pth")
    with pytest.raises(CorruptCheckpoint, match=r"consolidated\.01\.pth: tensor 'norm\.weight'"):
        list(checked(open_checkpoint(folder)))


def test_doubles_are_refused_by_name(folder: Path) -> None:
    table = meta_table()
    table["norm.weight"] = table["norm.weight"].double()
    torch.save(table, folder / "consolidated.00.pth")
    with pytest.raises(CheckpointError, match=r"'norm\.weight' is stored as torch\.float64"):
        list(checked(open_checkpoint(folder)))


def test_one_file_of_a_set_opens_the_set(tmp_path: Path) -> None:
    folder = in_format("meta", tmp_path, shards=2)
    same_as_random(folder / "consolidated.01.pth")
