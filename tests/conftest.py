"""What every test may use: the shared data beside the checkout, small vocabularies, few threads."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The ``shared`` folder beside the checkout; the test is skipped where there is none."""
    for parent in ROOT.parents:
        if (parent / "shared" / "data").is_dir():
            return parent / "shared"
    pytest.skip("no shared/data folder beside the checkout")


@pytest.fixture(scope="session")
def llama2_model(shared_dir: Path) -> Path:
    """The real Llama 2 ``tokenizer.model``; the test is skipped where it is absent."""
    path = shared_dir / "data" / "llama2-tokenizer" / "tokenizer.model"
    if not path.is_file():
        pytest.skip("the real Llama 2 tokenizer.model is not in shared/data/llama2-tokenizer")
    return path


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece BPE ``tokenizer.model`` made as Llama 2's was, with about 600 pieces."""
    import sentencepiece

    from tokenizer_corpus import lines

    counts = Counter("".join(lines()))
    common = [line for line in lines() if line and all(counts[char] > 40 for char in line)]
    folder = tmp_path_factory.mktemp("small-tokenizer")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(common),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=600,
        byte_fallback=True,
        split_digits=True,
        character_coverage=0.98,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        minloglevel=2,
    )
    return folder / "tokenizer.model"


@pytest.fixture(scope="session")
def mindspore_python() -> Path:
    """A Python with MindSpore and MindFormers, made if need be; the test is skipped without."""
    import mindspore_env

    try:
        return mindspore_env.interpreter()
    except mindspore_env.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """One thread for a test that has imported torch.

    The models of the tests are tiny: a second thread would only wait at barriers, and on a busy
    machine it waits for a whole time slice.
    """
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads") and torch.get_num_threads() > 1:
        torch.set_num_threads(1)
