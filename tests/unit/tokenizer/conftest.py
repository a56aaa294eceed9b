"""Small vocabularies of every form, made by the libraries whose files they imitate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paddock.inference.tokenizer.load import load_tokenizer
from tokenizer_corpus import lines

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_SPECIALS = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>",
]  # fmt: skip


EOS = {"__type": "AddedToken", "content": "<|end_of_text|>", "special": True}


@pytest.fixture(scope="session")
def byte_level(tmp_path_factory) -> Path:
    """A folder with a ``tokenizer.json`` like Llama 3's, and a turn marker that is not special."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("byte-level")
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(lines(), trainer)
    tok.add_special_tokens(LLAMA3_SPECIALS)
    tok.add_tokens([AddedToken("<｜User｜>", special=False), AddedToken("llama", special=False)])
    tok.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<|begin_of_text|>", "eos_token": EOS}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def byte_level_gguf(byte_level, tmp_path_factory) -> Path:
    """The same vocabulary as GGUF metadata."""
    import gguf

    data = json.loads((byte_level / "tokenizer.json").read_text(encoding="utf-8"))
    kinds = {entry["id"]: 3 if entry["special"] else 4 for entry in data["added_tokens"]}
    ids = {token: piece for piece, token in data["model"]["vocab"].items()}
    ids |= {entry["id"]: entry["content"] for entry in data["added_tokens"]}
    path = tmp_path_factory.mktemp("byte-level-gguf") / "llama3.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list([ids[i] for i in sorted(ids)])
    writer.add_token_types([kinds.get(i, 1) for i in sorted(ids)])
    writer.add_token_merges([" ".join(merge) for merge in data["model"]["merges"]])
    specials = {piece: token for token, piece in ids.items() if token in kinds}
    writer.add_bos_token_id(specials["<|begin_of_text|>"])
    writer.add_eos_token_id(specials["<|end_of_text|>"])
    writer.add_chat_template("{{ bos_token }}{{ messages[0].content }}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@pytest.fixture(scope="session")
def llama2_json(small_model, tmp_path_factory) -> Path:
    """The small SentencePiece model as the ``tokenizer.json`` that transformers makes of it."""
    import transformers

    source = tmp_path_factory.mktemp("source")
    (source / "tokenizer.model").write_bytes(small_model.read_bytes())
    folder = tmp_path_factory.mktemp("llama2-json")
    transformers.LlamaTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def marked_model(small_model, tmp_path_factory) -> Path:
    """The small model with user-defined pieces: a turn marker and an ordinary word."""
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(small_model.read_bytes())
    proto.pieces.add(piece="<|im_start|>", score=0, type=4)
    proto.pieces.add(piece="paddock", score=0, type=4)
    path = tmp_path_factory.mktemp("marked") / "tokenizer.model"
    path.write_bytes(proto.SerializeToString())
    return path


FORMS = ["small_model", "marked_model", "llama2_json", "byte_level", "byte_level_gguf"]


@pytest.fixture(scope="session", params=FORMS)
def tokenizer(request):
    """Each implementation in turn."""
    return load_tokenizer(request.getfixturevalue(request.param))
