"""The native runtime against transformers: same weights, same logits, same greedy text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from llamas import SHAPES, greedy, is_greedy, prompts, saved
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.native import library
from paddock.inference.runtimes.native.build import build
from paddock.inference.runtimes.native.runtime import NativeRuntime

pytestmark = pytest.mark.skipif(
    library.unavailable() is not None, reason=str(library.unavailable())
)

PROMPTS = list(prompts((5, 17, 33, 1)))
LONG, SHORT = 256, 48
FULL = ("mha", "gqa", "70b", "tied")
Pair = tuple[LlamaForCausalLM, Path, int]


@pytest.fixture(scope="module", params=SHAPES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A model, its folder, and how many tokens to compare."""
    folder = tmp_path_factory.mktemp(request.param)
    return saved(folder, request.param), folder, LONG if request.param in FULL else SHORT


def runtime(folder: Path, **options: object) -> NativeRuntime:
    return build(open_checkpoint(folder), dtype="fp32", **options)  # type: ignore[arg-type]


def answers(
    folder: Path, which: list[list[int]], n: int, use_past: bool = True, **options: object
) -> list[list[int]]:
    engine = Engine(runtime(folder, **options))
    return engine.run([Request(p, max_new_tokens=n, use_past=use_past) for p in which])


def agrees(model: LlamaForCausalLM, which: list[list[int]], given: list[list[int]], n: int) -> None:
    for prompt, answer in zip(which, given, strict=True):
        assert len(answer) == n
        assert is_greedy(model, prompt, answer)


def theirs(model: LlamaForCausalLM, prompt: list[int]) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor([prompt])).logits[0].numpy()


@pytest.mark.parametrize("instructions", ["best", "base"])
@pytest.mark.parametrize("cache", ["contiguous", "paged"])
def test_logits(pair: Pair, cache: str, instructions: str) -> None:
    model, folder, _ = pair
    ours = runtime(folder, cache=cache, instructions=instructions)
    for prompt in (*PROMPTS, next(prompts((300,)))):
        assert np.abs(ours.all_logits(prompt) - theirs(model, prompt)).max() <= 1e-4


@pytest.mark.parametrize("cache", ["contiguous", "paged"])
def test_greedy_tokens_of_a_ragged_batch_of_four(pair: Pair, cache: str) -> None:
    model, folder, n = pair
    agrees(model, PROMPTS, answers(folder, PROMPTS, n, cache=cache), n)


def test_without_cache(pair: Pair) -> None:
    model, folder, n = pair
    n //= 2  # each token costs the whole text of all four
    agrees(model, PROMPTS, answers(folder, PROMPTS, n, use_past=False), n)


def test_more_requests_than_places_wait_their_turn(pair: Pair) -> None:
    model, folder, _ = pair
    agrees(model, PROMPTS, answers(folder, PROMPTS, 30, max_batch=2), 30)


def test_the_answer_is_that_of_generate_itself(pair: Pair) -> None:
    model, folder, _ = pair
    assert answers(folder, PROMPTS[:1], 24) == [greedy(model, PROMPTS[0], 24)]


def test_a_prompt_in_chunks_gives_the_same_text(tmp_path: Path) -> None:
    model = saved(tmp_path, "gqa", max_position_embeddings=2048)
    prompt = next(prompts((1300,)))
    ours = runtime(tmp_path)
    assert np.abs(ours.all_logits(prompt) - theirs(model, prompt)).max() <= 1e-4
    agrees(model, [prompt], Engine(ours).run([Request(prompt, max_new_tokens=20)]), 20)


@pytest.mark.parametrize("form", ["hf", "meta", "mindspore", "gguf"])
def test_every_format_of_the_files(form: str, tmp_path: Path) -> None:
    model = saved(tmp_path / "hf", "gqa")
    out = tmp_path / ("out.gguf" if form == "gguf" else "out")
    there = convert(tmp_path / "hf", out, to=form, dtype="fp32")  # type: ignore[arg-type]
    ours = runtime(there)
    assert np.abs(ours.all_logits(PROMPTS[2]) - theirs(model, PROMPTS[2])).max() <= 1e-4


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_small_dtypes_are_the_rounded_weights_and_nothing_more(dtype: str, tmp_path: Path) -> None:
    model = saved(tmp_path, "gqa")
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    ours = build(open_checkpoint(tmp_path), dtype=dtype, kv="fp32").all_logits(PROMPTS[2])
    for parameter in model.parameters():
        parameter.data = parameter.data.to(half).float()
    # Sums are fp32: what is left is what rounding the weights does, in fp32 arithmetic.
    assert np.abs(ours - theirs(model, PROMPTS[2])).max() <= 1e-4
