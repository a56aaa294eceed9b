"""No text becomes a control token, and no text is too strange, in any implementation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.errors import TokenizerError
from paddock.inference.tokenizer.hf import HfTokenizer
from paddock.inference.tokenizer.load import load_tokenizer
from tokenizer_corpus import lines

MARKUP = [
    "<s>", "</s>", "<unk>", "<pad>", "[INST]", "<|im_start|>", "<|begin_of_text|>", "<|eot_id|>",
    "<|end_of_text|>", "<｜User｜>", "<0x0A>",
]  # fmt: skip

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
              "use_regex": False}  # fmt: skip


def barred(tokenizer) -> set[int]:
    return set(tokenizer.specials.values()) - {tokenizer.unk_id}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(MARKUP) | st.text(max_size=3)).map("".join))
def test_plain_text_yields_no_control_token(tokenizer, text):
    ids = tokenizer.encode(text)
    assert barred(tokenizer).isdisjoint(ids)
    assert tokenizer.unk_id not in ids or tokenizer.unk_id is None


def test_what_is_barred_is_what_the_vocabularies_mark(tokenizer):
    known = {"<s>", "</s>", "<|im_start|>", "<｜User｜>", "<|eot_id|>", "<|begin_of_text|>"}
    for token in range(tokenizer.vocab_size):
        if tokenizer.id_to_piece(token) in known:
            assert token in barred(tokenizer)


def test_added_words_that_are_no_markup_still_match(byte_level, marked_model):
    for path, word in ((byte_level, "llama"), (marked_model, "paddock")):
        ours = load_tokenizer(path)
        assert word in [ours.id_to_piece(token) for token in ours.encode(f"a {word} b")]
        assert ours.decode(ours.encode(f"a {word} b")) == f"a {word} b"


def test_turn_markers_are_shown_and_control_tokens_are_not(byte_level, marked_model):
    for path, marker in ((byte_level, "<｜User｜>"), (marked_model, "<|im_start|>")):
        ours = load_tokenizer(path)
        ids = [ours.bos_id, *ours.encode("a"), ours.specials[marker], *ours.eos_ids]
        assert ours.decode(ids) == f"a{marker}"
        bos, eos = (ours.id_to_piece(token) for token in (ours.bos_id, ours.eos_ids[0]))
        spelled = ours.decode(ids, skip_special=False)
        assert spelled in (f"{bos}a{marker}{eos}", f"{bos} a{marker}{eos}")


def test_every_line_survives(tokenizer):
    for line in lines():
        back = tokenizer.decode(tokenizer.encode(line))
        # SentencePiece spells a space U+2581, so it cannot tell the two apart; the form that
        # transformers makes takes a leading space for its own.
        assert back.replace("▁", " ").strip(" ") == line.replace("▁", " ").strip(" ")
        if tokenizer.drop_leading == 0:
            assert back == line


def test_the_byte_level_form_equals_its_library_and_its_gguf(byte_level, byte_level_gguf):
    import tokenizers

    library = tokenizers.Tokenizer.from_file(str(byte_level / "tokenizer.json"))
    fenced = list(load_tokenizer(byte_level).specials)
    ours, other = load_tokenizer(byte_level), load_tokenizer(byte_level_gguf)
    assert ours.specials == other.specials
    assert (ours.bos_id, ours.eos_ids) == (other.bos_id, other.eos_ids)
    for line in lines():
        ids = ours.encode(line)
        assert other.encode(line) == ids
        if not any(piece in line for piece in fenced):
            assert ids == library.encode(line, add_special_tokens=False).ids
            assert ours.decode(ids) == library.decode(ids)


@pytest.mark.parametrize("text", ["\0", "a\0b", "\0\0\0", "\x01\x02\x7f"])
def test_control_characters_come_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("text", ["\ud800", "ok \udfff", "😀"[:1] + "\ud83d"])
def test_lone_surrogates_are_named(tokenizer, text):
    with pytest.raises(TokenizerError, match=r"lone surrogate U\+D[0-9A-F]{3} at character \d"):
        tokenizer.encode(text)


@pytest.mark.parametrize("form", ["small_model", "byte_level"])
def test_a_megabyte_is_encoded(form, request):
    ours = load_tokenizer(request.getfixturevalue(form))
    text = "word " * 50_000 + "a" * 250_000 + " " * 250_000 + "你好" * 42_000
    assert len(text.encode()) > 10**6
    assert ours.decode(ours.encode(text)) == text


def test_begin_and_end_by_request(tokenizer):
    ids = tokenizer.encode("hi")
    framed = tokenizer.encode("hi", bos=True, eos=True)
    assert framed == [tokenizer.bos_id, *ids, tokenizer.eos_ids[0]]
    assert tokenizer.decode(framed) == "hi"


@pytest.mark.parametrize("token", [-1, 10**6])
def test_ids_outside_the_vocabulary(tokenizer, token):
    with pytest.raises(TokenizerError, match=f"token id {token} is not in the vocabulary"):
        tokenizer.decode([token])
    with pytest.raises(TokenizerError, match=str(token)):
        tokenizer.id_to_piece(token)


def test_a_vocabulary_without_begin_and_end_says_so():
    data = {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
            "decoder": BYTE_LEVEL}  # fmt: skip
    ours = HfTokenizer.from_data(data, {}, origin="tiny")
    assert (ours.bos_id, ours.eos_ids, ours.encode("a")) == (None, (), [0])
    with pytest.raises(TokenizerError, match="no begin token"):
        ours.encode("a", bos=True)
    with pytest.raises(TokenizerError, match="no end token"):
        ours.encode("a", eos=True)


def test_merges_that_lead_to_a_control_token_are_refused():
    vocab = {"<": 0, "s": 1, ">": 2, "<s": 3, "<s>": 4}
    data = {
        "added_tokens": [{"id": 4, "content": "<s>", "special": True, "single_word": False,
                          "lstrip": False, "rstrip": False, "normalized": False}],
        "model": {"type": "BPE", "vocab": vocab, "merges": [["<", "s"], ["<s", ">"]]},
        "decoder": BYTE_LEVEL,
    }  # fmt: skip
    ours = HfTokenizer.from_data(data, {}, origin="evil.json")
    with pytest.raises(TokenizerError, match=r"evil\.json turns plain text into .*'<s>'"):
        ours.encode("<s>")
