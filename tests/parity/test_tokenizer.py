"""Ids and texts equal those of the sentencepiece and tokenizers libraries, line for line."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import gguf
import pytest
import sentencepiece
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.inference.tokenizer.chat import ChatTemplate
from paddock.inference.tokenizer.load import load_tokenizer
from tokenizer_corpus import lines

LINES = lines()
loaded = cache(load_tokenizer)


@pytest.fixture(scope="module", params=["llama2_model", "small_model"])
def model(request) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def library(model) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(model))


@pytest.fixture(scope="module")
def expected(library) -> list[list[int]]:
    return [library.encode(line) for line in LINES]


@pytest.fixture(scope="module")
def converted(model, tmp_path_factory) -> Path:
    """The model as transformers converts and saves it."""
    import transformers

    folder = tmp_path_factory.mktemp("converted")
    (folder / "tokenizer.model").write_bytes(model.read_bytes())
    saved = tmp_path_factory.mktemp("saved")
    transformers.LlamaTokenizer.from_pretrained(folder).save_pretrained(saved)
    return saved


@pytest.fixture(scope="module")
def legacy(library, converted, tmp_path_factory) -> Path:
    """The form Llama 2's repositories carry: merges by score, a space before every text."""
    from transformers.convert_slow_tokenizer import generate_merges

    folder = tmp_path_factory.mktemp("legacy")
    data = json.loads((converted / "tokenizer.json").read_text(encoding="utf-8"))
    pieces = {library.id_to_piece(i): i for i in range(library.vocab_size())}
    scores = {piece: library.get_score(i) for piece, i in pieces.items()}
    data["model"]["merges"] = generate_merges(pieces, scores)
    data["pre_tokenizer"] = None
    data["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ],
    }
    (folder / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    config = (converted / "tokenizer_config.json").read_bytes()
    (folder / "tokenizer_config.json").write_bytes(config)
    return folder


@pytest.fixture(scope="module")
def gguf_file(library, tmp_path_factory) -> Path:
    """The model's vocabulary written as GGUF metadata."""
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    ids = range(library.vocab_size())
    kind = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_token_list([library.id_to_piece(i) for i in ids])
    writer.add_token_scores([library.get_score(i) for i in ids])
    writer.add_token_types(
        [
            kind.UNKNOWN if library.is_unknown(i)
            else kind.CONTROL if library.is_control(i)
            else kind.BYTE if library.is_byte(i)
            else kind.NORMAL
            for i in ids
        ]
    )  # fmt: skip
    writer.add_bos_token_id(library.bos_id())
    writer.add_eos_token_id(library.eos_id())
    writer.add_unk_token_id(library.unk_id())
    writer.add_add_space_prefix(True)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def test_the_corpus_is_what_it_claims():
    assert len(set(LINES)) == len(LINES) >= 2000
    text = "".join(LINES)
    assert all(sample in text for sample in ("🦙", "北京", "std::vector", "\0", "\x1b", "</s>"))


@pytest.mark.parametrize("form", ["model", "legacy", "gguf_file"])
def test_every_form_encodes_and_decodes_as_sentencepiece(form, library, expected, request):
    ours = load_tokenizer(request.getfixturevalue(form))
    assert (ours.vocab_size, ours.bos_id, ours.eos_ids, ours.unk_id, ours.pad_id) == (
        library.vocab_size(), 1, (2,), 0, None
    )  # fmt: skip
    for line, ids in zip(LINES, expected, strict=True):
        assert ours.encode(line) == ids, repr(line)
        assert ours.decode(ids) == library.decode(ids), repr(line)


def test_transformers_own_conversion_differs_only_where_spaces_meet(converted, expected):
    """The file that transformers 5 makes of a bare tokenizer.model is honoured as it is.

    It is not equal to sentencepiece: a text that begins with a space gets no further one, and the
    merges go by id, not by score, so that runs of spaces are taken whole.
    """
    ours = load_tokenizer(converted)
    theirs = tokenizers.Tokenizer.from_file(str(converted / "tokenizer.json"))
    theirs.encode_special_tokens = True
    different = 0
    for line, ids in zip(LINES, expected, strict=True):
        found = ours.encode(line)
        assert found == theirs.encode(line, add_special_tokens=False).ids
        if found != ids:
            different += 1
            assert re.search("^ |  ", line.replace("▁", " ")), repr(line)
    assert 0 < different < 0.2 * len(LINES)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_ids_decode_as_sentencepiece(data, model, library):
    ours = loaded(model)
    ids = data.draw(st.lists(st.integers(0, library.vocab_size() - 1) | st.integers(0, 260)))
    assert ours.decode(ids) == library.decode(ids)


CONVERSATIONS = json.loads(
    (Path(__file__).parent / "llama2_conversations.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_llama2_chat_as_transformers(name, model, legacy):
    import transformers

    messages = CONVERSATIONS[name]
    source = (Path(__file__).parent / "llama2_chat.jinja").read_text(encoding="utf-8")
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(legacy)
    theirs.chat_template = source
    expected = theirs.apply_chat_template(messages, tokenize=True, return_dict=False)
    for template in (ChatTemplate(), ChatTemplate(source)):
        ids = template.encode(messages, loaded(model))
        assert ids == expected
    assert ChatTemplate(source).is_llama2
    # Meta's reference code, by the library alone: each turn encoded with its begin and end tokens.
    library = sentencepiece.SentencePieceProcessor(model_file=str(model))
    text = theirs.apply_chat_template(messages, tokenize=False)
    by_hand = []
    for turn in text.split("<s>")[1:]:
        by_hand += [1, *library.encode(turn.removesuffix("</s>")), *[2] * turn.endswith("</s>")]
    assert ids == by_hand
