"""Which format a path holds, and what inspection tells of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_checkpoints import CONFIG, FORMATS, hf_folder, in_format, random_weights

from paddock.errors import CheckpointError, CorruptCheckpoint, ModelNotFound
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.inspect import inspect
from paddock.inference.checkpoint.open import PREFERENCE, open_checkpoint
from paddock.inference.checkpoint.verify import checked


def test_a_folder_of_everything_is_read_in_the_order_of_preference(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    for format in FORMATS:
        path = in_format(format, tmp_path / format)
        for file in path.iterdir() if path.is_dir() else [path]:
            shutil.copy(file, folder)
    assert list(PREFERENCE) == list(FORMATS)
    for format, pattern in PREFERENCE.items():
        assert open_checkpoint(folder).format == format
        for file in folder.glob(pattern):
            file.unlink()
    with pytest.raises(ModelNotFound, match=r"\*\.safetensors, consolidated.*\.gguf"):
        open_checkpoint(folder)


@pytest.mark.parametrize("format", FORMATS)
def test_single_files(tmp_path: Path, format: str) -> None:
    path = in_format(format, tmp_path)
    if path.is_dir():
        (path,) = [
            file for file in path.iterdir() if file.suffix in (".safetensors", ".pth", ".ckpt")
        ]
    assert {name for name, _ in checked(open_checkpoint(str(path)))} == CONFIG.shapes().keys()


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="does not exist"):
        open_checkpoint(tmp_path / "absent")
    with pytest.raises(ModelNotFound, match=r"does not exist|cannot be looked at"):
        open_checkpoint("a\0b")
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(ModelNotFound, match=r"pytorch_model\.bin is not read"):
        open_checkpoint(tmp_path)
    (tmp_path / "x.txt").touch()
    with pytest.raises(CheckpointError, match=r"no weight file.*\.safetensors"):
        open_checkpoint(tmp_path / "x.txt")
    with pytest.raises(CheckpointError, match=r"open its folder"):
        (tmp_path / "model.safetensors.index.json").touch()
        open_checkpoint(tmp_path / "model.safetensors.index.json")


@pytest.mark.parametrize("suffix", [".gguf", ".ckpt", ".safetensors"])
def test_several_files_of_one_kind(tmp_path: Path, suffix: str) -> None:
    for name in "ab":
        (tmp_path / f"{name}{suffix}").write_bytes(b"x")
    with pytest.raises(ModelNotFound, match=f"2 ({suffix}|GGUF) files"):
        open_checkpoint(tmp_path)


def test_ckpt_with_a_given_configuration(tmp_path: Path) -> None:
    folder = in_format("mindspore", tmp_path)
    (folder / "mindspore.yaml").unlink()
    bare = open_checkpoint(folder)
    with pytest.raises(CheckpointError, match="no configuration beside it"):
        bare.config()
    assert open_checkpoint(folder, config=CONFIG).config() is CONFIG
    assert len(list(checked(open_checkpoint(folder, config=CONFIG)))) == len(CONFIG.shapes())
    report = inspect(folder)
    assert report.config is None and not report.complete
    assert report.n_params == CONFIG.n_params()


INDEX_CASES = {
    "missing shard": ({"a": "gone.safetensors"}, "'gone.safetensors' is missing"),
    "outside": ({"a": "../model.safetensors"}, "unsafe path '../model.safetensors'"),
    "absolute": ({"a": "/etc/passwd"}, "unsafe path"),
    "number": ({"a": 3}, "unsafe path 3"),
    "nowhere": ({"absent.weight": "part.safetensors"}, "'absent.weight' is in the index"),
    "empty": ({}, "weight_map is missing or empty"),
}


@pytest.mark.parametrize("case", INDEX_CASES)
def test_index(tmp_path: Path, case: str) -> None:
    folder = hf_folder(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    weight_map, says = INDEX_CASES[case]
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CorruptCheckpoint) as caught:
        open_checkpoint(folder)
    assert says in str(caught.value)


def test_a_tied_models_repeated_head_is_dropped(tmp_path: Path) -> None:
    tied = replace(CONFIG, tie_embeddings=True)
    folder = hf_folder(tmp_path, tied, random_weights(CONFIG))
    assert {name for name, _ in checked(open_checkpoint(folder))} == tied.shapes().keys()


def test_rotary_tables_are_dropped(tmp_path: Path) -> None:
    import numpy as np

    extra = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": np.ones(4) for i in range(2)}
    folder = hf_folder(tmp_path, CONFIG, random_weights() | extra)
    assert len(list(checked(open_checkpoint(folder)))) == len(CONFIG.shapes())
    assert inspect(folder).complete


def test_stop_ids_of_the_generation_configuration(tmp_path: Path) -> None:
    folder = hf_folder(tmp_path)
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 7]}')
    assert open_checkpoint(folder).config().eos_ids == (2, 7)


@pytest.mark.parametrize("format", [*FORMATS, "meta-2"])
def test_inspection(tmp_path: Path, format: str) -> None:
    format, _, shards = format.partition("-")
    path = in_format(format, tmp_path, shards=int(shards or 1))
    seen: list[tuple[int, int]] = []
    report = inspect(path, hashes=True, progress=lambda done, total: seen.append((done, total)))
    assert report.format == format
    assert report.complete and report.problem is None
    assert report.n_params == CONFIG.n_params()
    told = json.loads(json.dumps(report.to_dict()))
    assert sum(one["bytes"] for one in told["tensors"]) == told["total_bytes"]
    for file in told["files"]:
        data = Path(file["path"]).read_bytes()
        assert (file["size"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert seen[-1][0] == seen[-1][1] == sum(file["size"] for file in told["files"])
    assert inspect(path).files[0].sha256 is None


def test_inspection_tells_what_is_wrong(tmp_path: Path) -> None:
    weights = random_weights()
    del weights["layers.1.ffn_norm.weight"]
    report = inspect(hf_folder(tmp_path, CONFIG, weights))
    assert not report.complete
    assert report.problem and "model.layers.1.post_attention_layernorm.weight" in report.problem


def test_inspection_of_quantized_weights(tmp_path: Path) -> None:
    source = hf_folder(tmp_path / "hf")
    report = inspect(convert(source, tmp_path / "x.gguf", to="gguf", dtype="q4_0"))
    kinds = {info.name: info.dtype for info in report.tensors}
    assert kinds["blk.0.attn_q.weight"] == "q4_0"
    assert kinds["output.weight"] == "q8_0"
    assert kinds["output_norm.weight"] == "fp32"
    assert report.n_params == CONFIG.n_params()
