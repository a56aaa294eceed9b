"""The right tokenizer is found, a wrong file is named, and nothing heavy is imported early."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import gguf
import pytest

from paddock.errors import TokenizerError
from paddock.inference.tokenizer.gguf import tokenizer_from_metadata
from paddock.inference.tokenizer.gguf_metadata import read_metadata
from paddock.inference.tokenizer.hf import HfTokenizer
from paddock.inference.tokenizer.load import load_chat_template, load_tokenizer
from paddock.inference.tokenizer.sentencepiece import SentencePieceTokenizer


def test_a_folder_prefers_tokenizer_model(small_model, llama2_json, tmp_path):
    shutil.copy(llama2_json / "tokenizer.json", tmp_path)
    assert isinstance(load_tokenizer(tmp_path), HfTokenizer)
    shutil.copy(small_model, tmp_path / "tokenizer.model")
    assert isinstance(load_tokenizer(tmp_path), SentencePieceTokenizer)
    assert isinstance(load_tokenizer(str(tmp_path / "tokenizer.json")), HfTokenizer)
    # Tokens that only tokenizer.json carries.
    (tmp_path / "added_tokens.json").write_text('{"<pad>": 600}')
    assert isinstance(load_tokenizer(tmp_path), HfTokenizer)


def test_tiktokens_model_gives_way_to_tokenizer_json(byte_level, tmp_path):
    (tmp_path / "tokenizer.model").write_text("IQ== 0\nIg== 1\nIw== 2\n")
    with pytest.raises(TokenizerError, match=r"tokenizer\.model .*tiktoken.*use tokenizer\.json"):
        load_tokenizer(tmp_path)
    shutil.copy(byte_level / "tokenizer.json", tmp_path)
    assert load_tokenizer(tmp_path).bos_id is not None


def test_a_folder_with_one_gguf(byte_level_gguf, tmp_path):
    shutil.copy(byte_level_gguf, tmp_path / "a.gguf")
    assert load_tokenizer(tmp_path).eos_ids
    assert load_chat_template(tmp_path).source is not None
    shutil.copy(byte_level_gguf, tmp_path / "b.gguf")
    with pytest.raises(TokenizerError, match=r"has no tokenizer; it holds 2 \.gguf files"):
        load_tokenizer(tmp_path)


def test_absence_says_what_was_looked_for(tmp_path):
    looked = "tokenizer.model, tokenizer.json or a single .gguf"
    (tmp_path / "weights.bin").write_bytes(b"")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "weights.bin"):
        with pytest.raises(TokenizerError, match=looked) as caught:
            load_tokenizer(path)
        assert str(path) in str(caught.value)


BAD = {
    "empty.model": b"",
    "garbage.model": b"\xff\xfe\x00garbage" * 9,
    "text.model": b"hello\n",
    "empty.json": b"",
    "list.json": b"[]",
    "latin.json": b'{"a": "\xe9"}',
    "nothing.json": b"{}",
    "deep.json": b"[" * 200_000,
    "unigram.json": b'{"model": {"type": "Unigram", "vocab": []}}',
    "novocab.json": b'{"model": {"type": "BPE", "vocab": {}, "merges": []}}',
    "broken.json": b'{"model": {"type": "BPE", "vocab": 3}}',
    "added.json": b'{"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": [1]}',
    "decoder.json": b'{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}',
    "empty.gguf": b"",
    "garbage.gguf": b"GGUX" + b"\0" * 99,
    "old.gguf": b"GGUF\1\0\0\0" + b"\0" * 99,
    "cut.gguf": b"GGUF\3\0\0\0" + b"\0" * 8 + b"\5" + b"\0" * 7,
    "huge.gguf": b"GGUF\3\0\0\0" + b"\0" * 8 + b"\xff" * 40,
    "without.gguf": b"GGUF\3\0\0\0" + b"\0" * 16,
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BAD[name])
    with pytest.raises(TokenizerError, match=name.replace(".", r"\.")):
        load_tokenizer(path)


@pytest.mark.parametrize("form", ["small_model", "byte_level", "byte_level_gguf"])
def test_truncated_files_are_named(form, request, tmp_path):
    path = request.getfixturevalue(form)
    path = path / "tokenizer.json" if path.is_dir() else path
    data = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        cut = tmp_path / f"cut{path.suffix}"
        cut.write_bytes(data[: int(len(data) * share)])
        try:
            load_tokenizer(cut)
        except TokenizerError as error:
            assert cut.name in str(error)
        else:
            # A protobuf cut between two pieces is a shorter vocabulary.
            assert path.suffix == ".model"


def test_a_configuration_that_names_an_absent_token(byte_level, tmp_path):
    shutil.copy(byte_level / "tokenizer.json", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<end>"}')
    with pytest.raises(TokenizerError, match="no token '<end>', which its configuration calls eos"):
        load_tokenizer(tmp_path)


def test_specials_come_from_every_file_that_names_them(byte_level, tmp_path):
    shutil.copy(byte_level / "tokenizer.json", tmp_path)
    bare = load_tokenizer(tmp_path)
    assert bare.id_to_piece(bare.bos_id) == "<|begin_of_text|>"
    (tmp_path / "special_tokens_map.json").write_text(
        json.dumps({"eos_token": {"content": "<|eot_id|>"}, "pad_token": "<|end_of_text|>"})
    )
    ours = load_tokenizer(tmp_path)
    assert [ours.id_to_piece(token) for token in (*ours.eos_ids, ours.pad_id)] == [
        "<|eot_id|>", "<|end_of_text|>"
    ]  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<|end_of_text|>"}')
    ours = load_tokenizer(tmp_path)
    assert ours.id_to_piece(ours.eos_ids[0]) == "<|end_of_text|>"


def test_gguf_metadata_as_the_gguf_package_reads_it(byte_level_gguf, tmp_path):
    path = tmp_path / "kinds.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_bool("tokenizer.bool", True)
    writer.add_int8("tokenizer.int8", -5)
    writer.add_uint16("tokenizer.uint16", 65535)
    writer.add_uint64("tokenizer.uint64", 2**64 - 1)
    writer.add_float32("tokenizer.float32", 0.5)
    writer.add_float64("tokenizer.float64", 0.1)
    writer.add_string("tokenizer.string", "ü\0x")
    writer.add_array("tokenizer.array", [1, -2, 3])
    writer.add_array("tokenizer.texts", ["a", "", "你"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    for file in (path, byte_level_gguf):
        theirs = gguf.GGUFReader(file).fields
        expected = {k: f.contents() for k, f in theirs.items() if k.startswith("tokenizer.")}
        assert read_metadata(file) == expected
        assert "general.architecture" in read_metadata(file, prefix="general.")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "bert"}, "kind 'bert'"),
        ({"model": None}, "holds no tokenizer"),
        ({"scores": [0.0]}, "scores has 1 entries for 3 tokens"),
        ({"tokens": []}, "has 0 entries|for 0 tokens|has 3 entries"),
        ({"tokens": [1, 2, 3]}, "more than strings"),
        ({"bos_token_id": 7}, "bos_token_id is 7, outside the vocabulary of 3"),
        ({"model": "gpt2", "pre": "martian"}, "'martian'"),
        ({"model": "gpt2"}, "no tokenizer.ggml.merges"),
    ],
)
def test_metadata_that_makes_no_tokenizer(change, said):
    metadata = {"model": "llama", "tokens": ["<unk>", "a", "b"], "scores": [0.0] * 3,
                "token_type": [2, 1, 1]} | change  # fmt: skip
    metadata = {f"tokenizer.ggml.{key}": value for key, value in metadata.items()}
    with pytest.raises(TokenizerError, match=said) as caught:
        tokenizer_from_metadata(metadata, origin="m.gguf")
    assert "m.gguf" in str(caught.value)


def test_importing_imports_nothing_heavy():
    code = (
        "import sys, paddock.inference.tokenizer.load, paddock.inference.tokenizer.gguf, "
        "paddock.inference.tokenizer.hf, paddock.inference.tokenizer.sentencepiece\n"
        "print(sorted({'numpy', 'torch', 'sentencepiece', 'tokenizers', 'gguf', 'jinja2', 'google'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": "src"})  # fmt: skip
    assert done.stdout == "[]\n"
