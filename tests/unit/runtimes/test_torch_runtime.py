"""The torch runtime's manners: what it refuses, what it keeps apart, how its caches lie."""

from __future__ import annotations

import pytest
import torch

from paddock.errors import DeviceError, GenerationError, UsageError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.runtimes.base import Batch, Limits, SamplingParams, Work
from paddock.inference.runtimes.torch import devices
from paddock.inference.runtimes.torch.cache import bytes_per_position, new_cache
from paddock.inference.runtimes.torch.llama import Llama
from paddock.inference.runtimes.torch.runtime import TorchRuntime

CONFIG = ModelConfig(
    vocab_size=64, dim=32, n_layers=2, n_heads=4, n_kv_heads=2, hidden_dim=48, head_dim=8,
    max_seq_len=32,
)  # fmt: skip
GREEDY = SamplingParams()


@pytest.fixture(params=["contiguous", "paged"])
def runtime(request: pytest.FixtureRequest) -> TorchRuntime:
    torch.manual_seed(0)
    model = Llama(CONFIG).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.normal_(0, 0.3)
    limits = Limits(64, 32, 32, 4, 3) if request.param == "contiguous" else Limits(64, 32, 4, 24, 3)
    cache = new_cache(request.param, CONFIG, "fp32", torch.device("cpu"), limits)
    return TorchRuntime(model, cache, limits, "fp32")


def pages(runtime: TorchRuntime, which: int) -> tuple[int, ...]:
    if runtime.limits.page_size == 32:
        return (which,)
    return tuple(range(which, 24, 3))


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (Work(5, [1] * 33, 0, (0,) * 99, GREEDY), "position 33"),
        (Work(5, [1], 32, (0,) * 99, GREEDY), "position 33"),
        (Work(5, [64], 0, (0,), GREEDY), r"outside 0\.\.63"),
        (Work(5, [-1], 0, (0,), GREEDY), r"outside 0\.\.63"),
        (Work(5, [], 0, (0,), GREEDY), "no tokens"),
        (Work(5, [1], 0, (), GREEDY), "0 pages"),
        (Work(5, [1], 0, (99,), GREEDY), "page 99"),
    ],
)
def test_bad_work_is_refused_and_named(runtime: TorchRuntime, work: Work, says: str) -> None:
    with pytest.raises(GenerationError, match=says):
        runtime.step(Batch((work,)))


def test_a_step_has_work_and_not_too_much(runtime: TorchRuntime) -> None:
    with pytest.raises(GenerationError, match="without work"):
        runtime.step(Batch(()))
    with pytest.raises(GenerationError, match="limit is 3"):
        runtime.step(Batch(tuple(Work(i, [1], 0, (0,), GREEDY) for i in range(4))))


def test_prefill_and_decode_mix_in_one_step(runtime: TorchRuntime) -> None:
    texts = [[1, 2, 3, 4, 5], [6, 7], [8, 9, 10]]
    alone = []
    for i, text in enumerate(texts):
        work = Work(i, text, 0, pages(runtime, i), GREEDY)
        alone.append(runtime.logits(Batch((work,))))
    runtime.step(Batch((Work(0, texts[0][:4], 0, pages(runtime, 0), None),)))
    runtime.step(Batch((Work(2, texts[2][:1], 0, pages(runtime, 2), None),)))
    mixed = runtime.logits(
        Batch(
            (
                Work(0, texts[0][4:], 4, pages(runtime, 0), GREEDY),
                Work(1, texts[1], 0, pages(runtime, 1), GREEDY),
                Work(2, texts[2][1:], 1, pages(runtime, 2), GREEDY),
            )
        )
    )
    assert torch.allclose(mixed, torch.cat(alone), atol=1e-5)


def test_decoding_rows_in_any_order_of_pages(runtime: TorchRuntime) -> None:
    texts = {0: [1, 2, 3, 4, 5], 2: [8, 9, 10]}
    alone = {}
    for i, text in texts.items():
        runtime.step(Batch((Work(i, text, 0, pages(runtime, i), GREEDY),)))
        batch = Batch((Work(i, [11], len(text), pages(runtime, i), GREEDY),))
        alone[i] = runtime.logits(batch)
    for order in ([0, 2], [2, 0]):
        batch = Batch(tuple(Work(i, [11], len(texts[i]), pages(runtime, i), GREEDY) for i in order))
        expected = torch.cat([alone[i] for i in order])
        assert torch.allclose(runtime.logits(batch), expected, atol=1e-5)


def test_a_chunk_that_samples_nothing_returns_nothing(runtime: TorchRuntime) -> None:
    assert runtime.step(Batch((Work(0, [1, 2], 0, pages(runtime, 0), None),))) == []


def test_closing_twice_is_fine(runtime: TorchRuntime) -> None:
    runtime.close()
    runtime.close()


def test_bytes_per_position() -> None:
    # Llama 2 7B in fp16: 2 * 32 layers * 4,096 * 2 bytes = 512 KiB a token.
    seven = ModelConfig(32000, 4096, 32, 32, 32, 11008, 128)
    assert bytes_per_position(seven, "fp16") == 512 * 1024


@pytest.mark.parametrize("name", ["gpu", "cpux", "cuda:x", ""])
def test_unknown_devices_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError):
        devices.select(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_an_absent_gpu_is_said() -> None:
    with pytest.raises(DeviceError, match="CUDA"):
        devices.select("cuda")


def test_an_absent_npu_is_said() -> None:
    with pytest.raises(DeviceError, match="torch_npu"):
        devices.select("npu:0")


@pytest.mark.parametrize(
    ("stored", "native", "available", "chosen"),
    [
        ("bf16", ("bf16", "fp32"), 1 << 40, "bf16"),
        ("fp16", ("bf16", "fp32"), 1 << 40, "fp32"),
        ("bf16", ("fp32",), 1 << 40, "fp32"),
        ("bf16", ("fp32",), 1 << 10, "bf16"),
        ("fp16", ("fp16", "fp32"), 1 << 40, "fp16"),
        ("bf16", ("fp16", "fp32"), 1 << 10, "fp16"),
    ],
)
def test_auto_dtype(stored: str, native: tuple[str, ...], available: int, chosen: str) -> None:
    from dataclasses import replace

    device = devices.Device("cpu", torch.device("cpu"), native, None)
    assert device.choose_dtype("auto", replace(CONFIG, dtype=stored), available) == chosen
    assert device.choose_dtype("fp32", replace(CONFIG, dtype=stored), available) == "fp32"
    with pytest.raises(UsageError):
        device.choose_dtype("int7", CONFIG, available)
