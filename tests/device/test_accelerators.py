"""The same model on an accelerator: logits and greedy text as transformers gives on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from llamas import is_greedy, prompts, saved
from paddock.errors import DeviceError
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.torch import devices
from paddock.inference.runtimes.torch.build import build

PROMPTS = list(prompts((5, 17, 33, 2)))


@pytest.fixture(
    params=[
        pytest.param("cuda", marks=pytest.mark.cuda),
        pytest.param("npu", marks=pytest.mark.npu),
    ]
)
def device(request: pytest.FixtureRequest) -> str:
    try:
        devices.select(request.param)
    except DeviceError as reason:
        pytest.skip(str(reason))
    return str(request.param)


@pytest.mark.parametrize("cache", ["contiguous", "paged"])
@pytest.mark.parametrize("shape", ["mha", "gqa", "70b", "tied", "llama3"])
def test_logits_and_greedy_text(device: str, shape: str, cache: str, tmp_path: Path) -> None:
    model = saved(tmp_path, shape)
    options = {"device": device, "dtype": "fp32", "cache": cache}
    runtime = build(open_checkpoint(tmp_path), **options)  # type: ignore[arg-type]
    with torch.no_grad():
        expected = model(torch.tensor([PROMPTS[2]])).logits[0]
    assert (runtime.all_logits(PROMPTS[2]).cpu() - expected).abs().max() <= 1e-3
    answers = Engine(runtime).run([Request(p, max_new_tokens=64) for p in PROMPTS])
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        assert is_greedy(model, prompt, answer)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_small_dtypes_answer(device: str, dtype: str, tmp_path: Path) -> None:
    saved(tmp_path, "gqa")
    runtime = build(open_checkpoint(tmp_path), device=device, dtype=dtype)
    answers = Engine(runtime).run([Request(p, max_new_tokens=16) for p in PROMPTS])
    assert [len(answer) for answer in answers] == [16] * 4


@pytest.mark.parametrize("cache", ["contiguous", "paged"])
@pytest.mark.parametrize("compiled", [False, True])
def test_recorded_steps_answer_as_plain_ones(
    device: str, cache: str, compiled: bool, tmp_path: Path
) -> None:
    saved(tmp_path, "gqa")
    answers = []
    for graphs in (False, True):
        options = {"graphs": graphs, "compiled": compiled and graphs, "cache": cache}
        runtime = build(open_checkpoint(tmp_path), device=device, dtype="fp32", **options)  # type: ignore[arg-type]
        assert runtime.decode_path == ("graph" if graphs else "torch")
        answers.append(Engine(runtime).run([Request(p, max_new_tokens=64) for p in PROMPTS]))
    assert answers[0] == answers[1]


def test_fp8_weights_answer(device: str, tmp_path: Path) -> None:
    model = saved(tmp_path, "gqa")
    runtime = build(open_checkpoint(tmp_path), device=device, quant="fp8", dtype="bf16")
    with torch.no_grad():
        expected = model(torch.tensor([PROMPTS[2]])).logits[0]
    error = (runtime.all_logits(PROMPTS[2]).cpu() - expected).std() / expected.std()
    assert error < 0.2
