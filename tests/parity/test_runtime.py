"""The torch runtime against transformers: same weights, same logits, same greedy text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from llamas import SHAPES, greedy, is_greedy, prompts, saved
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.torch.build import build
from paddock.inference.runtimes.torch.runtime import TorchRuntime

PROMPTS = list(prompts((5, 17, 33, 2)))
LONG, SHORT = 256, 48
FULL = ("mha", "gqa", "70b")
"""The head layouts of Llama 2, for which long answers are compared; the rest differ by little."""


Pair = tuple[LlamaForCausalLM, Path, int]


@pytest.fixture(scope="module", params=SHAPES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A model, its folder, and how many tokens to compare."""
    folder = tmp_path_factory.mktemp(request.param)
    return saved(folder, request.param), folder, LONG if request.param in FULL else SHORT


def runtime(folder: Path, **options: object) -> TorchRuntime:
    return build(open_checkpoint(folder), device="cpu", dtype="fp32", **options)  # type: ignore[arg-type]


def answers(
    folder: Path, which: list[list[int]], n: int, use_past: bool = True, **options: object
) -> list[list[int]]:
    engine = Engine(runtime(folder, **options))
    return engine.run([Request(p, max_new_tokens=n, use_past=use_past) for p in which])


def agrees(model: LlamaForCausalLM, which: list[list[int]], given: list[list[int]], n: int) -> None:
    for prompt, answer in zip(which, given, strict=True):
        assert len(answer) == n
        assert is_greedy(model, prompt, answer)


def test_logits(pair: Pair) -> None:
    model, folder, _ = pair
    ours = runtime(folder)
    for prompt in PROMPTS:
        with torch.no_grad():
            expected = model(torch.tensor([prompt])).logits[0]
        assert (ours.all_logits(prompt) - expected).abs().max() <= 1e-4


@pytest.mark.parametrize("cache", ["contiguous", "paged"])
def test_greedy_tokens_of_a_ragged_batch_of_four(pair: Pair, cache: str) -> None:
    model, folder, n = pair
    agrees(model, PROMPTS, answers(folder, PROMPTS, n, cache=cache), n)


@pytest.mark.parametrize("use_past", [True, False])
def test_greedy_tokens_of_one_prompt(pair: Pair, use_past: bool) -> None:
    model, folder, n = pair
    agrees(model, PROMPTS[1:2], answers(folder, PROMPTS[1:2], n, use_past=use_past), n)


def test_a_ragged_batch_without_cache(pair: Pair) -> None:
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
    got = Engine(runtime(tmp_path)).run([Request(prompt, max_new_tokens=20)])
    agrees(model, [prompt], got, 20)


@pytest.mark.parametrize("shape", ["mha", "gqa", "70b"])
@pytest.mark.parametrize("form", ["hf", "meta", "mindspore", "gguf"])
def test_the_same_after_a_round_trip(shape: str, form: str, tmp_path: Path) -> None:
    model = saved(tmp_path / "hf", shape)
    out = tmp_path / ("out.gguf" if form == "gguf" else "out")
    there = convert(tmp_path / "hf", out, to=form, dtype="fp32")  # type: ignore[arg-type]
    back = convert(there, tmp_path / "back", to="hf", dtype="fp32")
    prompt = PROMPTS[2]
    with torch.no_grad():
        expected = model(torch.tensor([prompt])).logits[0]
    for folder in (there, back):
        assert (runtime(folder).all_logits(prompt) - expected).abs().max() <= 1e-4
    given = answers(there, [prompt], LONG)
    agrees(model, [prompt], given, LONG)
    assert answers(back, [prompt], 40) == [given[0][:40]]


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_small_dtypes_stay_close(dtype: str, tmp_path: Path) -> None:
    model = saved(tmp_path, "gqa")
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    prompt = PROMPTS[2]
    with torch.no_grad():
        exact = model(torch.tensor([prompt])).logits[0]
        theirs = model.to(half)(torch.tensor([prompt])).logits[0].float()
    ours = build(open_checkpoint(tmp_path), device="cpu", dtype=dtype).all_logits(prompt)
    # As close to the exact logits as transformers in the same dtype, give or take rounding luck.
    assert (ours - exact).abs().max() <= 1.5 * (theirs - exact).abs().max()


def test_what_is_loaded_is_bit_for_bit_what_was_stored(tmp_path: Path) -> None:
    model = saved(tmp_path, "gqa")
    loaded = runtime(tmp_path).model
    layer = model.model.layers[1]
    attention = layer.self_attn
    joined = torch.cat([getattr(attention, f"{part}_proj").weight for part in "qkv"])
    assert torch.equal(loaded.layers[1].attention.wqkv.weight, joined)
    joined = torch.cat([layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight])
    assert torch.equal(loaded.layers[1].feed_forward.w13.weight, joined)
    assert torch.equal(loaded.output.weight, model.lm_head.weight)
