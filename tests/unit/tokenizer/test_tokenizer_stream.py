"""Streaming gives the text that decoding gives, in whole characters."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.errors import TokenizerError
from paddock.inference.tokenizer.load import load_tokenizer
from paddock.inference.tokenizer.stream import TextDecoder
from tokenizer_corpus import lines


@settings(max_examples=60, deadline=None)
@given(data=st.data(), skip=st.booleans())
def test_any_ids_stream_as_they_decode(tokenizer, data, skip):
    every = st.integers(0, tokenizer.vocab_size - 1)
    # Byte pieces are the first of both kinds of vocabulary.
    ids = data.draw(st.lists(every | st.integers(0, 260)))
    decoder = TextDecoder(tokenizer, skip_special=skip)
    parts = [decoder.push(token) for token in ids]
    assert "".join(parts) + decoder.flush() == tokenizer.decode(ids, skip_special=skip)


def test_every_prefix_of_a_text_is_a_prefix_and_whole(tokenizer):
    for line in lines()[::7]:
        if "\ufffd" in line:
            continue
        ids = tokenizer.encode(line)
        text = tokenizer.decode(ids)
        decoder = TextDecoder(tokenizer)
        shown = ""
        for token in ids:
            shown += decoder.push(token)
            assert text.startswith(shown)
        assert decoder.flush() == ""
        assert shown == text


def byte_ids(tokenizer, data: bytes) -> list[int]:
    return [tokenizer.encode("\0")[-1] + byte for byte in data]


CASES = {
    "a character in four bytes": (b"\xf0\x9f\xa6\x99", ["", "", "", "🦙"], ""),
    "cut off": (b"\xf0\x9f", ["", ""], "\ufffd\ufffd"),
    "broken by another": (b"\xe4\xbda", ["", "", "\ufffd\ufffda"], ""),
    "no lead": (b"\x80\x80", ["\ufffd", "\ufffd"], ""),
    "a surrogate": (b"\xed\xa0\x80", ["", "", "\ufffd\ufffd\ufffd"], ""),
    "overlong": (b"\xc0\xaf", ["\ufffd", "\ufffd"], ""),
    "a space in bytes": (b" a", [" ", "a"], ""),
}


@pytest.mark.parametrize("name", CASES)
def test_bytes(small_model, name):
    ours = load_tokenizer(small_model)
    data, pushed, flushed = CASES[name]
    decoder = TextDecoder(ours)
    assert [decoder.push(token) for token in byte_ids(ours, data)] == pushed
    assert decoder.flush() == flushed


def test_a_control_token_ends_a_character(small_model):
    ours = load_tokenizer(small_model)
    half, rest = byte_ids(ours, b"\xe4\xbd"), byte_ids(ours, b"\xa0")
    decoder = TextDecoder(ours, skip_special=False)
    pushed = [decoder.push(token) for token in [*half, ours.bos_id, *rest]]
    assert pushed == ["", "", "\ufffd\ufffd<s>", "\ufffd"]


def test_the_leading_space_is_dropped_once_and_only_at_the_start(small_model):
    ours = load_tokenizer(small_model)
    hello = ours.encode("the the")
    bos, eos = ours.bos_id, ours.eos_ids[0]
    decoder = TextDecoder(ours)
    text = "".join(decoder.push(token) for token in [bos, *hello, eos, bos, *hello])
    assert text + decoder.flush() == "the the the the"
    # After flush a new text begins.
    assert "".join(decoder.push(token) for token in hello) == "the the"


def test_a_bad_id_is_refused_and_forgotten(small_model):
    ours = load_tokenizer(small_model)
    decoder = TextDecoder(ours)
    first, second = byte_ids(ours, "é".encode())
    decoder.push(first)
    with pytest.raises(TokenizerError):
        decoder.push(ours.vocab_size)
    assert decoder.push(second) == "é"


def test_a_vocabulary_that_removes_all_leading_spaces(small_model):
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    from paddock.inference.tokenizer.sentencepiece import SentencePieceTokenizer

    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(small_model.read_bytes())
    proto.normalizer_spec.remove_extra_whitespaces = True
    data = proto.SerializeToString()
    ours, library = SentencePieceTokenizer(data), sentencepiece.SentencePieceProcessor()
    library.LoadFromSerializedProto(data)
    space, the = library.piece_to_id("▁"), library.encode("the")
    for ids in ([space, space, *the], [1, space, 1, *the, *the], [0, *the], [*the, space, *the]):
        assert ours.decode(ids) == library.decode(ids)
