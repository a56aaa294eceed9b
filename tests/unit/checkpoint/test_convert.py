"""Conversion is all or nothing, streams, and takes the tokenizer along."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_checkpoints import CONFIG, FORMATS, hf_folder, in_format, random_weights

from paddock.errors import CheckpointError, CorruptCheckpoint, PaddockError, UsageError
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.formats.gguf import Blocks, GgufCheckpoint, dequantize
from paddock.inference.checkpoint.formats.hf_writer import split
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.tokenizer_files import gguf_metadata
from paddock.inference.checkpoint.verify import checked


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_every_format_to_every_other(tmp_path: Path, source: str, to: str) -> None:
    path = in_format(source, tmp_path / "from")
    out = convert(path, tmp_path / "to", to=to)  # type: ignore[arg-type]
    read = {name: array.copy() for name, array in checked(open_checkpoint(out))}
    for name, array in random_weights().items():
        assert np.array_equal(read[name], array), name
    assert names(tmp_path) == ["from", "to"]


@pytest.mark.parametrize("to", FORMATS)
def test_a_failure_leaves_nothing(tmp_path: Path, to: str) -> None:
    weights = random_weights()
    weights["norm.weight"][0] = np.nan  # found when most of the file is written
    source = hf_folder(tmp_path / "source", CONFIG, weights)
    for target in ("new", "x.gguf") if to == "gguf" else ("new",):
        with pytest.raises(CorruptCheckpoint, match=r"model\.norm\.weight"):
            convert(source, tmp_path / target, to=to)  # type: ignore[arg-type]
        assert names(tmp_path) == ["source"]


def test_an_interruption_leaves_what_was_there(tmp_path: Path) -> None:
    source = hf_folder(tmp_path / "source")
    old = convert(source, tmp_path / "old", to="mindspore")
    before = {path.name: path.read_bytes() for path in old.iterdir()}

    def interrupt(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, old, to="meta", overwrite=True, progress=interrupt)
    assert names(tmp_path) == ["old", "source"]
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before


def test_overwriting_is_asked_for(tmp_path: Path) -> None:
    source = hf_folder(tmp_path / "source")
    for target, to in (("folder", "meta"), ("x.gguf", "gguf")):
        convert(source, tmp_path / target, to=to)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="exists"):
            convert(source, tmp_path / target, to=to)  # type: ignore[arg-type]
        convert(source, tmp_path / target, to=to, overwrite=True)  # type: ignore[arg-type]
    convert(source, tmp_path / "folder", to="mindspore", overwrite=True)
    assert names(tmp_path / "folder") == ["folder.ckpt", "folder.yaml"]
    assert names(tmp_path) == ["folder", "source", "x.gguf"]


def test_what_is_no_checkpoint_is_not_replaced(tmp_path: Path) -> None:
    source = hf_folder(tmp_path / "holds" / "source")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.txt").write_text("years of work")
    for target, says in (
        ("other", "holds no checkpoint"),
        ("holds", "holds the source"),
        ("holds/source", "holds the source"),
    ):
        with pytest.raises(UsageError, match=says):
            convert(source, tmp_path / target, to="hf", overwrite=True)
    assert (tmp_path / "other/thesis.txt").exists()


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"to": "gguff"}, "did you mean 'gguf'"),
        ({"to": "hf", "dtype": "q8_0"}, "hf is not written in 'q8_0'"),
        ({"to": "gguf", "dtype": "q4_1"}, "did you mean 'q4_0'"),
        ({"to": "hf", "shards": 0}, "shards is 0"),
        ({"to": "gguf", "shards": 2}, "shards is 2"),
    ],
)
def test_wishes_that_cannot_be_honoured(
    tmp_path: Path, wishes: dict[str, object], says: str
) -> None:
    source = hf_folder(tmp_path / "source")
    with pytest.raises(UsageError, match=says):
        convert(source, tmp_path / "new", **wishes)  # type: ignore[arg-type]
    assert names(tmp_path) == ["source"]


def test_shards_that_do_not_divide(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not divide into 3"):
        convert(hf_folder(tmp_path / "source"), tmp_path / "new", to="meta", shards=3)
    assert names(tmp_path) == ["source"]


def test_numbers_too_large_for_fp16(tmp_path: Path) -> None:
    config = replace(CONFIG, dtype="fp32")
    weights = random_weights(config)
    weights["layers.0.attention.wo.weight"][3, 4] = 1e5
    source = hf_folder(tmp_path / "source", config, weights)
    with pytest.raises(CheckpointError, match=r"wo\.weight': 100000 does not fit in fp16"):
        convert(source, tmp_path / "new", to="hf", dtype="fp16")
    assert convert(source, tmp_path / "new", to="hf", dtype="bf16").is_dir()
    assert open_checkpoint(tmp_path / "new").config().dtype == "bf16"


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    convert(
        hf_folder(tmp_path / "source"), tmp_path / "x.gguf", to="gguf", dtype="q8_0",
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    assert len(seen) == len(CONFIG.shapes())


def test_small_files(tmp_path: Path) -> None:
    source = hf_folder(tmp_path / "source")
    out = convert(source, tmp_path / "new", to="hf", max_shard_bytes=10_000)
    files = sorted(out.glob("*.safetensors"))
    assert len(files) > 3
    assert all(file.stat().st_size < 12_000 for file in files)
    read = {name: array.copy() for name, array in checked(open_checkpoint(out))}
    assert all(np.array_equal(read[name], array) for name, array in random_weights().items())


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 100])
def test_split_keeps_every_weight_once(shards: int) -> None:
    layout = {name: ("fp16", shape) for name, shape in CONFIG.shapes().items()}
    groups = split(layout, shards, 1 << 40)
    assert [name for group in groups for name in group] == list(CONFIG.shapes())
    assert len(groups) <= shards


@pytest.mark.parametrize("dtype", ["q8_0", "q4_0"])
def test_raw_blocks_are_offered(tmp_path: Path, dtype: str) -> None:
    source = hf_folder(tmp_path / "source")
    path = convert(source, tmp_path / "x.gguf", to="gguf", dtype=dtype)
    checkpoint = GgufCheckpoint(path)
    plain = {name: array.copy() for name, array in checkpoint.tensors()}
    n_blocks = 0
    for name, weight in checkpoint.blocks():
        if isinstance(weight, Blocks):
            n_blocks += 1
            assert np.array_equal(dequantize(weight), plain[name])
            assert weight.raw.shape == (
                weight.shape[0],
                weight.shape[1] // 32 * weight.raw.shape[1] // (weight.shape[1] // 32),
            )
        else:
            assert np.array_equal(weight, plain[name])
    assert n_blocks == 16  # seven in each layer, the embedding and the head


def test_rows_that_do_not_divide_into_blocks_stay_fp16(tmp_path: Path) -> None:
    config = replace(CONFIG, hidden_dim=48)
    source = hf_folder(tmp_path / "source", config)
    path = convert(source, tmp_path / "x.gguf", to="gguf", dtype="q8_0")
    kinds = {info.name: info.dtype for info in open_checkpoint(path).infos()}
    assert kinds["blk.0.ffn_down.weight"] == "fp16"
    assert kinds["blk.0.ffn_up.weight"] == "q8_0"


def test_the_tokenizer_comes_along(tmp_path: Path, small_model: Path) -> None:
    config = replace(CONFIG, vocab_size=620)
    source = hf_folder(tmp_path / "source", config)
    (source / "tokenizer.model").write_bytes(small_model.read_bytes())
    (source / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ x }}"}))
    for to in ("hf", "meta", "mindspore"):
        out = convert(source, tmp_path / to, to=to)  # type: ignore[arg-type]
        assert (out / "tokenizer.model").read_bytes() == small_model.read_bytes()
    path = convert(source, tmp_path / "x.gguf", to="gguf")
    metadata = GgufCheckpoint(path).metadata
    assert metadata["tokenizer.ggml.model"] == "llama"
    tokens = metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list) and len(tokens) == 620
    assert tokens[:3] == ["<unk>", "<s>", "</s>"]
    assert tokens[-1] == "[PAD619]"
    assert metadata["tokenizer.chat_template"] == "{{ x }}"
    again = convert(path, tmp_path / "again.gguf", to="gguf", dtype="q8_0")
    assert GgufCheckpoint(again).metadata["tokenizer.ggml.tokens"] == tokens
    back = convert(path, tmp_path / "back", to="hf")
    assert json.loads((back / "tokenizer_config.json").read_text())["chat_template"] == "{{ x }}"


def test_a_vocabulary_larger_than_the_model(tmp_path: Path, small_model: Path) -> None:
    source = hf_folder(tmp_path / "source")
    (source / "tokenizer.model").write_bytes(small_model.read_bytes())
    with pytest.raises(PaddockError, match="600 pieces, the model only 40"):
        convert(source, tmp_path / "x.gguf", to="gguf")


def test_a_tokenizer_that_gguf_cannot_say_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tokenizer.model").write_text("IQ== 0\nIg== 1\n")  # tiktoken's form, Llama 3
    assert gguf_metadata(tmp_path, CONFIG) == {}
    assert "no tokenizer written" in caplog.text


def test_metas_tokenizer_lies_above_the_weights(tmp_path: Path) -> None:
    source = in_format("meta", tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"\x00")
    out = convert(source, tmp_path / "out", to="mindspore")
    assert (out / "tokenizer.model").read_bytes() == b"\x00"
