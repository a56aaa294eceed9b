"""Packed folders on disk: what is written is read, and damage is named."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_checkpoints import CONFIG, hf_folder, random_weights

from paddock.errors import CheckpointError, CorruptCheckpoint, TensorMismatch, UsageError
from paddock.inference.checkpoint.base import as_dtype
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.inspect import inspect
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.packed import Packed, packed_shape
from paddock.inference.checkpoint.quantize import quantize
from paddock.inference.checkpoint.quantize_files import quantize_files
from paddock.inference.checkpoint.verify import checked, checked_stored

WQ = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return quantize_files(hf_folder(tmp_path / "source"), tmp_path / "packed", bits=4)


def header(file: Path) -> tuple[dict[str, Any], int]:
    data = file.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    return json.loads(data[8 : 8 + length]), 8 + length


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shard_bytes", [1 << 40, 3000])
def test_what_is_written_is_read(tmp_path: Path, bits: int, shard_bytes: int) -> None:
    source = hf_folder(tmp_path / "source")
    folder = quantize_files(source, tmp_path / "p", bits=bits, max_shard_bytes=shard_bytes)
    assert (len(list(folder.glob("*.safetensors"))) > 1) == (shard_bytes == 3000)
    checkpoint = open_checkpoint(folder)
    assert checkpoint.format == "paddock"
    assert checkpoint.config() == CONFIG
    weights = random_weights()
    for name, weight in checked_stored(checkpoint):
        if isinstance(weight, Packed):
            head = name == "output.weight"
            expected = quantize(weights.pop(name), 8 if head else bits)
            assert weight.bits == expected.bits
            assert np.array_equal(weight.data, expected.data), name
        else:
            assert np.array_equal(weight, weights.pop(name)), name
    assert not weights
    dequantized = {name: array.copy() for name, array in checked(checkpoint)}
    assert all(a.dtype == np.float32 for n, a in dequantized.items() if n.endswith("w1.weight"))


def test_the_file_is_a_safetensors_file(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    assert tensors[WQ].dtype == np.uint8
    assert tensors[WQ].shape == packed_shape((32, 32), 4)
    values = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert values["quant_method"] == "paddock"
    assert values["other_bits"] == {"model.embed_tokens.weight": None, "lm_head.weight": 8}


def test_data_is_aligned_and_in_the_models_order(tmp_path: Path) -> None:
    config = replace(CONFIG, dim=64, head_dim=16, hidden_dim=128)
    folder = quantize_files(hf_folder(tmp_path / "s", config), tmp_path / "p", bits=4)
    entries, start = header(folder / "model.safetensors")
    del entries["__metadata__"]
    at = {name: start + entry["data_offsets"][0] for name, entry in entries.items()}
    assert all(offset % 64 == 0 for offset in at.values())
    for layer in range(CONFIG.n_layers):
        prefix = f"model.layers.{layer}."
        for names in (
            [f"self_attn.{x}_proj.weight" for x in "qkv"],
            ["mlp.gate_proj.weight", "mlp.up_proj.weight"],
        ):
            for one, following in pairwise(names):
                begin, end = entries[prefix + one]["data_offsets"]
                assert entries[prefix + following]["data_offsets"][0] == end > begin


def test_what_cannot_be_packed_stays(tmp_path: Path) -> None:
    config = replace(CONFIG, dim=64, head_dim=16, hidden_dim=72)
    folder = quantize_files(hf_folder(tmp_path / "s", config), tmp_path / "p", bits=4)
    entries, start = header(folder / "model.safetensors")
    assert entries["model.layers.0.mlp.down_proj.weight"]["dtype"] == "F16"
    weights = random_weights(config)
    for name, weight in checked_stored(open_checkpoint(folder)):
        if name.endswith("w2.weight"):
            assert np.array_equal(weight, weights[name])
    begins = [e["data_offsets"][0] for e in entries.values() if e.get("dtype") == "U8"]
    assert len(begins) == 13 and all((start + begin) % 64 == 0 for begin in begins)


def test_a_tied_head_gets_its_own(tmp_path: Path) -> None:
    tied = replace(CONFIG, tie_embeddings=True)
    weights = random_weights(tied)
    folder = quantize_files(hf_folder(tmp_path / "s", tied, weights), tmp_path / "p", bits=4)
    checkpoint = open_checkpoint(folder)
    assert not checkpoint.config().tie_embeddings
    found = dict(checked_stored(checkpoint))
    embedding = weights["tok_embeddings.weight"]
    assert np.array_equal(found["tok_embeddings.weight"], embedding)
    head = found["output.weight"]
    assert isinstance(head, Packed) and np.array_equal(head.data, quantize(embedding, 8).data)


def test_inspection(folder: Path) -> None:
    report = inspect(folder)
    assert report.complete and report.problem is None
    assert report.n_params == CONFIG.n_params()
    kinds = {info.name: (info.dtype, info.shape) for info in report.tensors}
    assert kinds[WQ] == ("int4", (32, 32))
    assert kinds["lm_head.weight"] == ("int8", (40, 32))
    assert kinds["model.embed_tokens.weight"] == ("fp16", (40, 32))
    assert report.to_dict()["quantization"]["bits"] == 4


def test_conversion_dequantizes(folder: Path, tmp_path: Path) -> None:
    out = convert(folder, tmp_path / "plain", to="hf", dtype="fp32")
    assert "quantization_config" not in json.loads((out / "config.json").read_text())
    theirs = load_file(out / "model.safetensors")
    for name, array in checked(open_checkpoint(folder)):
        ours = {"layers.0.attention.wq.weight": WQ, "norm.weight": "model.norm.weight"}
        if name in ours:
            assert np.array_equal(theirs[ours[name]], array)
    for to in ("meta", "mindspore"):
        assert convert(folder, tmp_path / to, to=to).exists()  # type: ignore[arg-type]


def set_config(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text())
        config["quantization_config"] |= values
        path.write_text(json.dumps(config))

    return change


def poke(tensor: str, at: int, value: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        entries, start = header(path)
        begin, end = entries[tensor]["data_offsets"]
        data = bytearray(path.read_bytes())
        where = start + (end if at < 0 else begin) + at
        data[where : where + len(value)] = value
        path.write_bytes(data)

    return change


def rename(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))

    return change


def truncate(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", 20_000)


EMBEDDING = {"model.embed_tokens.weight": None}
DAMAGE: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "group size": (set_config(group_size=128), CheckpointError, "group_size is 128, not 32"),
    "no group size": (set_config(group_size=None), CheckpointError, "group_size is missing"),
    "layout": (set_config(layout=2), CheckpointError, "newer Paddock"),
    "bits": (set_config(bits=3), CheckpointError, "bits is 3, not 4 or 8"),
    "asymmetric": (set_config(symmetric=False), CheckpointError, "symmetric is False"),
    "unknown tensor": (
        set_config(other_bits={"model.nothing": 8}), CheckpointError, "other_bits is",
    ),
    "other bits": (set_config(other_bits={WQ: 5}), CheckpointError, "other_bits is"),
    "bits that are not there": (
        set_config(bits=8), TensorMismatch, f"model.safetensors: tensor '{WQ}' is U8.*8 bits",
    ),
    "plain that is packed": (
        set_config(other_bits=EMBEDDING | {WQ: None}), TensorMismatch,
        f"'{WQ}' is U8.*says not packed",
    ),
    "packed that is plain": (
        set_config(other_bits={}), TensorMismatch, "embed_tokens.weight' is fp16 .*4 bits",
    ),
    "nan scale": (
        poke(WQ, -32, b"\x00\x7e"), CorruptCheckpoint,
        rf"model\.safetensors: tensor '{WQ}': the scale of group 0 of row 16 is nan",
    ),
    "infinite scale": (
        poke("lm_head.weight", 512 + 2 * 3, b"\x00\xfc"), CorruptCheckpoint,
        r"'lm_head\.weight': the scale of group 0 of row 3 is -inf",
    ),
    "truncated": (truncate, CorruptCheckpoint, "model.safetensors.*truncated"),
    "extra": (
        rename("layers.1.mlp.up_proj", "layers.1.mlp.xx_proj"), TensorMismatch,
        "mlp.xx_proj.weight' is no weight of this model",
    ),
    "missing": (
        lambda folder: rename('"model.norm.weight"', '"rotary_embinv_frq"')(folder),
        TensorMismatch, "model.safetensors: tensor 'rotary_embinv_frq' is no weight",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_one_clear_error(folder: Path, case: str) -> None:
    change, error, says = DAMAGE[case]
    change(folder)
    with pytest.raises(error, match=says):
        for _ in checked_stored(open_checkpoint(folder)):
            pass
    with pytest.raises(error, match=says):
        for _ in checked(open_checkpoint(folder)):
            pass


def test_truncated_anywhere(folder: Path) -> None:
    file = folder / "model.safetensors"
    size = file.stat().st_size
    for at in range(size - 1, 0, -1777):
        os.truncate(file, at)
        with pytest.raises(CheckpointError, match=r"model\.safetensors"):
            open_checkpoint(folder)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    weights = random_weights()
    weights["layers.1.feed_forward.w2.weight"][3, 7] = np.inf
    source = hf_folder(tmp_path / "source", CONFIG, weights)
    with pytest.raises(CheckpointError, match=r"source: tensor 'layers\.1\.feed.*row 3, column 7"):
        quantize_files(source, tmp_path / "packed", bits=4)

    def interrupt(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_files(hf_folder(source), tmp_path / "packed", bits=8, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_full_disk_is_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = hf_folder(tmp_path / "source")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(CheckpointError, match=r"packed needs 0\.0 MiB of disk, 0\.0 MiB are free"):
        quantize_files(source, tmp_path / "packed", bits=4)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_wishes_that_cannot_be_honoured(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    with pytest.raises(UsageError, match="exists"):
        quantize_files(source, folder, bits=4)
    with pytest.raises(UsageError, match="bits are 5"):
        quantize_files(source, tmp_path / "new", bits=5)
    quantize_files(source, folder, bits=8, overwrite=True)
    assert open_checkpoint(folder).config() == CONFIG


def test_more_bits_than_there_are_is_refused(folder: Path, tmp_path: Path) -> None:
    gguf = convert(folder, tmp_path / "x.gguf", to="gguf")
    for source in (folder, gguf):
        with pytest.raises(UsageError, match=r"has weights in 4 bits; 8 would bring nothing back"):
            quantize_files(source, tmp_path / "new", bits=8)
        again = quantize_files(source, tmp_path / f"{source.name}-again", bits=4)
        assert (again / "config.json").read_text() == (folder / "config.json").read_text()
        one, other = (path / "model.safetensors" for path in (again, folder))
        assert one.read_bytes() == other.read_bytes()


def test_fp32_keeps_its_norms(tmp_path: Path) -> None:
    config = replace(CONFIG, dtype="fp32")
    weights = random_weights(config)
    folder = quantize_files(hf_folder(tmp_path / "s", config, weights), tmp_path / "p", bits=8)
    assert open_checkpoint(folder).config().dtype == "bf16"
    found = dict(checked_stored(open_checkpoint(folder)))
    assert np.array_equal(found["norm.weight"], weights["norm.weight"])
    embedding = "tok_embeddings.weight"
    assert np.array_equal(found[embedding], as_dtype(weights[embedding], "bf16"))


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    quantize_files(
        hf_folder(tmp_path / "s"), tmp_path / "p", bits=4,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen[-1][0] == seen[-1][1] and len(seen) == len(CONFIG.shapes())
