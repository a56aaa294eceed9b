"""Quantized weights from a folder, from a GGUF file and at load: one text, whatever the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddock import LLM
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.quantize_files import quantize_files
from paddock.inference.checkpoint.store import builtin
from paddock.inference.kernels import library
from paddock.inference.llm import GenerationParams

PROMPTS = ("I love Beijing, because", "Once upon a time, a little fox")
RUNTIMES = [
    "torch",
    pytest.param(
        "native",
        marks=pytest.mark.skipif(
            library.unavailable() is not None, reason=f"{library.unavailable()}"
        ),
    ),
]


def texts(path: Path, runtime: str, **options: str) -> list[str]:
    llm = LLM.open(path, runtime=runtime, **options)
    answers = llm.generate(PROMPTS, GenerationParams(max_new_tokens=12))
    llm.close()
    return [answer.text for answer in answers]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("bits", [4, 8])
def test_one_text_whatever_the_way(tmp_path: Path, runtime: str, bits: int) -> None:
    folder = quantize_files(builtin(), tmp_path / "packed", bits=bits)
    ours = texts(folder, runtime)
    assert all(text.strip() for text in ours)
    assert texts(builtin(), runtime, quant=f"int{bits}") == ours
    assert texts(convert(folder, tmp_path / "x.gguf", to="gguf"), runtime) == ours
