from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from autotiny import Tiny

from paddock import AutoTokenizer, LlamaTokenizer, Tensor, int32
from paddock.errors import ModelNotFound, TokenizerError, UsageError

LOVE = "I love Beijing, because"


@pytest.fixture(scope="module")
def tokenizer(tiny: Tiny) -> LlamaTokenizer:
    return AutoTokenizer.from_pretrained(str(tiny.hf))


@pytest.fixture(scope="module")
def spm(tiny: Tiny) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(tiny.tokenizer))


def test_one_text_gives_flat_lists(tokenizer: LlamaTokenizer, spm: object) -> None:
    encoded = tokenizer(LOVE)
    assert encoded["input_ids"] == [1, *spm.encode(LOVE)]  # type: ignore[attr-defined]
    assert encoded.attention_mask == [1] * len(encoded.input_ids)
    assert list(encoded.keys()) == ["input_ids", "attention_mask"]
    assert tokenizer.encode(LOVE) == encoded.input_ids
    assert tokenizer(LOVE, add_special_tokens=False).input_ids == encoded.input_ids[1:]
    assert list(tokenizer(LOVE, return_attention_mask=False)) == ["input_ids"]


def test_several_texts_give_nested_lists(tokenizer: LlamaTokenizer) -> None:
    ragged = tokenizer([LOVE, "The child"]).input_ids
    assert len(ragged[0]) != len(ragged[1])
    padded = tokenizer([LOVE, "The child"], padding=True)
    length = len(ragged[0])
    assert padded.input_ids == [ragged[0], ragged[1] + [0] * (length - len(ragged[1]))]
    assert [sum(mask) for mask in padded.attention_mask] == [len(row) for row in ragged]
    full = tokenizer([LOVE, "The child"], max_length=40, padding="max_length")
    assert [len(row) for row in full.input_ids] == [40, 40]
    assert tokenizer([LOVE]).input_ids == ragged[:1]


def test_max_length_truncates_as_in_mindformers(tokenizer: LlamaTokenizer) -> None:
    whole = tokenizer(LOVE).input_ids
    assert tokenizer(LOVE, max_length=4).input_ids == whole[:4]
    assert tokenizer(LOVE, max_length=4, truncation=True).input_ids == whole[:4]
    assert tokenizer(LOVE, max_length=4, padding="max_length").input_ids == whole
    cut = tokenizer(LOVE, max_length=4, padding="max_length", truncation=True)
    assert cut.input_ids == whole[:4]
    assert tokenizer(LOVE, max_length=4, truncation=False).input_ids == whole
    with pytest.warns(UserWarning, match="pads nothing"):
        assert tokenizer(LOVE, padding="max_length").input_ids == whole


def test_tensors(tokenizer: LlamaTokenizer) -> None:
    whole = tokenizer(LOVE).input_ids
    ms = tokenizer(LOVE, return_tensors="ms").input_ids
    assert isinstance(ms, Tensor) and ms.dtype == int32 and ms.tolist() == whole
    assert type(tokenizer([LOVE], return_tensors="np").input_ids) is np.ndarray
    assert tokenizer([LOVE], return_tensors="pt").input_ids.tolist() == [whole]
    with pytest.raises(UsageError, match="padding=True"):
        tokenizer([LOVE, "The"], return_tensors="np")
    with pytest.raises(UsageError, match="tf"):
        tokenizer(LOVE, return_tensors="tf")


def test_decode_spells_special_tokens_as_mindformers_does(tokenizer: LlamaTokenizer) -> None:
    ids = tokenizer(LOVE).input_ids
    assert tokenizer.decode(ids) == f"<s>{LOVE}"
    assert tokenizer.decode([*ids, 2]) == f"<s> {LOVE}</s>"
    assert tokenizer.decode([*ids, 2, 0, 0]) == f"<s> {LOVE}</s><unk><unk>"
    assert tokenizer.decode([*ids, 2, *ids]) == f"<s> {LOVE}</s><s>{LOVE}"
    assert tokenizer.decode([*ids, 2], skip_special_tokens=True) == LOVE
    assert tokenizer.decode(1) == "<s>"
    assert tokenizer.decode([]) == ""


def test_decode_of_several(tokenizer: LlamaTokenizer) -> None:
    ids = tokenizer(LOVE).input_ids
    rows = [np.asarray(ids, np.int32), np.asarray([1, *ids[3:]], np.int32)]
    assert tokenizer.decode(rows) == [tokenizer.decode(row) for row in rows]
    assert tokenizer.decode(np.array([ids, ids])) == [f"<s>{LOVE}"] * 2
    assert tokenizer.batch_decode(rows, skip_special_tokens=True)[0] == LOVE


def test_special_tokens_in_text_are_text(tokenizer: LlamaTokenizer) -> None:
    ids = tokenizer("</s><s>", add_special_tokens=False).input_ids
    assert not {1, 2} & set(ids)
    assert tokenizer.decode(ids) == "</s><s>"


def test_names_of_tokens(tokenizer: LlamaTokenizer, spm: object) -> None:
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 0)
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<s>", "</s>")
    assert (tokenizer.unk_token, tokenizer.pad_token) == ("<unk>", "<unk>")
    assert tokenizer.all_special_ids == [1, 2, 0]
    assert tokenizer.all_special_tokens == ["<s>", "</s>", "<unk>"]
    assert len(tokenizer) == tokenizer.vocab_size == len(tokenizer.get_vocab()) == 320
    pieces = tokenizer.tokenize(LOVE)
    assert pieces == spm.encode(LOVE, out_type=str)  # type: ignore[attr-defined]
    ids = tokenizer.convert_tokens_to_ids(pieces)
    assert tokenizer.convert_ids_to_tokens(ids) == pieces
    assert tokenizer.convert_ids_to_tokens(1) == "<s>"
    assert tokenizer.convert_ids_to_tokens(np.array([1, *ids]), skip_special_tokens=True) == pieces
    assert tokenizer.convert_tokens_to_ids("no such piece") == 0


def test_arguments(tiny: Tiny) -> None:
    path = str(tiny.tokenizer)
    framed = LlamaTokenizer(vocab_file=path, add_bos_token=False, add_eos_token=True)
    assert framed("The").input_ids[-1] == 2 and framed("The").input_ids[0] != 1
    assert framed("The child walked", max_length=3).input_ids[-1] == 2
    assert LlamaTokenizer(path, pad_token="</s>").pad_token_id == 2
    assert LlamaTokenizer(path, unk_token="<unk>", legacy=True).unk_token_id == 0
    with pytest.raises(TokenizerError, match=r"<pad>"):
        LlamaTokenizer(path, pad_token="<pad>")
    with pytest.raises(UsageError, match="did you mean 'pad_token'"):
        LlamaTokenizer(path, pad_tokn="</s>")
    with pytest.raises(UsageError, match="legacy"):
        LlamaTokenizer(path, legacy=False)


def test_wrong_calls(tokenizer: LlamaTokenizer) -> None:
    with pytest.raises(UsageError, match="did you mean 'max_length'"):
        tokenizer(LOVE, padding="maxlength")
    with pytest.raises(UsageError, match="int"):
        tokenizer([5])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="truncation"):
        tokenizer(LOVE, truncation="all")


def test_paths(tiny: Tiny, tmp_path: Path) -> None:
    (copied,) = AutoTokenizer.from_pretrained(str(tiny.tokenizer)).save_pretrained(tmp_path)
    assert Path(copied) == tmp_path / "tokenizer.model"
    assert LlamaTokenizer.from_pretrained(str(tmp_path))(LOVE).input_ids[0] == 1
    named = tmp_path / "named.yaml"
    named.write_text(f"processor:\n  tokenizer:\n    vocab_file: {tiny.tokenizer}\n")
    assert AutoTokenizer.from_pretrained(str(named)).vocab_size == 320
    with pytest.raises(ModelNotFound, match=r"llama2_7b"):
        AutoTokenizer.from_pretrained("llama2_7b")
    with pytest.raises(ModelNotFound, match=r"no\.model"):
        AutoTokenizer.from_pretrained("./no.model")


def test_the_real_llama_2_tokenizer(shared_data: Path) -> None:
    """The text of the notes, spelled as MindFormers showed it: ``['<s>I love Beijing, …']``."""
    file = shared_data / "llama2-tokenizer" / "tokenizer.model"
    if not file.is_file():
        pytest.skip(f"no {file.name} of Llama 2 in shared/data/llama2-tokenizer")
    tokenizer = LlamaTokenizer(str(file))
    text = "I love Beijing, because it’s a city that is constantly changing."
    assert tokenizer(LOVE).input_ids == [1, 306, 5360, 1522, 823, 292, 29892, 1363]
    assert tokenizer.decode([tokenizer(text).input_ids]) == [f"<s>{text}"]
