"""llama.cpp opens what we write as Q4_0 and Q8_0 and says what we say from the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paddock import LLM
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.quantize_files import quantize_files
from paddock.inference.checkpoint.random_model import make_random
from paddock.inference.checkpoint.store import builtin
from paddock.inference.llm import GenerationParams

pytestmark = pytest.mark.peers

PROMPTS = ("I love Beijing, because", "Once upon a time, a little fox", "LLaMA is a")


def complete(path: Path, prompts: tuple[str, ...], tokens: int) -> list[str]:
    """llama.cpp's greedy continuations, through whichever of its two packages is there."""
    try:
        import llama_cpp
    except ImportError:
        return _xllamacpp(path, prompts, tokens)
    model = llama_cpp.Llama(str(path), n_ctx=256, n_threads=2, verbose=False)
    answers = (model(prompt, max_tokens=tokens, temperature=0.0) for prompt in prompts)
    return [answer["choices"][0]["text"] for answer in answers]


def _xllamacpp(path: Path, prompts: tuple[str, ...], tokens: int) -> list[str]:
    peer = pytest.importorskip("xllamacpp", reason="needs llama-cpp-python or xllamacpp")
    params = peer.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 256, 1, 0
    params.cpuparams.n_threads = 2
    server = peer.Server(params)
    found = []
    for prompt in prompts:
        body: dict[str, Any] = {
            "prompt": prompt, "n_predict": tokens, "temperature": 0.0, "cache_prompt": False,
        }  # fmt: skip
        answer = server.handle_completions(body)
        answer = json.loads(answer) if isinstance(answer, str) else answer
        found.append(answer.get("content") or answer["choices"][0]["text"])
    return found


@pytest.mark.parametrize("bits", [4, 8])
def test_the_built_in_model_says_the_same(tmp_path: Path, bits: int) -> None:
    folder = quantize_files(builtin(), tmp_path / "packed", bits=bits)
    gguf = convert(folder, tmp_path / "x.gguf", to="gguf")
    llm = LLM.open(folder)
    ours = [answer.text for answer in llm.generate(PROMPTS, GenerationParams(max_new_tokens=16))]
    llm.close()
    assert complete(gguf, PROMPTS, 16) == ours


@pytest.mark.parametrize("quant", ["int4", "int8", None])
def test_random_models_are_opened(tmp_path: Path, quant: str | None) -> None:
    out = make_random(tmp_path / "x.gguf", like="tiny", quant=quant, format="gguf", layers=2)
    (answer,) = complete(out, ("LLaMA is a",), 8)
    assert answer
