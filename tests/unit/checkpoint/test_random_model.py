"""Random models: the same weights in every format, opened by whoever reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from paddock.errors import UsageError
from paddock.inference.checkpoint.inspect import inspect
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.packed import Packed
from paddock.inference.checkpoint.random_model import FORMATS, LIKE, make_random
from paddock.inference.checkpoint.store import builtin
from paddock.inference.checkpoint.verify import checked, checked_stored
from paddock.inference.tokenizer.load import load_tokenizer


def make(folder: Path, format: str, quant: str | None = "int4", **wishes: Any) -> Path:
    out = folder / (f"{format}.gguf" if format == "gguf" else format)
    return make_random(out, like="tiny", quant=quant, format=format, **wishes)


def weights(path: Path) -> dict[str, np.ndarray]:
    return {n: np.array(a, np.float32) for n, a in checked(open_checkpoint(path))}


@pytest.mark.parametrize("quant", ["int4", "int8", None])
def test_the_same_weights_in_every_format(tmp_path: Path, quant: str | None) -> None:
    formats = [format for format in FORMATS if quant or format != "paddock"]
    found = {format: weights(make(tmp_path, format, quant, layers=2)) for format in formats}
    first = found[formats[0]]
    for format, theirs in found.items():
        assert theirs.keys() == first.keys()
        for name, array in theirs.items():
            if format == "hf" and quant:  # bf16 rounds what is quantized
                assert np.allclose(array, first[name], rtol=2**-8, atol=0), name
            else:
                assert np.array_equal(array, first[name]), (format, name)


def test_packed_bytes_are_the_same_in_gguf(tmp_path: Path) -> None:
    ours = dict(checked_stored(open_checkpoint(make(tmp_path, "paddock", layers=1))))
    theirs = dict(checked_stored(open_checkpoint(make(tmp_path, "gguf", layers=1))))
    assert {n: w.bits for n, w in ours.items() if isinstance(w, Packed)} == {
        n: w.bits for n, w in theirs.items() if isinstance(w, Packed)
    }
    for name, weight in ours.items():
        other = theirs[name]
        assert np.array_equal(
            weight.data if isinstance(weight, Packed) else weight,
            other.data if isinstance(other, Packed) else other,
        ), name


def test_seeds_and_scale(tmp_path: Path) -> None:
    first = weights(make(tmp_path / "0", "paddock"))
    again = weights(make(tmp_path / "1", "paddock"))
    other = weights(make(tmp_path / "2", "paddock", seed=1))
    for name, array in first.items():
        assert np.array_equal(array, again[name])
        assert not np.array_equal(array, other[name])
        if array.ndim == 2:
            deep = name.endswith(("wo.weight", "w2.weight"))
            std = 0.02 / (8**0.5 if deep else 1)
            assert np.isclose(array.std(), std, rtol=0.05), name
            assert abs(array.mean()) < std / 15, name


def test_inspection_and_tokenizer(tmp_path: Path) -> None:
    report = inspect(make(tmp_path, "paddock", "int8"))
    assert report.complete and report.config is not None
    assert report.n_params == LIKE["tiny"].n_params()
    fields = gguf.GGUFReader(make(tmp_path, "gguf")).fields
    assert len(fields["tokenizer.ggml.tokens"].data) == LIKE["tiny"].vocab_size


@pytest.mark.parametrize("format", FORMATS)
def test_the_tokenizer_has_a_piece_for_every_row(tmp_path: Path, format: str) -> None:
    tokenizer = load_tokenizer(make(tmp_path, format, layers=1))
    small = load_tokenizer(builtin())
    size = LIKE["tiny"].vocab_size
    assert tokenizer.vocab_size == size > small.vocab_size
    for text in ("Once upon a time", "w2049 w4095", "naïve 北京 \U0001f600", " two  spaces"):
        assert tokenizer.encode(text) == small.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == small.decode(small.encode(text))
    words = [f"w{number}" for number in (small.vocab_size, size - 1)]
    assert tokenizer.decode([small.vocab_size, size - 1]).split() == words


def test_transformers_opens_it(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    out = make(tmp_path, "hf")
    model = transformers.AutoModelForCausalLM.from_pretrained(str(out), dtype=torch.float32)
    ids = transformers.AutoTokenizer.from_pretrained(str(out))("LLaMA is a").input_ids
    logits = model(torch.tensor([ids])).logits
    assert logits.shape[-1] == LIKE["tiny"].vocab_size and bool(logits.isfinite().all())


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"like": "llama2-7bb"}, "did you mean 'llama2-7b'"),
        ({"quant": "int5"}, "quant is 'int5'"),
        ({"quant": None, "format": "paddock"}, "format is 'paddock'"),
        ({"format": "meta"}, "use paddock"),
        ({"layers": 0}, "layers is 0"),
    ],
)
def test_wishes_that_cannot_be_honoured(tmp_path: Path, wishes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make_random(tmp_path / "out", **({"like": "tiny"} | wishes))
    assert not list(tmp_path.iterdir())
