"""The torch runtime against transformers: same weights, same logits, same greedy text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from llamas import SHAPES, greedy, prompts, saved
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.open import open_checkpoint
from transformers import LlamaForCausalLM

from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.torch.build import build
from paddock.inference.runtimes.torch.runtime import TorchRuntime

PROMPTS = list(prompts((5, 17, 33, 2)))
N = 256


@pytest.fixture(scope="module", params=SHAPES)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LlamaForCausalLM, Path, list[list[int]]]:
    folder = tmp_path_factory.mktemp(request.param)
    model = saved(folder, request.param)
    return model, folder, [greedy(model, prompt, N) for prompt in PROMPTS]


def runtime(folder: Path, **options: object) -> TorchRuntime:
    return build(open_checkpoint(folder), device="cpu", dtype="fp32", **options)  # type: ignore[arg-type]


def answers(folder: Path, which: list[list[int]], use_past: bool = True, **options: object):  # type: ignore[no-untyped-def]
    engine = Engine(runtime(folder, **options))
    return engine.run([Request(p, max_new_tokens=N, use_past=use_past) for p in which])


def test_logits(pair) -> None:  # type: ignore[no-untyped-def]
    model, folder, _ = pair
    for prompt in PROMPTS:
        with torch.no_grad():
            expected = model(torch.tensor([prompt])).logits[0]
        assert (runtime(folder).all_logits(prompt) - expected).abs().max() <= 1e-4


@pytest.mark.parametrize("cache", ["contiguous", "paged"])
def test_256_greedy_tokens_alone_and_in_a_ragged_batch(pair, cache: str) -> None:  # type: ignore[no-untyped-def]
    _, folder, expected = pair
    assert answers(folder, PROMPTS[1:2], cache=cache) == expected[1:2]
    assert answers(folder, PROMPTS, cache=cache) == expected
    # More requests than places: the rest waits its turn.
    assert answers(folder, PROMPTS, cache=cache, max_batch=2) == expected


def test_256_greedy_tokens_without_cache(pair) -> None:  # type: ignore[no-untyped-def]
    _, folder, expected = pair
    assert answers(folder, PROMPTS[:1], use_past=False) == expected[:1]


def test_ragged_batch_without_cache(tmp_path: Path) -> None:
    model = saved(tmp_path, "gqa")
    expected = [greedy(model, prompt, 40) for prompt in PROMPTS]
    engine = Engine(runtime(tmp_path))
    got = engine.run([Request(p, max_new_tokens=40, use_past=False) for p in PROMPTS])
    assert got == expected


def test_a_prompt_in_chunks_gives_the_same_text(tmp_path: Path) -> None:
    model = saved(tmp_path, "gqa", max_position_embeddings=2048)
    prompt = next(prompts((1300,)))
    got = Engine(runtime(tmp_path)).run([Request(prompt, max_new_tokens=20)])
    assert got == [greedy(model, prompt, 20)]


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
    assert answers(back, [prompt]) == [greedy(model, prompt, N)]
    assert answers(there, [prompt]) == [greedy(model, prompt, N)]


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
